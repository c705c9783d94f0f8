//! Lists audit events.

use chrono::{DateTime, Datelike, Utc};

use crate::domain::Invalid;
use crate::domain::audit_event::AuditEvent;
use crate::domain::ids::{AuditEventId, TenantId};
use crate::domain::page::{Page, PageRequest};
use crate::domain::tenant::Slug;
use crate::store::audit_events::{self, Filter};

use super::{Admin, AdminError};

/// Filters of a list; `None` matches everything.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub tenant: Option<Slug>,
    /// The exact actor, such as `cli:alice`.
    pub actor: Option<String>,
    /// The exact action, such as `tenant.update`, or its part before the dot, such as `tenant`.
    pub action: Option<String>,
    /// The changed row's name.
    pub subject: Option<String>,
    /// Inclusive.
    pub from: Option<DateTime<Utc>>,
    /// Exclusive.
    pub to: Option<DateTime<Utc>>,
}

impl Admin {
    /// Lists changes, newest first.
    ///
    /// # Errors
    /// There is no such tenant, or the cursor belongs to another list.
    pub async fn list_audit_events(
        &self,
        filter: AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<AuditEvent>, AdminError> {
        let after = page.after(|text| text.parse::<uuid::Uuid>().ok())?.map(AuditEventId::from);
        let tenant_id: Option<TenantId> = match &filter.tenant {
            Some(slug) => Some(self.get_tenant_id(slug).await?),
            None => None,
        };
        check_time("from", filter.from)?;
        check_time("to", filter.to)?;
        let AuditFilter { actor, action, subject, from, to, .. } = filter;
        let filter = Filter { tenant_id, actor, action, subject, from, to };
        let rows = audit_events::list_any_tenant(&self.store, &filter, after, page.rows_to_read()).await?;
        Ok(page.page(rows, |event| event.id.to_string()))
    }
}

/// Postgres stores no times before 4713 BC; nobody needs them.
fn check_time(field: &'static str, time: Option<DateTime<Utc>>) -> Result<(), Invalid> {
    match time {
        Some(time) if !(1..=9999).contains(&time.year()) => {
            Err(Invalid::new(field, "must be a time in the years 1 to 9999"))
        }
        _ => Ok(()),
    }
}
