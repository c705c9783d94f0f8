//! `/v1/uploads`.

use axum::Extension as FromExtensions;
use axum::extract::State;
use uuid::Uuid;

use crate::domain::ids::UploadId;
use crate::http::context::RequestContext;
use crate::http::envelope::{Success, SuccessBody};
use crate::http::error::ApiError;
use crate::http::error::reason::Reason;
use crate::http::extract::caller::Admit;
use crate::http::extract::json::Body;
use crate::http::extract::path::Path;
use crate::http::state::SharedGateway;
use crate::uploads::view::UploadView;

use super::issued::{Issued, IssuedView};
use super::request::UploadCreate;
use crate::http::extract::idempotency_key::IdempotencyKey;

/// Request a presigned URL for one file.
///
/// The URL is bound to what is named: the store refuses a PUT of another size, media type or digest, or a second one where
/// `write_once` is set. The client must send `headers`, exactly as they are.
#[utoipa::path(post, path = "/v1/uploads", tag = "uploads", operation_id = "issue_upload", security(("bearer" = [])),
    params(("idempotency-key" = Option<String>, Header,
        description = "For 24 hours the same request with the same key gets the same upload, with a new URL if the first has expired and the file has not arrived; a different request with the key gets 409. Rejected requests are not stored")),
    request_body = UploadCreate,
    responses((status = 201, description = "The presigned URL; the upload is recorded", body = SuccessBody<IssuedView>)))]
pub(super) async fn issue(
    State(gateway): State<SharedGateway>,
    FromExtensions(context): FromExtensions<RequestContext>,
    Admit(admitted): Admit,
    idempotency_key: IdempotencyKey,
    Body(body): Body<UploadCreate>,
) -> Result<Issued, ApiError> {
    let idempotency = idempotency_key.of("issue_upload", &body)?;
    let (request, origin) = (body.parse()?, context.source());
    let issued = match idempotency {
        None => gateway.uploads.issuer.issue(&admitted, request, origin).await?,
        Some(idempotency) => gateway.uploads.batch_issuer.issue_once(&admitted, request, idempotency, origin).await?,
    };
    Ok(Issued(issued))
}

/// Show an upload.
///
/// Needs the scope `uploads:read`. The answer is what is on record: the gateway does not look into
/// the bucket, and never shows a URL.
#[utoipa::path(get, path = "/v1/uploads/{id}", tag = "uploads", operation_id = "get_upload", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The upload's id")),
    responses((status = 200, description = "The upload", body = SuccessBody<UploadView>)))]
pub(super) async fn show(
    State(gateway): State<SharedGateway>,
    Admit(admitted): Admit,
    Path(id): Path<String>,
) -> Result<Success<UploadView>, ApiError> {
    let upload = gateway.uploads.reader.show(&admitted, upload_id(&id)?).await?;
    Ok(Success(UploadView::from(&upload)))
}

/// Sign again an upload that has not arrived: for the same object key, bound to the same.
///
/// Needs the scope `uploads:issue`; a caller without `uploads:read` can renew only uploads that it
/// issued itself. The new URL lives as long as the app's policy says by default. An upload that has
/// arrived or was deleted is answered with 409.
#[utoipa::path(get, path = "/v1/uploads/{id}/url", tag = "uploads", operation_id = "renew_upload_url", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The upload's id")),
    responses((status = 200, description = "Where to upload", body = SuccessBody<IssuedView>)))]
pub(super) async fn renew(
    State(gateway): State<SharedGateway>,
    Admit(admitted): Admit,
    Path(id): Path<String>,
) -> Result<Success<IssuedView>, ApiError> {
    Ok(Success(gateway.uploads.resigner.renew(&admitted, upload_id(&id)?).await?.into()))
}

/// What is no id is the id of no upload.
pub(super) fn upload_id(text: &str) -> Result<UploadId, ApiError> {
    let id = Uuid::try_parse(text).ok().map(UploadId::from);
    id.ok_or_else(|| ApiError::with_detail(Reason::ResourceNotFound, "upload"))
}
