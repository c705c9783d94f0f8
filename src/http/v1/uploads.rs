//! `/v1/uploads`.

use axum::extract::State;
use uuid::Uuid;

use crate::domain::ids::UploadId;
use crate::error::ApiError;
use crate::error::code::Reason;
use crate::http::SharedGateway;
use crate::http::envelope::{Success, SuccessBody};
use crate::http::extract::Admit;
use crate::http::path::Path;
use crate::uploads::view::UploadView;

/// Show an upload.
#[utoipa::path(get, path = "/v1/uploads/{id}", tag = "uploads", operation_id = "get_upload", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The upload's id")),
    responses((status = 200, description = "The upload", body = SuccessBody<UploadView>)))]
pub(super) async fn show(
    State(gateway): State<SharedGateway>,
    Admit(admitted): Admit,
    Path(id): Path<String>,
) -> Result<Success<UploadView>, ApiError> {
    let upload = gateway.uploads.show(&admitted, upload_id(&id)?).await?;
    Ok(Success(UploadView::from(&upload)))
}

/// What is no id is the id of no upload.
pub(super) fn upload_id(text: &str) -> Result<UploadId, ApiError> {
    let id = Uuid::try_parse(text).ok().map(UploadId::from);
    id.ok_or_else(|| ApiError::with_detail(Reason::NoSuchRow, "upload"))
}
