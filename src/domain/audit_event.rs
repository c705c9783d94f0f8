//! A change by an operator: who changed which fields of which row, when, from where. Never a value.

use chrono::{DateTime, Utc};

use super::ids::{AuditEventId, TenantId};

/// One change.
#[derive(Debug, Clone)]
pub struct AuditEvent {
    pub id: AuditEventId,
    pub at: DateTime<Utc>,
    /// Who, such as `cli:alice`, or `api_key:` and an operator's key by its public id.
    pub actor: String,
    /// The client's address, or the name of the machine that a command ran on.
    pub origin: Option<String>,
    /// What, such as `tenant.update`.
    pub action: String,
    pub tenant_id: Option<TenantId>,
    /// The tenant's slug; known where an event was read, not where it is written.
    pub tenant: Option<String>,
    /// The id of the row that changed.
    pub subject_id: uuid::Uuid,
    /// The row's name as people know it.
    pub subject_name: Option<String>,
    /// Names of the fields that changed; never their values.
    pub changed_fields: Vec<String>,
}
