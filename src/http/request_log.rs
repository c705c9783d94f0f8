//! One line for each request, its trace, its id, and how long it took.
//!
//! Never logged or traced: queries, headers, bodies, and what is in an answer.

use std::borrow::Cow;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode, Version};
use axum::response::Response;
use tower::Service;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::error::code::Reason;
use crate::telemetry::metrics::http::Answered;
use crate::telemetry::{LineKind, ids, trace};

use super::context::{PeerAddress, RequestContext, X_REQUEST_ID};
use super::{SharedGateway, oss};

/// Layer: gives a request its context and its trace, and tells how it ended.
pub(super) fn observe<S>(
    gateway: &SharedGateway,
    inner: &mut S,
    mut request: Request,
) -> impl Future<Output = Result<Response, Infallible>> + use<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    let started = Instant::now();
    let gateway = SharedGateway::clone(gateway);
    let peer = request.extensions().get::<PeerAddress>().map_or([0, 0, 0, 0].into(), |peer| peer.0.ip());
    let (context, span) =
        RequestContext::begin(&request, peer, &gateway.edge.trusted_proxies, &gateway.observed.signals.tracing);
    let method = request.method().clone();
    let path = (!span.is_disabled()).then(|| request.uri().path().to_owned());
    if oss::is_presign(&request) {
        context.note_route(oss::PATH);
    }
    request.extensions_mut().insert(context.clone());

    let answer = inner.call(request).instrument(span.clone());
    ids::within(context.identified(), async move {
        let mut response = answer.await?;
        response.headers_mut().insert(X_REQUEST_ID, context.request_id().clone());
        let took = started.elapsed();
        let ended = Ended { context: &context, method: &method, response: &response };
        gateway.observed.http.record(&ended.answered(), took);
        span.in_scope(|| ended.log(&gateway, took));
        if let Some(path) = path {
            ended.describe(&span, &path);
        }
        Ok(response)
    })
}

/// Layer, within the router: notes which of its routes it is.
pub(super) async fn note_route(request: Request) -> Request {
    let route = request.extensions().get::<MatchedPath>();
    if let Some((context, route)) = RequestContext::of(request.extensions()).zip(route) {
        context.note_route(route.as_str().to_owned());
    }
    request
}

/// The span of a request (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>); what is not known yet follows at its end.
pub(super) fn span(request: &Request, client_address: std::net::IpAddr) -> Span {
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

/// A request whose answer is known.
struct Ended<'a> {
    context: &'a RequestContext,
    method: &'a Method,
    response: &'a Response,
}

impl Ended<'_> {
    fn reason(&self) -> Option<&'static str> {
        self.response.extensions().get::<Reason>().map(|reason| reason.as_str())
    }

    /// Why it failed, where that was not the caller's doing.
    fn failure(&self) -> Option<&'static str> {
        self.response.status().is_server_error().then(|| self.reason().unwrap_or("unknown"))
    }

    fn answered(&self) -> Answered<'_> {
        Answered {
            method: method_name(self.method),
            route: self.context.route(),
            status: self.response.status().as_u16(),
            failure: self.failure(),
        }
    }

    /// Writes the line, if it may be written: those of failures always.
    fn log(&self, gateway: &SharedGateway, took: Duration) {
        let Self { context, method, response } = self;
        let status = response.status();
        let kind = if status.is_client_error() { LineKind::ClientError } else { LineKind::Success };
        macro_rules! log {
            ($level:ident, $left_out:expr) => {
                tracing::$level!(
                    http.request.method = method.as_str(),
                    http.route = context.route().map(AsRef::<str>::as_ref),
                    http.response.status_code = status.as_u16(),
                    client.address = %context.client_address(),
                    presign_gateway.tenant = context.tenant(),
                    presign_gateway.reason = self.reason(),
                    presign_gateway.auth.refusal = context.refusal(),
                    presign_gateway.duration_ms = took.as_secs_f64() * 1e3,
                    presign_gateway.left_out = $left_out,
                    "request"
                )
            };
        }
        match status {
            status if status.is_server_error() => log!(error, None::<u64>),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => {
                if tracing::enabled!(tracing::Level::WARN)
                    && let Some(left_out) = gateway.observed.lines.take(kind)
                {
                    log!(warn, Some(left_out).filter(|number| *number > 0));
                }
            }
            _ => {
                if tracing::enabled!(tracing::Level::INFO)
                    && let Some(left_out) = gateway.observed.lines.take(kind)
                {
                    log!(info, Some(left_out).filter(|number| *number > 0));
                }
            }
        }
    }

    /// Completes the span. The path of a request that was refused may be anything, and is left out.
    fn describe(&self, span: &Span, path: &str) {
        let status = self.response.status();
        let method = match method_name(self.method) {
            OTHER_METHOD => "HTTP",
            known => known,
        };
        let name = self.context.route().map_or(Cow::Borrowed(method), |route| format!("{method} {route}").into());
        trace::rename(span, name);
        span.record("http.response.status_code", status.as_u16());
        span.record("http.route", self.context.route().map(AsRef::<str>::as_ref));
        span.record("presign_gateway.request_id", self.context.request_id_text());
        span.record("presign_gateway.tenant", self.context.tenant());
        span.record("presign_gateway.reason", self.reason());
        if status.is_success() {
            span.record("url.path", path);
        }
        if let Some(failure) = self.failure() {
            span.record("error.type", failure);
            span.record("otel.status_code", "ERROR");
        }
    }
}

/// What the semantic conventions call a method that nobody knows; in the name of a span it is `HTTP`.
const OTHER_METHOD: &str = "_OTHER";

/// The methods of RFC 9110 and RFC 5789; one that somebody made up has no name.
fn method_name(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or(OTHER_METHOD)
}
