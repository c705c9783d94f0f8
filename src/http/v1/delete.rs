//! `DELETE /v1/uploads/{id}`.

use axum::extract::State;

use crate::http::envelope::{Success, SuccessBody};
use crate::http::error::ApiError;
use crate::http::extract::caller::Admit;
use crate::http::extract::path::Path;
use crate::http::state::SharedGateway;
use crate::uploads::view::UploadView;

use super::uploads::upload_id;

/// Delete an upload: its object in the bucket, and then `deleted` on record.
///
/// Needs the scope `uploads:delete`; may be repeated. A presigned URL cannot be revoked: until the
/// upload's own URL expires (`url_expires_at`), whoever has it can upload the object again. Unless
/// sweeping is off on every instance, the sweeper then checks the object and deletes it again.
#[utoipa::path(delete, path = "/v1/uploads/{id}", tag = "uploads", operation_id = "delete_upload", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The upload's id")),
    responses((status = 200, description = "The upload, deleted", body = SuccessBody<UploadView>)))]
pub(super) async fn delete(
    State(gateway): State<SharedGateway>,
    Admit(admitted): Admit,
    Path(id): Path<String>,
) -> Result<Success<UploadView>, ApiError> {
    let upload = gateway.uploads.deleter.delete(&admitted, upload_id(&id)?).await?;
    Ok(Success(UploadView::from(&upload)))
}
