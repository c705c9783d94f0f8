//! `/admin/v1/keyring`.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::view::SealingKeyView;
use crate::domain::page::Page;
use crate::http::envelope::{Success, SuccessBody};
use crate::http::error::ApiError;
use crate::http::state::SharedGateway;

use super::PageView;
use crate::http::extract::operator::Operator;

/// The result of re-sealing.
#[derive(Serialize, ToSchema)]
#[schema(as = Resealed)]
pub(super) struct ResealedView {
    /// The key that seals.
    sealing_key_id: String,
    resealed: u64,
    /// Rows that cannot be decrypted; they stay unchanged.
    failed: Vec<String>,
}

/// Show how many rows each key of this instance's keyring seals.
///
/// The first key seals, the others only open. Rows under a key that is not `present` cannot be
/// opened by this instance.
#[utoipa::path(get, path = "/admin/v1/keyring", tag = "keyring", operation_id = "keyring_status",
    responses((status = 200, description = "Every sealing key", body = SuccessBody<PageView<SealingKeyView>>)))]
pub(super) async fn status(
    State(gateway): State<SharedGateway>,
    Operator(tenants): Operator,
) -> Result<Success<PageView<SealingKeyView>>, ApiError> {
    let status = tenants.keyring_status(&gateway.keyring).await?;
    Ok(Success(Page::whole(status).view().into()))
}

/// Re-seal every secret under the keyring's first key; repeat it if it is interrupted.
///
/// Rows are sealed again in batches while requests go on. A row that cannot be opened is left as it
/// is, and listed in `failed`.
#[utoipa::path(post, path = "/admin/v1/keyring/rotate", tag = "keyring", operation_id = "rotate_sealing_key",
    responses((status = 200, description = "What was done", body = SuccessBody<ResealedView>)))]
pub(super) async fn rotate(
    State(gateway): State<SharedGateway>,
    Operator(tenants): Operator,
) -> Result<Success<ResealedView>, ApiError> {
    let done = tenants.rotate_sealing_key(&gateway.keyring, |_| ()).await?;
    let sealing_key_id = gateway.keyring.sealing_key_id().to_owned();
    Ok(Success(ResealedView { sealing_key_id, resealed: done.resealed, failed: done.failed }))
}
