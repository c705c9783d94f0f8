//! `/admin/v1/sweeper`.

use axum::extract::State;

use crate::error::ApiError;
use crate::http::SharedGateway;
use crate::http::envelope::{Success, SuccessBody};
use crate::uploads::UploadError;
use crate::uploads::sweeper::view::SweeperView;

use super::operator::Operator;

/// Show which uploads are due to be looked for, how late that is, and what this instance does about it.
///
/// The backlog is of all instances; `failing` and `last_round` are of the one that answers.
#[utoipa::path(get, path = "/admin/v1/sweeper", tag = "sweeper", operation_id = "sweeper_status",
    responses((status = 200, description = "The sweeper", body = SuccessBody<SweeperView>)))]
pub(super) async fn status(
    State(gateway): State<SharedGateway>,
    Operator(_): Operator,
) -> Result<Success<SweeperView>, ApiError> {
    Ok(Success(gateway.uploads.sweeper.status().await.map_err(UploadError::from)?))
}
