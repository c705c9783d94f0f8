//! The only place where an error becomes a response.
//!
//! What a caller did is told in the body; what befell us goes to the log, once, and the body of a 5xx is constant.

use std::error::Error;

use axum::response::{IntoResponse, Response};

use crate::auth::AuthError;
use crate::domain::Invalid;
use crate::limit::Limited;
use crate::store::StoreError;
use crate::tenants::ManageError;
use crate::uploads::recorder::RecordError;
use crate::uploads::{IssueError, UploadError};
use crate::vault::VaultError;

use self::code::{Language, Reason};

pub mod code;

/// How long a client should wait when nobody knows how long it takes.
const RETRY_AFTER_SECONDS: u64 = 1;

/// An error on its way out; `http::envelope` writes it in the client's language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    pub reason: Reason,
    /// What was wrong in particular.
    detail: Option<String>,
    /// Which field is at fault.
    pub field: Option<String>,
    pub retry_after_seconds: Option<u64>,
}

impl ApiError {
    /// An error with the particulars that its text has a place for.
    #[must_use]
    pub fn with_detail(reason: Reason, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..reason.into() }
    }

    /// The error, with the field that is at fault.
    #[must_use]
    pub fn about(self, field: &str) -> Self {
        Self { field: Some(field.to_owned()), ..self }
    }

    /// The error of a part of what was sent, such as `uploads[3]`.
    #[must_use]
    pub fn within(self, part: &str) -> Self {
        let field = self.field.map_or_else(|| part.to_owned(), |field| format!("{part}.{field}"));
        Self { field: Some(field), ..self }
    }

    /// An error that goes away by itself.
    #[must_use]
    pub fn later(reason: Reason, retry_after_seconds: u64) -> Self {
        Self { retry_after_seconds: Some(retry_after_seconds), ..reason.into() }
    }

    /// The text for people.
    #[must_use]
    pub fn message(&self, language: Language) -> String {
        self.reason.text(language).replace("{}", self.detail.as_deref().unwrap_or_default())
    }
}

impl From<Reason> for ApiError {
    fn from(reason: Reason) -> Self {
        let retry_after_seconds = match reason {
            Reason::Unavailable
            | Reason::TenantNotReady
            | Reason::NotReady
            | Reason::BucketUnavailable
            | Reason::Busy => Some(RETRY_AFTER_SECONDS),
            _ => None,
        };
        Self { reason, detail: None, field: None, retry_after_seconds }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.reason.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Limited> for ApiError {
    fn from(limited: Limited) -> Self {
        Self::later(Reason::RateLimited, limited.retry_after_seconds)
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Missing | AuthError::Refused(_) => Reason::Unauthenticated.into(),
            AuthError::LookUpDenied => Self::later(Reason::TooManyFailures, RETRY_AFTER_SECONDS),
            AuthError::TenantSuspended(_) => Reason::TenantSuspended.into(),
            AuthError::IsOperator => Reason::OperatorNotAllowed.into(),
            AuthError::NotOperator => Reason::OperatorRequired.into(),
            AuthError::NoAnonymousTenant => ours(Reason::TenantNotReady, &error),
            AuthError::IssuerUnusable(..) => ours(Reason::Internal, &error),
            // Each failed fetch was logged once; a stranger could repeat this one.
            AuthError::IssuerUnavailable(_) => Reason::Unavailable.into(),
            AuthError::Store(_) => ours(Reason::Unavailable, &error),
        }
    }
}

impl From<IssueError> for ApiError {
    fn from(error: IssueError) -> Self {
        match &error {
            IssueError::Replay(error) => of_upload(error),
            IssueError::IdempotencyMismatch => Reason::IdempotencyMismatch.into(),
            IssueError::ScopeMissing(scope) => Self::with_detail(Reason::ScopeMissing, scope.as_str()),
            IssueError::ExtensionNotAllowed { allowed } => {
                Self::with_detail(Reason::ExtNotAllowed, allowed.texts().collect::<Vec<_>>().join(", "))
            }
            IssueError::BindingRequired(missing) => {
                Self::with_detail(Reason::BindingRequired, missing.texts().collect::<Vec<_>>().join(", "))
            }
            IssueError::NotEnforced(binding) => {
                Self::with_detail(Reason::NotEnforced, binding.as_str()).about(binding.as_str())
            }
            IssueError::Invalid(invalid) => invalid.clone().into(),
            IssueError::Vault(VaultError::NoSuchBucket(_)) => no_such_bucket(),
            IssueError::Vault(VaultError::NoBucket) => ours(Reason::TenantNotReady, &error),
            IssueError::Vault(VaultError::Sealed { .. }) => ours(Reason::Internal, &error),
            IssueError::Vault(VaultError::Store(_))
            | IssueError::Record(
                RecordError::QueueFull | RecordError::TimedOut | RecordError::Closed | RecordError::NotCommitted(_),
            ) => ours(Reason::Unavailable, &error),
        }
    }
}

impl From<UploadError> for ApiError {
    fn from(error: UploadError) -> Self {
        of_upload(&error)
    }
}

fn of_upload(error: &UploadError) -> ApiError {
    match error {
        UploadError::ScopeMissing(scope) => ApiError::with_detail(Reason::ScopeMissing, scope.as_str()),
        UploadError::NotFound => ApiError::with_detail(Reason::NoSuchRow, "upload"),
        UploadError::NoSuchTenant => ApiError::with_detail(Reason::NoSuchRow, "tenant"),
        UploadError::TooManyExports => Reason::Busy.into(),
        UploadError::Invalid(invalid) => invalid.clone().into(),
        UploadError::NotArrived => Reason::NotArrived.into(),
        UploadError::BucketRefused(needed) => theirs(ApiError::with_detail(Reason::BucketPermission, *needed), error),
        UploadError::BucketUnavailable(_) => theirs(Reason::BucketUnavailable.into(), error),
        UploadError::Bucket(told) => theirs(ApiError::with_detail(Reason::BucketFailed, told.to_string()), error),
        UploadError::AlreadyArrived(id) => ApiError::with_detail(Reason::AlreadyArrived, id.to_string()),
        UploadError::Deleted => Reason::UploadDeleted.into(),
        UploadError::BucketArchived => ApiError::with_detail(Reason::Conflict, error.to_string()),
        UploadError::Vault(VaultError::NoSuchBucket(_)) => no_such_bucket(),
        UploadError::Vault(VaultError::NoBucket) => ours(Reason::TenantNotReady, error),
        UploadError::Vault(VaultError::Store(_)) => ours(Reason::Unavailable, error),
        UploadError::Vault(VaultError::Sealed { .. }) => ours(Reason::Internal, error),
        UploadError::Store(error) => of_store(error),
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        Self::with_detail(Reason::InvalidField, invalid.to_string()).about(invalid.field)
    }
}

impl From<ManageError> for ApiError {
    fn from(error: ManageError) -> Self {
        match error {
            // The name is not repeated: another tenant's row and none at all are answered alike.
            ManageError::NotFound { what, .. } => Self::with_detail(Reason::NoSuchRow, what),
            ManageError::Taken { what, field, .. } => Self::with_detail(Reason::AlreadyExists, what).about(field),
            ManageError::Invalid(invalid) => invalid.into(),
            ManageError::Stale { current } => Self::with_detail(Reason::ChangedMeanwhile, format!("\"{current}\"")),
            ManageError::Conflict(told) => Self::with_detail(Reason::Conflict, told),
            ManageError::CredentialFailed(told) => Self::with_detail(Reason::CredentialFailed, told),
            ManageError::Bucket(error) => Self::with_detail(Reason::BucketFailed, error.to_string()),
            ManageError::Store(error) => of_store(&error),
            ManageError::Vault(VaultError::Store(_)) => ours(Reason::Unavailable, &error),
            ManageError::Vault(_) => ours(Reason::Internal, &error),
        }
    }
}

fn of_store(error: &StoreError) -> ApiError {
    match error {
        StoreError::RowRefused(_) => {
            ApiError::with_detail(Reason::InvalidField, "a value is one that the database does not take")
        }
        StoreError::Unavailable(_)
        | StoreError::Conflict(_)
        | StoreError::TimedOut
        | StoreError::Disconnected
        | StoreError::NotMigrated(_) => ours(Reason::Unavailable, error),
        _ => ours(Reason::Internal, error),
    }
}

fn no_such_bucket() -> ApiError {
    ApiError::with_detail(Reason::InvalidField, "bucket must be the alias of one of this app's buckets").about("bucket")
}

/// Logs the cause of a failure that is no caller's.
fn ours(reason: Reason, error: &dyn Error) -> ApiError {
    tracing::error!(presign_gateway.reason = reason.as_str(), cause = %chain(error), "request failed");
    reason.into()
}

/// Logs the cause of a failure that is a bucket's.
fn theirs(told: ApiError, error: &dyn Error) -> ApiError {
    tracing::warn!(presign_gateway.reason = told.reason.as_str(), cause = %chain(error), "a bucket failed");
    told
}

/// An error and its sources on one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        // Transparent errors repeat the text of their source.
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}
