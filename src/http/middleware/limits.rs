//! Rejects requests over a limit before a handler runs, and turns timeouts and panics into
//! responses.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use hyper::body::Body as _;
use tokio::time::timeout;
use tower::Service;

use crate::http::error::ApiError;
use crate::http::error::reason::Reason;

use crate::http::context::RequestContext;
use crate::http::envelope;
use crate::http::middleware::accept_language;
use crate::http::state::Edge;

/// Layer: rejects requests that are too large, responds within the time limit, and writes errors
/// into the envelope.
pub(in crate::http) fn protect<S>(
    edge: &Edge,
    allowed: Duration,
    inner: &mut S,
    request: Request,
) -> impl Future<Output = Result<Response, Infallible>> + use<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    let context = RequestContext::of(request.extensions()).cloned();
    let language = accept_language::of(request.uri().path(), request.headers(), edge.default_language);
    let is_head = request.method() == Method::HEAD;
    let answer = check_sizes(edge, &request).map(|()| inner.call(request));
    async move {
        let response = match answer {
            Ok(answer) => finish(allowed, answer).await,
            Err(error) => error.into_response(),
        };
        let response = envelope::complete(response, context.as_ref(), language);
        Ok(if is_head { without_body(response) } else { response })
    }
}

/// The response to HEAD (RFC 9110, section 9.3.2). The router does this for its routes, but errors
/// are written here.
fn without_body(mut response: Response) -> Response {
    let length = response.body().size_hint().exact();
    let body = std::mem::take(response.body_mut());
    if let Some(length) = length.filter(|_| !body.is_end_stream()) {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    response
}

/// Rejects queries and bodies over the limit, and two hosts. A body without a declared length is
/// truncated when it is read.
fn check_sizes(edge: &Edge, request: &Request) -> Result<(), ApiError> {
    if request.uri().query().is_some_and(|query| query.len() > edge.max_query_bytes) {
        return Err(ApiError::with_detail(Reason::QueryTooLong, edge.max_query_bytes.to_string()));
    }
    // Whose request this is must not depend on who reads it (RFC 9112, section 3.2).
    if request.headers().get_all(header::HOST).iter().nth(1).is_some() {
        return Err(ApiError::with_detail(Reason::RepeatedParameter, "Host").about("Host"));
    }
    let declared =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|bytes| bytes > edge.max_body_bytes) {
        return Err(ApiError::with_detail(Reason::BodyTooLarge, edge.max_body_bytes.to_string()));
    }
    Ok(())
}

/// The response, if there is one in time.
async fn finish(allowed: Duration, answer: impl Future<Output = Result<Response, Infallible>>) -> Response {
    match timeout(allowed, AssertUnwindSafe(answer).catch_unwind()).await {
        Ok(Ok(Ok(response))) => response,
        Ok(Err(panic)) => panicked(&*panic),
        Err(_) => {
            tracing::error!(
                presign_gateway.reason = Reason::Unavailable.as_str(),
                cause = "the request timed out",
                "request failed"
            );
            ApiError::from(Reason::Unavailable).into_response()
        }
    }
}

/// A panic is a bug and is logged as one.
fn panicked(payload: &(dyn Any + Send)) -> Response {
    let cause =
        payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    tracing::error!(
        presign_gateway.reason = Reason::Internal.as_str(),
        cause = cause.unwrap_or("unknown"),
        "request panicked"
    );
    ApiError::from(Reason::Internal).into_response()
}

pub(in crate::http) async fn not_found() -> ApiError {
    Reason::NotFound.into()
}

/// The router lists the allowed methods.
pub(in crate::http) async fn method_not_allowed() -> ApiError {
    Reason::MethodNotAllowed.into()
}

/// For routes where HEAD is not a GET without a body.
pub(in crate::http) async fn only_get() -> Response {
    ([(header::ALLOW, "GET")], ApiError::from(Reason::MethodNotAllowed)).into_response()
}
