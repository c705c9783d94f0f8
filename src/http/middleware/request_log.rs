//! One log line, one trace and one id for each request, with its duration.
//!
//! Never logs or traces queries, headers, or bodies of requests and responses.

use std::borrow::Cow;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;
use axum::response::Response;
use tower::Service;
use tracing::{Instrument, Span};

use crate::http::error::reason::Reason;
use crate::telemetry::metrics::http::Answered;
use crate::telemetry::{LineBudget, LineKind, correlation, trace};

use crate::http::context::{PeerAddress, RequestContext, X_REQUEST_ID};
use crate::http::span::{OTHER_METHOD, method_name};
use crate::http::state::SharedGateway;

/// The route of a request that goes past the router, which would otherwise name it.
pub(in crate::http) type FastRoute = fn(&Request) -> Option<&'static str>;

/// Layer: gives a request its context and trace, and logs its outcome.
pub(in crate::http) fn observe<S>(
    gateway: &SharedGateway,
    fast_route: FastRoute,
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
        RequestContext::begin(&request, peer, &gateway.edge.trusted_proxies, &gateway.telemetry.signals.tracing);
    let path = (!span.is_disabled()).then(|| request.uri().path().to_owned());
    let method = method_name(request.method());
    if let Some(route) = fast_route(&request) {
        context.note_route(route);
    }
    request.extensions_mut().insert(context.clone());

    // Boxed: each future around it would hold it twice, and be copied three kilobytes at a time.
    let answer = Box::pin(inner.call(request)).instrument(span.clone());
    correlation::within(context.identified(), async move {
        let mut watch = Watch { gateway, context, method, span, path, started, has_ended: false };
        let mut response = answer.await?;
        response.headers_mut().insert(X_REQUEST_ID, watch.context.request_id().clone());
        watch.ends_with(Some(&response));
        Ok(response)
    })
}

/// Logs each request exactly once, even if its client disconnected.
struct Watch {
    gateway: SharedGateway,
    context: RequestContext,
    method: &'static str,
    span: Span,
    path: Option<String>,
    started: Instant,
    has_ended: bool,
}

impl Watch {
    fn ends_with(&mut self, response: Option<&Response>) {
        self.has_ended = true;
        let took = self.started.elapsed();
        let ended = Ended {
            context: &self.context,
            method: self.method,
            status: response.map(Response::status),
            reason: match response {
                Some(response) => response.extensions().get::<Reason>().map(|reason| reason.as_str()),
                None => Some(CANCELLED),
            },
        };
        self.gateway.telemetry.http.record(&ended.answered(), took);
        ended.log(&self.gateway.telemetry.lines, took);
        if let Some(path) = &self.path {
            ended.describe(&self.span, path);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.has_ended {
            self.ends_with(None);
        }
    }
}

/// The client disconnected before the response, or the gateway stopped.
const CANCELLED: &str = "cancelled";

/// Layer inside the router: records which route matched.
pub(in crate::http) async fn note_route(request: Request) -> Request {
    let route = request.extensions().get::<MatchedPath>();
    if let Some((context, route)) = RequestContext::of(request.extensions()).zip(route) {
        context.note_route(route.as_str().to_owned());
    }
    request
}

/// A request and its outcome.
struct Ended<'a> {
    context: &'a RequestContext,
    method: &'static str,
    /// `None` if the client disconnected.
    status: Option<StatusCode>,
    reason: Option<&'static str>,
}

impl Ended<'_> {
    /// Why it failed if the caller is not at fault, or that it got no response.
    fn failure(&self) -> Option<&'static str> {
        let is_ours = self.status.is_none_or(|status| status.is_server_error());
        is_ours.then(|| self.reason.unwrap_or("unknown"))
    }

    fn answered(&self) -> Answered<'_> {
        Answered {
            method: self.method,
            route: self.context.route(),
            status: self.status.map(|status| status.as_u16()),
            failure: self.failure(),
        }
    }

    /// Writes the line if the budget allows; failures are always written.
    fn log(&self, lines: &LineBudget, took: Duration) {
        let Self { context, method, status, reason } = self;
        macro_rules! log {
            ($level:ident, $suppressed:expr) => {
                tracing::$level!(
                    http.request.method = method,
                    http.route = context.route().map(AsRef::<str>::as_ref),
                    http.response.status_code = status.map(|status| status.as_u16()),
                    client.address = %context.client_address(),
                    presign_gateway.tenant = context.tenant(),
                    presign_gateway.reason = reason,
                    presign_gateway.auth.refusal = context.refusal(),
                    presign_gateway.duration_ms = took.as_secs_f64() * 1e3,
                    presign_gateway.suppressed = $suppressed,
                    "request"
                )
            };
        }
        let if_any = |suppressed| Some(suppressed).filter(|number| *number > 0);
        match status {
            Some(status) if status.is_server_error() => log!(error, None::<u64>),
            Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) => {
                if tracing::enabled!(tracing::Level::WARN)
                    && let Some(suppressed) = lines.take(LineKind::ClientError)
                {
                    log!(warn, if_any(suppressed));
                }
            }
            _ => {
                let is_well = status.is_some_and(|status| !status.is_client_error());
                let kind = if is_well { LineKind::Success } else { LineKind::ClientError };
                if tracing::enabled!(tracing::Level::INFO)
                    && let Some(suppressed) = lines.take(kind)
                {
                    log!(info, if_any(suppressed));
                }
            }
        }
    }

    /// Completes the span. Omits the path of a rejected request, because it can be anything.
    fn describe(&self, span: &Span, path: &str) {
        let method = match self.method {
            OTHER_METHOD => "HTTP",
            known => known,
        };
        let name = self.context.route().map_or(Cow::Borrowed(method), |route| format!("{method} {route}").into());
        trace::rename(span, name);
        span.record("http.response.status_code", self.status.map(|status| status.as_u16()));
        span.record("http.route", self.context.route().map(AsRef::<str>::as_ref));
        span.record("presign_gateway.request_id", self.context.request_id_text());
        span.record("presign_gateway.tenant", self.context.tenant());
        span.record("presign_gateway.reason", self.reason);
        if self.status.is_some_and(|status| status.is_success()) {
            span.record("url.path", path);
        }
        if let Some(failure) = self.failure() {
            span.record("error.type", failure);
        }
        if self.status.is_some_and(|status| status.is_server_error()) {
            span.record("otel.status_code", "ERROR");
        }
    }
}
