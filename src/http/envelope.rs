//! The envelope: `{"code":0,"msg":"success","data":…}`, and for errors
//! `{"code":…,"msg":…,"data":null,"reason":…,"request_id":…}`.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::error::ApiError;
use crate::http::error::reason::{Language, Reason};
use crate::rate_limit::{Quota, window_seconds};

use super::context::RequestContext;

pub const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// A presigned URL and what is around it.
const DEFAULT_BYTES: usize = 1024;

/// A successful answer.
pub struct Success<T>(pub T);

/// The body of a successful response.
#[derive(Serialize, ToSchema)]
#[schema(as = Answer)]
pub(super) struct SuccessBody<T> {
    #[schema(example = 0)]
    code: u16,
    #[schema(example = "success")]
    msg: &'static str,
    data: T,
}

/// An error's body.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct ErrorBody<'a> {
    /// The HTTP status.
    #[schema(example = 400)]
    code: u16,
    /// For people; in Chinese or in English, by `Accept-Language`.
    msg: &'a str,
    #[schema(value_type = Option<String>, required, example = json!(null))]
    data: (),
    /// A stable word, for programs.
    #[schema(example = "invalid_field")]
    reason: &'static str,
    /// As in the header `x-request-id`, and in the log.
    request_id: &'a str,
    /// The wrong field, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

impl<T: Serialize> IntoResponse for Success<T> {
    fn into_response(self) -> Response {
        let mut body = Vec::with_capacity(DEFAULT_BYTES);
        match serde_json::to_writer(&mut body, &SuccessBody { code: 0, msg: "success", data: self.0 }) {
            Ok(()) => json(body),
            Err(_) => ApiError::from(Reason::Internal).into_response(),
        }
    }
}

fn json(body: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        // A presigned URL in a shared cache would be a gift to strangers.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, Body::from(body)).into_response()
}

/// Writes an error into the envelope, in the client's language, and says what is left of the limit.
pub(super) fn complete(mut response: Response, context: Option<&RequestContext>, language: Language) -> Response {
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        let request_id = context.map(RequestContext::request_id_text).unwrap_or_default();
        response = write_error(&error, &error.message(language), request_id, response.headers());
        // For the log.
        response.extensions_mut().insert(error.reason);
    }
    if let Some(quota) = context.and_then(RequestContext::quota) {
        write_quota(response.headers_mut(), quota);
    }
    response
}

fn write_error(error: &ApiError, message: &str, request_id: &str, kept: &HeaderMap) -> Response {
    let status = error.reason.status();
    let body = ErrorBody {
        code: status.as_u16(),
        msg: message,
        data: (),
        reason: error.reason.as_str(),
        request_id,
        field: error.field.as_deref(),
    };
    let mut response = json(serde_json::to_vec(&body).unwrap_or_default());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Some(allow) = kept.get(header::ALLOW) {
        headers.insert(header::ALLOW, allow.clone());
    }
    if let Some(seconds) = error.retry_after_seconds {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    if error.reason == Reason::Unauthenticated {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn write_quota(headers: &mut HeaderMap, quota: Quota) {
    let policy = format!("\"default\";q={};w={}", quota.limit.burst, window_seconds(quota.limit));
    let left = format!("\"default\";r={};t={}", quota.remaining, quota.reset_seconds);
    for (name, text) in [(RATELIMIT_POLICY, policy), (RATELIMIT, left)] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    }
}
