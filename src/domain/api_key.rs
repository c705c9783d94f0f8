//! An API key: everything known about it except its secret.

use chrono::{DateTime, Utc};

use super::caller::Scopes;
use super::ids::{ApiKeyId, TenantId};

/// An API key as stored.
#[derive(Debug, Clone)]
pub struct ApiKey {
    pub id: ApiKeyId,
    /// The public part, which may be shown and logged.
    pub public_id: String,
    pub secret_sha256: [u8; 32],
    /// `None` for an operator's key.
    pub tenant_id: Option<TenantId>,
    pub label: String,
    pub scopes: Scopes,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    /// Revision of the row, from 1.
    pub revision: i32,
}
