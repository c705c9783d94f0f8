//! Table `audit_events`: append-only. Never contains a secret.

use chrono::{DateTime, Utc};

use crate::domain::audit_event::AuditEvent;
use crate::domain::ids::{AuditEventId, TenantId};

use super::{Store, StoreError, Transaction};

/// Filters of a list; `None` matches everything.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub tenant_id: Option<TenantId>,
    pub actor: Option<String>,
    /// The whole action, or its part before the dot.
    pub action: Option<String>,
    pub subject: Option<String>,
    /// Inclusive.
    pub from: Option<DateTime<Utc>>,
    /// Exclusive.
    pub to: Option<DateTime<Utc>>,
}

struct Row {
    id: uuid::Uuid,
    at: DateTime<Utc>,
    actor: String,
    origin: Option<String>,
    action: String,
    tenant_id: Option<uuid::Uuid>,
    tenant: Option<String>,
    subject_id: uuid::Uuid,
    subject_name: Option<String>,
    changed_fields: Vec<String>,
}

impl From<Row> for AuditEvent {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            at: row.at,
            actor: row.actor,
            origin: row.origin,
            action: row.action,
            tenant_id: row.tenant_id.map(TenantId::from),
            tenant: row.tenant,
            subject_id: row.subject_id,
            subject_name: row.subject_name,
            changed_fields: row.changed_fields,
        }
    }
}

/// Appends an event in the transaction of the change, so that both are committed or neither.
///
/// # Errors
/// The database is unreachable.
pub async fn append(transaction: &mut Transaction, event: &AuditEvent) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO audit_events (id, at, actor, origin, action, tenant_id, subject_id, subject_name, changed_fields)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        event.id.uuid(),
        event.at,
        event.actor,
        event.origin,
        event.action,
        event.tenant_id.map(TenantId::uuid),
        event.subject_id,
        event.subject_name,
        &event.changed_fields
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Lists events, newest first, after `after`; for operators.
///
/// # Errors
/// The database is unreachable.
pub async fn list_any_tenant(
    store: &Store,
    filter: &Filter,
    after: Option<AuditEventId>,
    limit: i64,
) -> Result<Vec<AuditEvent>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT audit_events.id, at, actor, origin, action, tenant_id, slug AS "tenant?", subject_id, subject_name, changed_fields
         FROM audit_events LEFT JOIN tenants ON tenants.id = tenant_id
         WHERE ($1::uuid IS NULL OR tenant_id = $1) AND ($2::text IS NULL OR actor = $2)
           AND ($3::text IS NULL OR action = $3 OR split_part(action, '.', 1) = $3)
           AND ($4::text IS NULL OR subject_name = $4)
           AND ($5::timestamptz IS NULL OR at >= $5) AND ($6::timestamptz IS NULL OR at < $6)
           AND ($7::uuid IS NULL OR audit_events.id < $7)
         ORDER BY audit_events.id DESC LIMIT $8"#,
        filter.tenant_id.map(TenantId::uuid),
        filter.actor,
        filter.action,
        filter.subject,
        filter.from,
        filter.to,
        after.map(AuditEventId::uuid),
        limit
    );
    let rows = store.within(("SELECT", "audit_events"), rows.fetch_all(&store.pool)).await?;
    Ok(rows.into_iter().map(AuditEvent::from).collect())
}
