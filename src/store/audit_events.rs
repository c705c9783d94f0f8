//! Table `audit_events`: append-only, and never a secret value.

use chrono::{DateTime, Utc};

use crate::domain::ids::{AuditEventId, TenantId};

use super::{StoreError, Transaction};

/// One change.
#[derive(Debug)]
pub struct AuditEvent<'a> {
    pub id: AuditEventId,
    pub at: DateTime<Utc>,
    /// Who, such as `cli:alice`.
    pub actor: &'a str,
    /// What, such as `tenant.update`.
    pub action: &'static str,
    pub tenant_id: Option<TenantId>,
    /// The id of the row that changed.
    pub subject_id: uuid::Uuid,
    /// Names of the fields that changed; never their values.
    pub changed_fields: &'a [&'a str],
}

/// Appends an event within the transaction of the change itself: both are there, or neither.
///
/// # Errors
/// The database is away.
pub async fn append(transaction: &mut Transaction, event: &AuditEvent<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO audit_events (id, at, actor, action, tenant_id, subject_id, changed_fields) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        event.id.uuid(),
        event.at,
        event.actor,
        event.action,
        event.tenant_id.map(TenantId::uuid),
        event.subject_id,
        event.changed_fields as &[&str]
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
