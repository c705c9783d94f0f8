//! `ETag` and `If-Match` (RFC 9110, sections 8.8.3 and 13.1.1), so that an operator cannot
//! overwrite a concurrent change.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::http::error::ApiError;
use crate::http::error::reason::Reason;

use crate::http::SharedGateway;
use crate::http::envelope::Success;

/// The revision that a client has read and wants to change; `None` if it sent no `If-Match`.
pub(in crate::http) struct IfMatch(pub Option<i32>);

impl FromRequestParts<SharedGateway> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &SharedGateway) -> Result<Self, ApiError> {
        let mut values = parts.headers.get_all(header::IF_MATCH).iter();
        let Some(value) = values.next() else { return Ok(Self(None)) };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(Self(None));
        }
        let digits = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let revision = digits.and_then(|digits| digits.parse().ok());
        match revision {
            Some(revision) if values.next().is_none() => Ok(Self(Some(revision))),
            _ => Err(ApiError::with_detail(
                Reason::InvalidField,
                "If-Match must be one ETag as the gateway returned it, or *",
            )
            .about("If-Match")),
        }
    }
}

/// A row and its revision.
pub(in crate::http) struct Versioned<T> {
    pub view: T,
    pub revision: i32,
}

impl<T: Serialize> IntoResponse for Versioned<T> {
    fn into_response(self) -> Response {
        let mut response = Success(self.view).into_response();
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", self.revision)) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}

/// A new row, and its URL.
pub(in crate::http) struct Created<T> {
    pub row: Versioned<T>,
    pub location: String,
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let mut response = self.row.into_response();
        *response.status_mut() = StatusCode::CREATED;
        if let Ok(location) = HeaderValue::from_str(&self.location) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}
