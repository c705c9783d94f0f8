//! Liveness and readiness.

use std::sync::Arc;

use axum::extract::State;

use crate::error::ApiError;
use crate::error::code::Reason;

use super::Gateway;
use super::envelope::Success;

/// `GET /livez`: the process answers. Says nothing of its dependencies: restarting would not mend those.
pub(super) async fn livez() -> Success<&'static str> {
    Success("alive")
}

/// `GET /readyz`: requests may be sent here.
pub(super) async fn readyz(State(gateway): State<Arc<Gateway>>) -> Result<Success<&'static str>, ApiError> {
    match gateway.health.fault().await {
        None => Ok(Success("ready")),
        Some(fault) => Err(ApiError::with_detail(Reason::NotReady, fault)),
    }
}
