//! Bodies and queries that are read whole, or refused with the field's name and what it must be.
//!
//! What a client sent is never repeated to it: it may be a secret.

use std::error::Error;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header;
use axum::http::request::Parts;
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::http::error::ApiError;
use crate::http::error::reason::Reason;

use crate::http::SharedGateway;

/// A JSON body.
pub(in crate::http) struct Body<T>(pub T);

/// A query.
pub(in crate::http) struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest<SharedGateway> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, gateway: &SharedGateway) -> Result<Self, ApiError> {
        if !is_json(&request) {
            return Err(Reason::UnsupportedMediaType.into());
        }
        let limit = gateway.edge.max_body_bytes;
        let bytes = to_bytes(request.into_body(), limit).await;
        let bytes = bytes.map_err(|error| unread(&error, limit))?;
        read_body(&bytes).map(Self)
    }
}

/// Reads a body.
///
/// # Errors
/// It is no JSON, or not of this form.
pub(in crate::http) fn read_body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // Nothing at all is as good as nothing in particular.
    let text: &[u8] = if bytes.is_empty() { b"{}" } else { bytes };
    let mut json = serde_json::Deserializer::from_slice(text);
    let body = serde_path_to_error::deserialize(&mut json).map_err(|error| refuse_json(&error))?;
    json.end().map_err(|error| malformed((error.line(), error.column())))?;
    Ok(body)
}

impl<T: DeserializeOwned> FromRequestParts<SharedGateway> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &SharedGateway) -> Result<Self, ApiError> {
        read_query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

/// Reads a query.
///
/// # Errors
/// A name twice, a control character, or not of this form.
pub(in crate::http) fn read_query<T: DeserializeOwned>(text: &str) -> Result<T, ApiError> {
    let query = form_urlencoded::parse(text.as_bytes());
    let mut names = std::collections::HashSet::new();
    for (name, value) in query {
        if value.chars().any(char::is_control) {
            let told = format!("{} must not hold control characters", clipped(&name));
            return Err(ApiError::with_detail(Reason::InvalidField, told).about(&clipped(&name)));
        }
        if !names.insert(name.clone()) {
            return Err(ApiError::with_detail(Reason::RepeatedParameter, clipped(&name)).about(&clipped(&name)));
        }
    }
    let query = serde_urlencoded::Deserializer::new(query);
    serde_path_to_error::deserialize(query).map_err(|error| refuse(&error))
}

/// A part of a body that is judged by itself.
///
/// # Errors
/// What is wrong with it, as for a whole body.
pub(in crate::http) fn read_part<T: DeserializeOwned>(part: &RawValue) -> Result<T, ApiError> {
    let mut json = serde_json::Deserializer::from_str(part.get());
    serde_path_to_error::deserialize(&mut json).map_err(|error| refuse_json(&error))
}

/// What is no JSON, and what is none of this form. A part can be the former, too: half of a surrogate pair is seen only where the
/// text is read.
fn refuse_json(error: &serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let told = error.inner();
    if told.is_data() { refuse(error) } else { malformed((told.line(), told.column())) }
}

/// A body over the limit, or one that did not arrive whole.
fn unread(error: &axum::Error, limit: usize) -> ApiError {
    if error.source().is_some_and(<dyn Error>::is::<LengthLimitError>) {
        return ApiError::with_detail(Reason::BodyTooLarge, limit.to_string());
    }
    ApiError::with_detail(Reason::MalformedBody, "it did not arrive whole")
}

fn is_json(request: &Request) -> bool {
    let Some(value) = request.headers().get(header::CONTENT_TYPE) else { return true };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    ["application/json", "application/merge-patch+json"].iter().any(|known| essence.eq_ignore_ascii_case(known))
}

fn malformed((line, column): (usize, usize)) -> ApiError {
    ApiError::with_detail(Reason::MalformedBody, format!("line {line}, column {column}"))
}

/// Names the field, and what it must be; the error's own text is taken apart, since it may repeat the value.
fn refuse<E: std::fmt::Display>(error: &serde_path_to_error::Error<E>) -> ApiError {
    let text = error.inner().to_string();
    let quoted = |prefix| text.strip_prefix(prefix).and_then(|rest: &str| rest.split('`').next());
    if let Some(name) = quoted("unknown field `") {
        let name = &clipped(name);
        // The last one: a name can be anything, and hold the word too.
        let known = text.rsplit_once("expected ").map_or("", |(_, known)| known);
        let known = known.trim_start_matches("one of ").split(" at line").next().unwrap_or_default().replace('`', "");
        return ApiError::with_detail(Reason::UnknownField, format!("{name}; known are {known}")).about(name);
    }
    if let Some(name) = quoted("missing field `") {
        return ApiError::with_detail(Reason::InvalidField, format!("{name} is missing")).about(name);
    }
    if let Some(name) = quoted("duplicate field `") {
        return ApiError::with_detail(Reason::InvalidField, format!("{name} is there more than once")).about(name);
    }
    let path =
        Some(clipped(&error.path().to_string())).filter(|path| path != ".").unwrap_or_else(|| "the body".to_owned());
    let is_number = text.contains("number too large") || text.contains("invalid digit");
    let expected = if is_number {
        NUMBER
    } else {
        text.rsplit_once("expected ").map_or("of another form", |(_, expected)| in_words(expected))
    };
    ApiError::with_detail(Reason::InvalidField, format!("{path} must be {expected}")).about(&path)
}

const NUMBER: &str = "a whole number that is not negative, and not too large";

/// A name as long as any of ours could be; a client's own may be of any length.
fn clipped(name: &str) -> String {
    name.chars().take(100).collect()
}

/// Says it in words that somebody who knows no Rust understands.
fn in_words(expected: &str) -> &str {
    match expected.split(" at line").next().unwrap_or_default() {
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" => "a whole number from 0 to 18446744073709551615",
        "i32" => "a whole number from -2147483648 to 2147483647",
        "i64" => "a whole number from -9223372036854775808 to 9223372036854775807",
        "f64" => "a number",
        "a sequence" => "a list",
        "a boolean" | "bool" => "true or false",
        expected if expected.starts_with("struct ") => "an object",
        expected if expected.contains("timestamp") || expected.contains("DateTime") => {
            "a time such as 2026-11-22T00:00:00Z"
        }
        expected => expected,
    }
}
