//! Why a call of a bucket failed, and whose fault that is.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::http::{Response, StatusCode};
use strum::IntoStaticStr;

/// Why a call failed: the store's stable code, or our own word where there was no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}")]
pub struct BucketError {
    pub code: String,
    pub failure: Failure,
}

/// What a failure means for whoever called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Failure {
    /// There is no such object. (Of a HEAD, which has no body, nobody can tell whether there is such a bucket: see
    /// `BucketClient::exists`.)
    NotFound,
    /// The credential may not do this.
    Refused,
    /// No answer in time, no connection, a fault of the store's own, or too many calls: trying again may help.
    Unavailable,
    /// Anything else: trying again will not help.
    Other,
}

impl Failure {
    /// In a word for metrics and traces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

const CANNOT_CONNECT: &str = "cannot connect";
pub(super) const NO_SUCH_BUCKET: &str = "NoSuchBucket";

impl BucketError {
    /// The answer of one that has lost its bucket, as far as we know.
    #[must_use]
    pub fn no_such_bucket() -> Self {
        Self::other("there is no such bucket")
    }

    /// Whether there was not even a connection.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        self.failure == Failure::Unavailable && self.code == CANNOT_CONNECT
    }

    pub(super) fn other(code: impl Into<String>) -> Self {
        Self { code: code.into(), failure: Failure::Other }
    }
}

/// Whether a store's word for an error can be one; nothing else of a foreign body is shown.
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
