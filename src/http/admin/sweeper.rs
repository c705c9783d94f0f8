//! `/admin/v1/sweeper`.

use axum::extract::State;

use crate::http::envelope::{Success, SuccessBody};
use crate::http::error::ApiError;
use crate::http::state::SharedGateway;
use crate::jobs::sweeper::view::SweeperView;
use crate::uploads::UploadError;

use crate::http::extract::operator::Operator;

/// Show which uploads are due for a check, how late the sweeper is, and this instance's work.
///
/// The backlog is of all instances; `failing` and `last_round` are of the one that answers.
#[utoipa::path(get, path = "/admin/v1/sweeper", tag = "sweeper", operation_id = "sweeper_status",
    responses((status = 200, description = "The sweeper", body = SuccessBody<SweeperView>)))]
pub(super) async fn status(
    State(gateway): State<SharedGateway>,
    Operator(_): Operator,
) -> Result<Success<SweeperView>, ApiError> {
    Ok(Success(gateway.sweeper.status().await.map_err(UploadError::from)?))
}
