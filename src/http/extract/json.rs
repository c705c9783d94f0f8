//! Bodies and queries: read completely, or rejected with the name of the field and what it must be.
//!
//! Never repeats a value that a client sent, because it may be a secret.

use std::borrow::Cow;
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
/// It is not JSON, or it does not have this form.
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
/// A repeated name, a control character, or another form.
pub(in crate::http) fn read_query<T: DeserializeOwned>(text: &str) -> Result<T, ApiError> {
    pairs(text)?;
    let query = serde_urlencoded::Deserializer::new(form_urlencoded::parse(text.as_bytes()));
    serde_path_to_error::deserialize(query).map_err(|error| refuse(&error))
}

/// A name and its value.
type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Splits a query into names and values.
///
/// # Errors
/// A repeated name, or a control character.
pub(in crate::http) fn pairs(text: &str) -> Result<Vec<Pair<'_>>, ApiError> {
    let mut pairs = Vec::new();
    let mut names = std::collections::HashSet::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        if value.chars().any(char::is_control) {
            let detail = format!("{} must not hold control characters", clipped(&name));
            return Err(ApiError::with_detail(Reason::InvalidField, detail).about(&clipped(&name)));
        }
        if !names.insert(name.clone()) {
            return Err(ApiError::with_detail(Reason::RepeatedParameter, clipped(&name)).about(&clipped(&name)));
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// Parses a part of a body on its own.
///
/// # Errors
/// The errors of a whole body.
pub(in crate::http) fn read_part<T: DeserializeOwned>(part: &RawValue) -> Result<T, ApiError> {
    let mut json = serde_json::Deserializer::from_str(part.get());
    serde_path_to_error::deserialize(&mut json).map_err(|error| refuse_json(&error))
}

/// Distinguishes text that is not JSON from JSON of another form. A part can be the former, too:
/// half of a surrogate pair is found only when its text is read.
fn refuse_json(error: &serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let cause = error.inner();
    if cause.is_data() { refuse(error) } else { malformed((cause.line(), cause.column())) }
}

/// The body exceeds the limit or did not arrive completely.
fn unread(error: &axum::Error, limit: usize) -> ApiError {
    if error.source().is_some_and(<dyn Error>::is::<LengthLimitError>) {
        return ApiError::with_detail(Reason::BodyTooLarge, limit.to_string());
    }
    ApiError::with_detail(Reason::MalformedBody, "it arrived incomplete")
}

fn is_json(request: &Request) -> bool {
    let Some(value) = request.headers().get(header::CONTENT_TYPE) else { return true };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    ["application/json", "application/merge-patch+json"].iter().any(|known| essence.eq_ignore_ascii_case(known))
}

fn malformed((line, column): (usize, usize)) -> ApiError {
    ApiError::with_detail(Reason::MalformedBody, format!("line {line}, column {column}"))
}

/// Names the field and what it must be. The error's own text is split, because it may repeat the
/// value.
fn refuse<E: std::fmt::Display>(error: &serde_path_to_error::Error<E>) -> ApiError {
    let text = error.inner().to_string();
    let quoted = |prefix| text.strip_prefix(prefix).and_then(|rest: &str| rest.split('`').next());
    if let Some(name) = quoted("unknown field `") {
        // The last one: a name can be anything, and hold the word too.
        let known = text.rsplit_once("expected ").map_or("", |(_, known)| known);
        let known = known.trim_start_matches("one of ").split(" at line").next().unwrap_or_default().replace('`', "");
        return unknown_field(name, &known);
    }
    if let Some(name) = quoted("missing field `") {
        return ApiError::with_detail(Reason::InvalidField, format!("{name} is missing")).about(name);
    }
    if let Some(name) = quoted("duplicate field `") {
        return ApiError::with_detail(Reason::InvalidField, format!("{name} must not be repeated")).about(name);
    }
    let path =
        Some(clipped(&error.path().to_string())).filter(|path| path != ".").unwrap_or_else(|| "the body".to_owned());
    let expected = text.rsplit_once("expected ").map_or("of another type", |(_, expected)| in_words(expected));
    ApiError::with_detail(Reason::InvalidField, format!("{path} must be {expected}")).about(&path)
}

pub(in crate::http) fn unknown_field(name: &str, known: &str) -> ApiError {
    let name = &clipped(name);
    ApiError::with_detail(Reason::UnknownField, format!("{name}; known fields: {known}")).about(name)
}

/// A name no longer than any of ours; a client's name can have any length.
fn clipped(name: &str) -> String {
    name.chars().take(100).collect()
}

/// Rephrases the error for readers who do not know Rust.
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
        expected => expected,
    }
}

#[cfg(test)]
mod tests {
    //! What clients read comes from texts of serde and serde_json, which no version promises: one that says it in other
    //! words fails here.

    use chrono::{DateTime, Utc};
    use serde::Deserialize;
    use serde::de::DeserializeOwned;

    use super::{ApiError, read_body, read_query};
    use crate::http::error::reason::Language;
    use crate::http::time;

    /// A field of each type that bodies and queries have.
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its errors are looked at")]
    struct Every {
        text: Option<String>,
        #[serde(default)]
        flag: bool,
        u16: Option<u16>,
        u32: Option<u32>,
        u64: Option<u64>,
        i32: Option<i32>,
        i64: Option<i64>,
        f64: Option<f64>,
        list: Option<Vec<String>>,
        #[serde(default, deserialize_with = "time::optional")]
        time: Option<DateTime<Utc>>,
        nested: Option<Nested>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its errors are looked at")]
    struct Nested {
        wanted: String,
    }

    /// The reason, the field, and the text without what is the same for all of a reason.
    fn described<T>(read: Result<T, ApiError>) -> String {
        let Err(error) = read else { return "nothing".to_owned() };
        let field = error.field.as_deref().unwrap_or("-");
        format!("{} | {field} | {}", error.reason.as_str(), error.message(Language::English))
    }

    fn assert_described(table: &[(&str, &str)], described: impl Fn(&str) -> String) {
        let found = table.iter().map(|(text, expected)| (*text, described(text), *expected));
        let wrong: Vec<_> = found.filter(|(_, described, expected)| !described.starts_with(expected)).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    fn body<T: DeserializeOwned>(text: &str) -> String {
        described(read_body::<T>(text.as_bytes()))
    }

    #[test]
    fn wrong_values_of_every_type_are_told_in_our_words() {
        let table = [
            (r#"{"text": 1}"#, "text", "a string"),
            (r#"{"flag": "yes"}"#, "flag", "true or false"),
            (r#"{"u16": "1"}"#, "u16", "a whole number from 0 to 65535"),
            (r#"{"u16": 65536}"#, "u16", "a whole number from 0 to 65535"),
            (r#"{"u32": -1}"#, "u32", "a whole number from 0 to 4294967295"),
            (r#"{"u32": 1.5}"#, "u32", "a whole number from 0 to 4294967295"),
            (r#"{"u64": -1}"#, "u64", "a whole number from 0 to 18446744073709551615"),
            (r#"{"u64": 1e30}"#, "u64", "a whole number from 0 to 18446744073709551615"),
            (r#"{"i32": 2147483648}"#, "i32", "a whole number from -2147483648 to 2147483647"),
            (r#"{"i64": "1"}"#, "i64", "a whole number from -9223372036854775808 to 9223372036854775807"),
            (r#"{"f64": "1"}"#, "f64", "a number"),
            (r#"{"list": "expected by nobody"}"#, "list", "a list"),
            (r#"{"list": ["a", 1]}"#, "list[1]", "a string"),
            (r#"{"time": 1}"#, "time", "a time such as 2026-11-22T00:00:00Z"),
            (r#"{"time": "expected at noon"}"#, "time", "a time such as 2026-11-22T00:00:00Z"),
            (r#"{"nested": 1}"#, "nested", "an object"),
            (r#"{"nested": {"wanted": null}}"#, "nested.wanted", "a string"),
            ("1", "the body", "an object"),
            ("null", "the body", "an object"),
        ];
        let table =
            table.map(|(text, field, what)| (text, format!("invalid_field | {field} | {field} must be {what}")));
        let table: Vec<_> = table.iter().map(|(text, expected)| (*text, expected.as_str())).collect();
        assert_described(&table, body::<Every>);
    }

    #[test]
    fn names_and_what_is_no_json_are_told_in_our_words() {
        let table = [
            ("{}", "invalid_field | wanted | wanted is missing"),
            (r#"{"wanted": "a", "other": 1}"#, "unknown_field | other | Unknown field other; known fields: wanted"),
            (r#"{"wanted": "a", "wanted": "b"}"#, "invalid_field | wanted | wanted must not be repeated"),
            ("{", "malformed_body | - | The body is not valid JSON: line 1, column "),
            (r#"{"wanted": "\ud800"}"#, "malformed_body | - | The body is not valid JSON: line 1, column "),
            (r#"{"wanted": 1e999}"#, "malformed_body | - | The body is not valid JSON: line 1, column "),
        ];
        assert_described(&table, body::<Nested>);
        let table = [
            ("time=noon", "invalid_field | time | time must be a time such as 2026-11-22T00:00:00Z"),
            ("time=2026-11-22T00:00:00Z", "nothing"),
            ("other=1", "unknown_field | other | Unknown field other; known fields: text, flag, u16, "),
            ("text=a&text=b", "repeated_parameter | text | Parameter text must not be repeated"),
        ];
        assert_described(&table, |text| described(read_query::<Every>(text)));
    }
}
