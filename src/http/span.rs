//! The span of a request, in the words of OpenTelemetry's semantic conventions.

use axum::extract::Request;
use axum::http::{Method, Version};
use tracing::Span;
use tracing::field::Empty;

use crate::telemetry::trace;

/// The span of a request (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>); what is not known yet follows at its end.
pub(super) fn request_span(request: &Request, client_address: std::net::IpAddr) -> Span {
    let version = match request.version() {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    };
    tracing::info_span!(
        target: trace::ROOT,
        "request",
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method_name(request.method()),
        http.route = Empty,
        http.response.status_code = Empty,
        url.scheme = "http",
        url.path = Empty,
        client.address = %client_address,
        network.protocol.version = version,
        error.type = Empty,
        presign_gateway.request_id = Empty,
        presign_gateway.tenant = Empty,
        presign_gateway.reason = Empty,
    )
}

/// What the semantic conventions call a method that nobody knows; in the name of a span it is `HTTP`.
pub(super) const OTHER_METHOD: &str = "_OTHER";

/// The methods of RFC 9110 and RFC 5789; one that somebody made up has no name.
pub(super) fn method_name(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or(OTHER_METHOD)
}
