//! `/admin/v1/audit-events`.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::admin::AuditFilter;
use crate::admin::view::AuditEventView;
use crate::domain::page::PageRequest;
use crate::http::envelope::{Success, SuccessBody};
use crate::http::error::ApiError;
use crate::http::extract::json::Query;

use super::{PageView, tenant_term};
use crate::http::extract::operator::Operator;

/// Which changes are listed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// Changes of this tenant (its slug) and everything in it.
    tenant: Option<String>,
    /// Changes by this actor, such as `cli:alice` or `api_key:4fZ0kPqL9xYa`.
    actor: Option<String>,
    /// Changes with this action, such as `tenant.update`, or `tenant` for all actions on tenants.
    action: Option<String>,
    /// Changes of the object with this name: a slug, an alias, a public id.
    subject: Option<String>,
    /// At or after this time.
    #[serde(default, deserialize_with = "crate::http::time::optional")]
    from: Option<DateTime<Utc>>,
    /// Before this time.
    #[serde(default, deserialize_with = "crate::http::time::optional")]
    to: Option<DateTime<Utc>>,
    /// The `next_cursor` of an earlier page.
    cursor: Option<String>,
    /// Rows, 1 to 500; default 100.
    #[serde(default, deserialize_with = "crate::http::extract::number::limit")]
    limit: Option<u16>,
}

/// List who changed what, newest first.
///
/// Each change names its actor, its object and the fields that changed, but never their values.
#[utoipa::path(get, path = "/admin/v1/audit-events", tag = "audit", operation_id = "list_audit_events", params(AuditQuery),
    responses((status = 200, description = "A page of changes", body = SuccessBody<PageView<AuditEventView>>)))]
pub(super) async fn list(
    Operator(tenants): Operator,
    Query(query): Query<AuditQuery>,
) -> Result<Success<PageView<AuditEventView>>, ApiError> {
    let AuditQuery { tenant, actor, action, subject, from, to, cursor, limit } = query;
    let tenant = tenant_term(tenant.as_deref())?;
    let filter = AuditFilter { tenant, actor, action, subject, from, to };
    let page = tenants.list_audit_events(filter, &PageRequest::new(cursor.as_deref(), limit)?).await?;
    Ok(Success(page.view().into()))
}
