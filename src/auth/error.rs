//! Why authentication failed.

use std::sync::Arc;

use strum::IntoStaticStr;
use uuid::Uuid;

use crate::crypto::cipher::CipherError;
use crate::domain::Invalid;
use crate::domain::tenant::Slug;
use crate::store::StoreError;

/// Why a credential was rejected; for the log only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Refusal {
    Malformed,
    UnknownApiKey,
    WrongSecret,
    Revoked,
    Expired,
    UnknownIssuer,
    InvalidToken,
}

impl Refusal {
    /// Its stable word in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

/// Why authentication failed.
#[derive(Debug, Clone, thiserror::Error, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum AuthError {
    #[error("no credential was presented")]
    Missing,
    #[error("the credential is not cached, and this address has failed too often to have it looked up")]
    LookupDenied,
    #[error("the credential was refused: {}", .0.as_str())]
    Refused(Refusal),
    #[error("tenant {0} is suspended")]
    TenantSuspended(Slug),
    #[error("operator keys cannot issue uploads")]
    IsOperator,
    #[error("only operators may do this")]
    NotOperator,
    #[error("the configured anonymous tenant does not exist")]
    NoAnonymousTenant,
    #[error("JWT issuer {0} cannot be used")]
    IssuerUnusable(Uuid, #[source] IssuerFault),
    #[error("the keys of JWT issuer {0} cannot be fetched")]
    IssuerUnavailable(Uuid),
    #[error(transparent)]
    #[strum(serialize = "database")]
    Store(#[from] Arc<StoreError>),
}

impl AuthError {
    /// Its stable word in metrics and traces.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.as_str(),
            other => other.into_str(),
        }
    }
}

/// What is wrong with an issuer's row.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IssuerFault {
    #[error("its secret cannot be decrypted")]
    Sealed(#[from] CipherError),
    #[error("its key material is not valid")]
    Material(#[from] Invalid),
}
