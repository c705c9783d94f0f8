//! `/v1/uploads/{id}/complete`.

use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::Invalid;
use crate::domain::upload::bare_etag;
use crate::http::envelope::{Success, SuccessBody};
use crate::http::error::ApiError;
use crate::http::extract::caller::Admit;
use crate::http::extract::json::Body;
use crate::http::extract::path::Path;
use crate::http::state::SharedGateway;
use crate::uploads::view::UploadView;

use super::uploads::upload_id;

const MAX_ETAG: usize = 200;

/// The client's view of its PUT.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CompleteUpload)]
pub(super) struct CompleteBody {
    /// The `ETag` of the PUT's response, with or without quotes; it is compared with the object's.
    #[schema(example = "d41d8cd98f00b204e9800998ecf8427e", max_length = 200)]
    etag: Option<String>,
}

/// Report that an upload has arrived, and check it.
///
/// Compares the object's size, content type, digest and ETag with the declared ones, and returns the
/// upload: `uploaded`, or `mismatched` with both values in `mismatches`. May be called again, because
/// other bytes may be put by the same URL. `uploaded` is final five minutes after the URL has expired,
/// or at once if the upload is bound by `write_once` or `sha256`; the answer then comes from the
/// record. An ETag belongs to one PUT: a call without one forgets it. If the file is missing, the
/// answer is 409 `not_arrived`; if the bucket does not answer, 503 `bucket_unavailable`. In both cases
/// nothing changes. A caller without the scope `uploads:read` can complete only its own uploads.
#[utoipa::path(post, path = "/v1/uploads/{id}/complete", tag = "uploads", operation_id = "complete_upload", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The upload's id")), request_body(content = Option<CompleteBody>),
    responses((status = 200, description = "The upload after the check", body = SuccessBody<UploadView>)))]
pub(super) async fn complete(
    State(gateway): State<SharedGateway>,
    Admit(admitted): Admit,
    Path(id): Path<String>,
    Body(body): Body<CompleteBody>,
) -> Result<Success<UploadView>, ApiError> {
    let etag = body.etag.as_deref().map(parse_etag).transpose()?;
    let upload = gateway.uploads.completer.complete(&admitted, upload_id(&id)?, etag).await?;
    Ok(Success(UploadView::from(&upload)))
}

fn parse_etag(text: &str) -> Result<String, Invalid> {
    let bare = bare_etag(text.trim());
    let plain = bare.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    if !(1..=MAX_ETAG).contains(&bare.len()) || !plain {
        let expected = format!("must be the ETag that the PUT was answered with: 1 to {MAX_ETAG} plain characters");
        return Err(Invalid::new("etag", expected));
    }
    Ok(bare.to_owned())
}
