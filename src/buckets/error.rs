//! Why a request to a bucket failed, and who has to fix it.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::http::{Response, StatusCode};
use strum::IntoStaticStr;

/// Why a call failed: the store's stable code, or our own word if there was no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}")]
pub struct BucketError {
    pub code: String,
    pub failure: Failure,
}

/// What a failure means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Failure {
    /// The object does not exist. A HEAD has no body, so it cannot tell whether the bucket exists:
    /// see `BucketClient::exists`.
    NotFound,
    /// The credential lacks the permission.
    Refused,
    /// Timeout, no connection, a fault of the store, or too many calls. A retry may help.
    Unavailable,
    /// Anything else. A retry does not help.
    Other,
}

impl Failure {
    /// Its word in metrics and traces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

const CANNOT_CONNECT: &str = "cannot connect";
pub(super) const NO_SUCH_BUCKET: &str = "NoSuchBucket";

impl BucketError {
    /// The error of a bucket that does not exist, as far as we know.
    #[must_use]
    pub fn no_such_bucket() -> Self {
        Self::other("there is no such bucket")
    }

    /// Whether no connection was made.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        self.failure == Failure::Unavailable && self.code == CANNOT_CONNECT
    }

    pub(super) fn other(code: impl Into<String>) -> Self {
        Self { code: code.into(), failure: Failure::Other }
    }
}

/// Whether a text can be an error code of a store. Nothing else of a foreign body is shown.
fn is_plain(code: &str) -> bool {
    (1..=64).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

pub(super) fn of_call<E: ProvideErrorMetadata>(error: &SdkError<E>) -> BucketError {
    let unavailable = |code: &str| BucketError { code: code.to_owned(), failure: Failure::Unavailable };
    match error {
        SdkError::TimeoutError(_) => unavailable("no response in time"),
        SdkError::DispatchFailure(_) => unavailable(CANNOT_CONNECT),
        // A HEAD has no body, so its status is all that there is.
        other => match (other.code(), other.raw_response().map(Response::status)) {
            (Some(code), status) if is_plain(code) => {
                BucketError { code: code.to_owned(), failure: failure(status.map(StatusCode::as_u16), code) }
            }
            (_, Some(status)) if status.is_success() => BucketError::other("unreadable response"),
            (_, Some(status)) => {
                BucketError { code: format!("HTTP {}", status.as_u16()), failure: failure(Some(status.as_u16()), "") }
            }
            (_, None) => BucketError::other("no answer"),
        },
    }
}

fn failure(status: Option<u16>, code: &str) -> Failure {
    match (status, code) {
        (Some(404), NO_SUCH_BUCKET) | (Some(501), _) => Failure::Other,
        (Some(404), _) => Failure::NotFound,
        (Some(401 | 403), _) => Failure::Refused,
        (Some(408 | 429 | 500..=599), _) => Failure::Unavailable,
        _ => Failure::Other,
    }
}
