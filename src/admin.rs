//! The operators' use cases: tenants, buckets, callers, keyring and usage. `/admin/v1` and the
//! command line call the same functions.
//!
//! Every change writes its audit event in the same transaction. Nothing here knows HTTP or the
//! command line.

use chrono::{DateTime, Utc};

use crate::buckets::BucketError;
use crate::buckets::credentials::CredentialError;
use crate::domain::Invalid;
use crate::domain::audit_event::AuditEvent;
use crate::domain::clock::Clock;
use crate::domain::ids::{AuditEventId, TenantId};
use crate::domain::randomness::Randomness;
use crate::egress::Egress;
use crate::store::{Store, StoreError, Transaction, audit_events};

mod api_keys;
mod audit;
mod buckets;
mod cors;
mod credentials;
mod jwt_issuers;
mod keyring;
mod tenants;
mod usage;
pub(crate) mod view;

pub use self::api_keys::{ApiKeyChanges, NewApiKey};
pub use self::audit::AuditFilter;
pub use self::buckets::{BucketChanges, NewBucket};
pub use self::credentials::{CredentialCheck, DEFAULT_ORIGIN, Rotation};
pub use self::jwt_issuers::{JwtIssuerChanges, NewJwtIssuer, NewVerification};
pub use self::keyring::{KeyringStatus, Resealed};
pub use self::tenants::{NewTenant, PolicyChanges, TenantChanges, TenantFilter};

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("no {what} {name} exists")]
    NotFound { what: &'static str, name: String },
    #[error("the {what} {name} already exists")]
    Taken { what: &'static str, field: &'static str, name: String },
    /// Somebody else changed it since the caller read it.
    #[error("the resource was changed meanwhile: its revision is {current}")]
    Stale { current: i32 },
    /// It cannot be done as things stand.
    #[error("{0}")]
    Conflict(String),
    /// A credential was tried against its bucket, and does not do.
    #[error("the credential failed its test: {0}")]
    CredentialFailed(String),
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error("the bucket's store returned an error: {code}", code = .0.code)]
    Bucket(BucketError),
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<BucketError> for AdminError {
    // By hand: as a source, the code would be told twice.
    fn from(error: BucketError) -> Self {
        Self::Bucket(error)
    }
}

/// Makes changes in somebody's name.
#[derive(Debug, Clone)]
pub struct Admin {
    store: Store,
    clock: Clock,
    randomness: Randomness,
    /// By what rules others are reached.
    outbound: Egress,
    actor: Actor,
}

/// Who makes changes, and from where; for the audit.
#[derive(Debug, Clone)]
pub struct Actor {
    /// Such as `cli:alice`, or `api_key:` and an operator's key by its public id.
    pub name: String,
    /// The client's address, or the name of the machine that a command runs on.
    pub origin: Option<String>,
}

/// One change, for the audit.
struct AuditEntry<'a> {
    /// Such as `tenant.update`.
    action: &'static str,
    tenant_id: Option<TenantId>,
    /// The changed row's.
    id: uuid::Uuid,
    /// The row's name as people know it.
    name: &'a str,
    /// Names of the fields that changed; never their values.
    fields: &'a [&'a str],
}

impl Admin {
    #[must_use]
    pub const fn new(store: Store, clock: Clock, randomness: Randomness, outbound: Egress, actor: Actor) -> Self {
        Self { store, clock, randomness, outbound, actor }
    }

    /// The current time, which usage is read up to unless the operator names another.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The same use cases in somebody's name.
    #[must_use]
    pub fn acting_as(&self, actor: Actor) -> Self {
        Self { actor, ..self.clone() }
    }

    async fn audit(&self, transaction: &mut Transaction, change: AuditEntry<'_>) -> Result<(), StoreError> {
        let at = self.clock.now();
        let event = AuditEvent {
            id: AuditEventId::generate(at, &self.randomness),
            at,
            actor: self.actor.name.clone(),
            origin: self.actor.origin.clone(),
            action: change.action.to_owned(),
            tenant_id: change.tenant_id,
            tenant: None,
            subject_id: change.id,
            subject_name: Some(change.name.to_owned()),
            changed_fields: change.fields.iter().map(|field| (*field).to_owned()).collect(),
        };
        audit_events::append(transaction, &event).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<(), AdminError> {
        Ok(transaction.commit().await.map_err(StoreError::from)?)
    }
}

/// A name or a label: 1 to 200 characters, none of them a control character.
fn check_text(field: &'static str, text: String) -> Result<String, Invalid> {
    let length = text.chars().count();
    if !(1..=200).contains(&length) || text.trim().is_empty() || text.chars().any(char::is_control) {
        return Err(Invalid::new(field, "must be 1 to 200 characters of plain text"));
    }
    Ok(text)
}

fn not_found(what: &'static str, name: &(impl ToString + ?Sized)) -> AdminError {
    AdminError::NotFound { what, name: name.to_string() }
}

/// Refuses to overwrite what somebody else changed since the caller read it.
fn check_revision(expected: Option<i32>, current: i32) -> Result<(), AdminError> {
    match expected {
        Some(expected) if expected != current => Err(AdminError::Stale { current }),
        _ => Ok(()),
    }
}

/// Says which name is taken, where that is what the store complains of.
fn taken(error: StoreError, what: &'static str, field: &'static str, name: &str) -> AdminError {
    match error {
        StoreError::Taken { .. } => AdminError::Taken { what, field, name: name.to_owned() },
        other => other.into(),
    }
}
