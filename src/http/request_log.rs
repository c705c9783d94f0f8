//! One line for each request, its span, and its id.
//!
//! Never logged: queries, headers, bodies, and what is in an answer.

use std::convert::Infallible;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use tower::Service;
use tracing::Instrument;

use crate::error::code::Reason;

use super::context::{PeerAddress, RequestContext, X_REQUEST_ID};
use super::{Gateway, oss};

/// Layer: gives a request its context and its span, and logs how it ended.
pub(super) fn observe<S>(
    gateway: &Gateway,
    inner: &mut S,
    mut request: Request,
) -> impl Future<Output = Result<Response, Infallible>> + use<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    let started = Instant::now();
    let peer = request.extensions().get::<PeerAddress>().map_or([0, 0, 0, 0].into(), |peer| peer.0.ip());
    let context = RequestContext::new(request.headers(), peer, &gateway.edge.trusted_proxies);
    let method = request.method().clone();
    if oss::is_presign(&request) {
        context.note_route(oss::PATH);
    }
    request.extensions_mut().insert(context.clone());

    let span = tracing::info_span!("request", request_id = context.request_id_text());
    let answer = inner.call(request).instrument(span);
    async move {
        let mut response = answer.await?;
        response.headers_mut().insert(X_REQUEST_ID, context.request_id().clone());
        log(&context, started, &method, &response);
        Ok(response)
    }
}

/// Layer, within the router: notes which of its routes it is.
pub(super) async fn note_route(request: Request) -> Request {
    let route = request.extensions().get::<MatchedPath>();
    if let Some((context, route)) = RequestContext::of(request.extensions()).zip(route) {
        context.note_route(route.as_str().to_owned());
    }
    request
}

fn log(context: &RequestContext, started: Instant, method: &Method, response: &Response) {
    let status = response.status();
    let reason = response.extensions().get::<Reason>().map(|reason| reason.as_str());
    macro_rules! log {
        ($level:ident) => {
            tracing::$level!(
                request_id = context.request_id_text(),
                http.request.method = method.as_str(),
                http.route = context.route(),
                http.response.status_code = status.as_u16(),
                client.address = %context.client_address(),
                tenant = context.tenant(),
                reason,
                duration_ms = started.elapsed().as_secs_f64() * 1e3,
                "request"
            )
        };
    }
    match status {
        status if status.is_server_error() => log!(error),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => log!(warn),
        _ => log!(info),
    }
}
