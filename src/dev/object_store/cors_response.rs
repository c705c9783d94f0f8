//! Responses to browsers by a bucket's CORS rules, as S3 sends them: the first matching rule
//! decides.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::domain::cors::CorsRule;

const VARY: &str = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";

/// The answer to OPTIONS, which needs no signature.
pub(super) fn preflight(rules: &[CorsRule], request: &HeaderMap) -> Response {
    let (Some(origin), Some(method)) =
        (text(request, &header::ORIGIN), text(request, &header::ACCESS_CONTROL_REQUEST_METHOD))
    else {
        let message = "Insufficient information. Origin and Access-Control-Request-Method are needed.";
        return error(StatusCode::BAD_REQUEST, "BadRequest", message);
    };
    let names: Vec<_> = request
        .get_all(header::ACCESS_CONTROL_REQUEST_HEADERS)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty())
        .collect();
    let Some(rule) = fitting(rules, origin, method).find(|rule| names.iter().all(|name| rule.allows_header(name)))
    else {
        let message = "CORSResponse: This CORS request is not allowed.";
        return error(StatusCode::FORBIDDEN, "AccessForbidden", message);
    };
    let mut headers = allowed(rule, origin);
    put(&mut headers, header::ACCESS_CONTROL_ALLOW_HEADERS, &names.join(", "));
    if let Some(seconds) = rule.max_age_seconds {
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, seconds.into());
    }
    headers.into_response()
}

/// What is added to the answer to any other request from a page; nothing where no rule fits.
pub(super) fn added(rules: &[CorsRule], request: &HeaderMap, method: &str) -> HeaderMap {
    let Some(origin) = text(request, &header::ORIGIN) else { return HeaderMap::new() };
    fitting(rules, origin, method).next().map(|rule| allowed(rule, origin)).unwrap_or_default()
}

fn fitting<'a>(rules: &'a [CorsRule], origin: &'a str, method: &'a str) -> impl Iterator<Item = &'a CorsRule> {
    rules.iter().filter(move |rule| rule.allows_origin(origin) && rule.allows_method(method))
}

fn allowed(rule: &CorsRule, origin: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if rule.allowed_origins.iter().any(|allowed| allowed == "*") {
        put(&mut headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    } else {
        put(&mut headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        put(&mut headers, header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    }
    put(&mut headers, header::ACCESS_CONTROL_ALLOW_METHODS, &rule.allowed_methods.join(", "));
    put(&mut headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, &rule.expose_headers.join(", "));
    put(&mut headers, header::VARY, VARY);
    headers
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // What no header can hold was no header's name either.
    if let Ok(value) = HeaderValue::from_str(value)
        && !value.is_empty()
    {
        headers.insert(name, value);
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    (status, [(header::CONTENT_TYPE, "application/xml")], xml).into_response()
}
