//! What is refused before a use case sees it, and what happens when one fails badly.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::ApiError;
use crate::error::code::Reason;

use super::Gateway;

/// Layer: refuses queries and bodies over the limit.
pub(super) async fn sizes(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    let edge = &gateway.edge;
    if request.uri().query().is_some_and(|query| query.len() > edge.max_query_bytes) {
        return ApiError::with_detail(Reason::QueryTooLong, edge.max_query_bytes.to_string()).into_response();
    }
    let declared =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    // One that declares nothing is cut off where it is read.
    if declared.is_some_and(|bytes| bytes > edge.max_body_bytes) {
        return ApiError::with_detail(Reason::BodyTooLarge, edge.max_body_bytes.to_string()).into_response();
    }
    next.run(request).await
}

/// Layer: answers within the time allowed, whatever happens behind.
pub(super) async fn timeout(State(allowed): State<Duration>, request: Request, next: Next) -> Response {
    tokio::time::timeout(allowed, next.run(request)).await.unwrap_or_else(|_| {
        tracing::error!(reason = Reason::Unavailable.as_str(), cause = "the request timed out", "request failed");
        ApiError::from(Reason::Unavailable).into_response()
    })
}

/// What the panic catcher answers; a panic is a bug, and is logged as one.
#[expect(clippy::needless_pass_by_value, reason = "the layer wants a function that takes the payload")]
pub(super) fn panicked(payload: Box<dyn Any + Send>) -> Response {
    let cause =
        payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    tracing::error!(reason = Reason::Internal.as_str(), cause = cause.unwrap_or("unknown"), "request panicked");
    ApiError::from(Reason::Internal).into_response()
}

pub(super) async fn not_found() -> ApiError {
    Reason::NotFound.into()
}

/// The router says which methods there are.
pub(super) async fn method_not_allowed() -> ApiError {
    Reason::MethodNotAllowed.into()
}

/// For routes where HEAD is no GET without a body.
pub(super) async fn only_get() -> Response {
    ([(header::ALLOW, "GET")], ApiError::from(Reason::MethodNotAllowed)).into_response()
}
