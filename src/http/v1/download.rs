//! `/v1/uploads/{id}/download`.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::disposition::Filename;
use crate::http::envelope::{Success, SuccessBody};
use crate::http::error::ApiError;
use crate::http::extract::caller::Admit;
use crate::http::extract::json::Query;
use crate::http::extract::path::Path;
use crate::http::state::SharedGateway;
use crate::uploads::DownloadRequest;

use super::uploads::upload_id;

/// How a file is to be downloaded.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DownloadQuery {
    /// The URL's lifetime, in seconds: 1 to the app's maximum; by default the app's policy.
    #[serde(default, deserialize_with = "crate::http::extract::number::seconds_text")]
    expires_in: Option<u32>,
    /// `inline` to show it, `attachment` to save it; default `attachment` with a `filename`, otherwise the bucket's own.
    disposition: Option<String>,
    /// The name to save it under: 1 to 255 bytes, any script, no slashes and no control characters.
    filename: Option<String>,
    /// The media type to answer with: one of those that can be uploaded, or `application/octet-stream`; default the type of the upload's
    /// extension, whatever the client called its file.
    content_type: Option<String>,
}

/// Where a file can be downloaded.
#[derive(Serialize, ToSchema)]
#[schema(as = Download)]
pub(super) struct DownloadView {
    /// Whoever has it can download the file until it expires.
    url: String,
    #[schema(example = "GET")]
    method: &'static str,
    expires_at: DateTime<Utc>,
}

/// Create a presigned URL that downloads an upload.
///
/// Needs the scope `uploads:read`. The gateway does not check that the file exists; a deleted one gets 409 `upload_deleted`.
#[utoipa::path(get, path = "/v1/uploads/{id}/download", tag = "uploads", operation_id = "download_upload", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The upload's id"), DownloadQuery),
    responses((status = 200, description = "A presigned URL", body = SuccessBody<DownloadView>)))]
pub(super) async fn download(
    State(gateway): State<SharedGateway>,
    Admit(admitted): Admit,
    Path(id): Path<String>,
    Query(query): Query<DownloadQuery>,
) -> Result<Success<DownloadView>, ApiError> {
    let request = DownloadRequest {
        expires_in_seconds: query.expires_in,
        disposition: query.disposition.as_deref().map(str::parse).transpose()?,
        filename: query.filename.as_deref().map(Filename::parse).transpose()?,
        content_type: query.content_type.as_deref().map(DownloadRequest::parse_content_type).transpose()?,
    };
    let download = gateway.uploads.downloader.download(&admitted, upload_id(&id)?, request).await?;
    let url = download.url.expose().to_owned();
    Ok(Success(DownloadView { url, method: "GET", expires_at: download.expires_at }))
}
