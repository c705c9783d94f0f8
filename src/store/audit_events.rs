//! Table `audit_events`: append-only, and never a secret value.

use crate::domain::audit_event::AuditEvent;
use crate::domain::ids::TenantId;

use super::{StoreError, Transaction};

/// Appends an event within the transaction of the change itself: both are there, or neither.
///
/// # Errors
/// The database is away.
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
