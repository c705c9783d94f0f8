//! A change by an operator: who changed which fields of which row, when, from where. Never a value.

use chrono::{DateTime, Utc};

use super::ids::{AuditEventId, TenantId};

/// One change.
#[derive(Debug, Clone)]
pub struct AuditEvent {
    pub id: AuditEventId,
    pub at: DateTime<Utc>,
    /// The actor, such as `cli:alice`, or `api_key:` and the public id of an operator's key.
    pub actor: String,
    /// The client's address, or the name of the machine that ran the command.
    pub origin: Option<String>,
    /// The action, such as `tenant.update`.
    pub action: String,
    pub tenant_id: Option<TenantId>,
    /// The tenant's slug; set when an event is read, not when it is written.
    pub tenant: Option<String>,
    /// The id of the row that changed.
    pub subject_id: uuid::Uuid,
    /// The row's name for people.
    pub subject_name: Option<String>,
    /// Names of the fields that changed; never their values.
    pub changed_fields: Vec<String>,
}
