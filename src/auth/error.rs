//! Why nobody was authenticated.

use std::sync::Arc;

use uuid::Uuid;

use crate::crypto::cipher::CipherError;
use crate::domain::Invalid;
use crate::domain::tenant::Slug;
use crate::store::StoreError;

/// Why a client was refused; for the log only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        match self {
            Self::Malformed => "malformed",
            Self::UnknownApiKey => "unknown_api_key",
            Self::WrongSecret => "wrong_secret",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::UnknownIssuer => "unknown_issuer",
            Self::InvalidToken => "invalid_token",
        }
    }
}

/// Why nobody was authenticated.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuthError {
    #[error("no credential was presented")]
    Missing,
    #[error("the credential is not in memory, and this client may not have it looked up")]
    LookUpDenied,
    #[error("the credential was refused: {}", .0.as_str())]
    Refused(Refusal),
    #[error("tenant {0} is suspended")]
    TenantSuspended(Slug),
    #[error("operators issue no uploads")]
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
    Store(#[from] Arc<StoreError>),
}

impl AuthError {
    /// Its stable word in metrics and traces.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::LookUpDenied => "look_up_denied",
            Self::Refused(refusal) => refusal.as_str(),
            Self::TenantSuspended(_) => "tenant_suspended",
            Self::IsOperator => "is_operator",
            Self::NotOperator => "not_operator",
            Self::NoAnonymousTenant => "no_anonymous_tenant",
            Self::IssuerUnusable(..) => "issuer_unusable",
            Self::IssuerUnavailable(_) => "issuer_unavailable",
            Self::Store(_) => "database",
        }
    }
}

/// What is wrong with an issuer's row.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IssuerFault {
    #[error("its secret does not open")]
    Sealed(#[from] CipherError),
    #[error("its key material is not valid")]
    Material(#[from] Invalid),
}
