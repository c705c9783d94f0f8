//! Liveness, readiness and metrics.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::http::error::ApiError;
use crate::http::error::reason::Reason;
use crate::telemetry::metrics::CONTENT_TYPE;

use super::envelope::{ErrorBody, Success, SuccessBody};
use super::state::Gateway;

/// `GET /livez`: the process answers. It does not check its dependencies, because a restart does not fix those.
///
/// Needs no credential. It checks neither the database nor a bucket, because a restart would not
/// repair those.
#[utoipa::path(get, path = "/livez", tag = "health", operation_id = "livez", security(()),
    responses((status = 200, description = "The process answers", body = SuccessBody<String>)))]
pub(super) async fn livez() -> Success<&'static str> {
    Success("alive")
}

/// `GET /metrics`: all metrics, for Prometheus.
///
/// Needs no credential. `docs/metrics.md` describes each metric. If `telemetry.metrics` is false,
/// the answer is 404.
#[utoipa::path(get, path = "/metrics", tag = "health", operation_id = "metrics", security(()),
    responses((status = 200, description = "In Prometheus' text format", body = String, content_type = "text/plain"),
        (status = 404, description = "`telemetry.metrics` is false", body = ErrorBody)))]
pub(super) async fn metrics(State(gateway): State<Arc<Gateway>>) -> Result<impl IntoResponse, ApiError> {
    let scraped = gateway.telemetry.signals.metrics.scrape().ok_or(Reason::NotFound)?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], scraped))
}

/// `GET /readyz`: whether this instance can take requests.
///
/// Needs no credential. It returns 503 while the gateway shuts down, and while a fault would make
/// every upload fail; `msg` names the fault. An instance that does not hear of changes is still
/// ready, and says so in `data`.
#[utoipa::path(get, path = "/readyz", tag = "health", operation_id = "readyz", security(()),
    responses((status = 200, description = "Requests may be sent here", body = SuccessBody<String>),
        (status = 503, description = "Not ready; the message says why", body = ErrorBody)))]
pub(super) async fn readyz(State(gateway): State<Arc<Gateway>>) -> Result<Success<&'static str>, ApiError> {
    match gateway.readiness.fault().await {
        None if gateway.listening.is_on() => Ok(Success("ready")),
        // Requests are served all the same; changes are seen late.
        None => Ok(Success("ready, but not listening for changes")),
        Some(fault) => Err(ApiError::with_detail(Reason::NotReady, fault)),
    }
}
