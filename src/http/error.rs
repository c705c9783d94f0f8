//! Turns errors into responses. No other file does.
//!
//! The body explains errors of the caller. Errors of the gateway are logged once, and the body of a
//! 5xx is constant.

use std::error::Error;

use axum::response::{IntoResponse, Response};

use crate::admin::AdminError;
use crate::auth::AuthError;
use crate::buckets::credentials::CredentialError;
use crate::domain::Invalid;
use crate::domain::fault::Fault;
use crate::rate_limit::Limited;
use crate::telemetry::error_chain::chain;
use crate::uploads::UploadError;
use crate::uploads::recorder::RecordError;

use self::reason::{Language, Reason};

pub mod reason;

/// `Retry-After` if the duration is unknown.
const RETRY_AFTER_SECONDS: u64 = 1;

/// An error response; `http::envelope` writes it in the client's language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    pub reason: Reason,
    /// The detail that replaces `{}`.
    detail: Option<String>,
    /// Which field is at fault.
    pub field: Option<String>,
    pub retry_after_seconds: Option<u64>,
}

impl ApiError {
    /// Creates an error with the detail for its text.
    #[must_use]
    pub fn with_detail(reason: Reason, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..reason.into() }
    }

    /// The error, with the field that is at fault.
    #[must_use]
    pub fn about(self, field: &str) -> Self {
        Self { field: Some(field.to_owned()), ..self }
    }

    /// Adds the position of a part of the request, such as `uploads[3]`.
    #[must_use]
    pub fn within(self, part: &str) -> Self {
        let field = self.field.map_or_else(|| part.to_owned(), |field| format!("{part}.{field}"));
        Self { field: Some(field), ..self }
    }

    /// Creates a temporary error.
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
            AuthError::LookupDenied => Self::later(Reason::TooManyFailures, RETRY_AFTER_SECONDS),
            AuthError::TenantSuspended(_) => Reason::TenantSuspended.into(),
            AuthError::IsOperator => Reason::OperatorNotAllowed.into(),
            AuthError::NotOperator => Reason::OperatorRequired.into(),
            AuthError::NoAnonymousTenant => server_fault(Reason::TenantNotReady, &error),
            AuthError::IssuerUnusable(..) => server_fault(Reason::Internal, &error),
            // Each failed fetch was logged once; a stranger could repeat this one.
            AuthError::IssuerUnavailable(_) => Reason::Unavailable.into(),
            AuthError::Store(_) => server_fault(Reason::Unavailable, &error),
        }
    }
}

impl From<UploadError> for ApiError {
    fn from(error: UploadError) -> Self {
        match &error {
            UploadError::ScopeMissing(scope) => Self::with_detail(Reason::ScopeMissing, scope.as_str()),
            UploadError::ExtensionNotAllowed { allowed } => {
                Self::with_detail(Reason::ExtNotAllowed, allowed.texts().collect::<Vec<_>>().join(", "))
            }
            UploadError::BindingRequired(missing) => {
                Self::with_detail(Reason::BindingRequired, missing.texts().collect::<Vec<_>>().join(", "))
            }
            UploadError::BindingNotEnforced(binding) => {
                Self::with_detail(Reason::BindingNotEnforced, binding.as_str()).about(binding.as_str())
            }
            UploadError::Invalid(invalid) => invalid.clone().into(),
            UploadError::Record(
                RecordError::QueueFull | RecordError::TimedOut | RecordError::Closed | RecordError::NotCommitted(_),
            )
            | UploadError::Credential(CredentialError::Store(_)) => server_fault(Reason::Unavailable, &error),
            UploadError::IdempotencyMismatch => Reason::IdempotencyMismatch.into(),
            UploadError::NotFound => Self::with_detail(Reason::ResourceNotFound, "upload"),
            UploadError::NoSuchTenant => Self::with_detail(Reason::ResourceNotFound, "tenant"),
            UploadError::TooManyExports => Reason::Busy.into(),
            UploadError::NotArrived => Reason::NotArrived.into(),
            UploadError::BucketRefused(needed) => {
                bucket_fault(Self::with_detail(Reason::BucketPermission, *needed), &error)
            }
            UploadError::BucketUnavailable(_) => bucket_fault(Reason::BucketUnavailable.into(), &error),
            UploadError::Bucket(told) => {
                bucket_fault(Self::with_detail(Reason::BucketFailed, told.to_string()), &error)
            }
            UploadError::AlreadyArrived(id) => Self::with_detail(Reason::AlreadyArrived, id.to_string()),
            UploadError::Deleted => Reason::UploadDeleted.into(),
            UploadError::BucketArchived => Self::with_detail(Reason::Conflict, error.to_string()),
            UploadError::Credential(CredentialError::NoSuchBucket(_)) => no_such_bucket(),
            UploadError::Credential(CredentialError::NoBucket) => server_fault(Reason::TenantNotReady, &error),
            UploadError::Credential(CredentialError::Sealed { .. }) | UploadError::Inconsistent(_) => {
                server_fault(Reason::Internal, &error)
            }
            UploadError::Store(error) => from_fault(error.fault(), error),
        }
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        Self::with_detail(Reason::InvalidField, invalid.to_string()).about(invalid.field)
    }
}

impl From<AdminError> for ApiError {
    fn from(error: AdminError) -> Self {
        match error {
            // The name is not repeated: another tenant's row and none at all are answered alike.
            AdminError::NotFound { what, .. } => Self::with_detail(Reason::ResourceNotFound, what),
            AdminError::Taken { what, field, .. } => Self::with_detail(Reason::AlreadyExists, what).about(field),
            AdminError::Invalid(invalid) => invalid.into(),
            AdminError::Stale { current } => Self::with_detail(Reason::RevisionConflict, format!("\"{current}\"")),
            AdminError::Conflict(detail) => Self::with_detail(Reason::Conflict, detail),
            AdminError::CredentialFailed(detail) => Self::with_detail(Reason::CredentialFailed, detail),
            AdminError::Bucket(error) => Self::with_detail(Reason::BucketFailed, error.to_string()),
            AdminError::Store(error) => from_fault(error.fault(), &error),
            AdminError::Credential(CredentialError::Store(_)) => server_fault(Reason::Unavailable, &error),
            AdminError::Credential(_) => server_fault(Reason::Internal, &error),
        }
    }
}

/// A failure of the database.
fn from_fault(fault: Fault, error: &dyn Error) -> ApiError {
    match fault {
        Fault::Rejected => ApiError::with_detail(Reason::InvalidField, "the database rejected a value"),
        Fault::Unavailable => server_fault(Reason::Unavailable, error),
        Fault::Internal => server_fault(Reason::Internal, error),
    }
}

fn no_such_bucket() -> ApiError {
    ApiError::with_detail(Reason::InvalidField, "bucket must be the alias of one of this app's buckets").about("bucket")
}

/// Logs the cause of a failure that is no caller's.
fn server_fault(reason: Reason, error: &dyn Error) -> ApiError {
    tracing::error!(presign_gateway.reason = reason.as_str(), cause = %chain(error), "request failed");
    reason.into()
}

/// Logs the cause of a failure that is a bucket's.
fn bucket_fault(answer: ApiError, error: &dyn Error) -> ApiError {
    tracing::warn!(presign_gateway.reason = answer.reason.as_str(), cause = %chain(error), "a bucket operation failed");
    answer
}
