//! `GET /oss/presign`, as in the contract that existing clients use.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Extension as FromExtensions;
use axum::extract::{RawQuery, Request, State};
use axum::http::Method;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::domain::extension::Extension;
use crate::domain::upload::{FileFacts, Pixels, Seconds, UploadKind, UploadRequest};
use crate::http::error::ApiError;
use crate::http::error::reason::Reason;

use super::context::RequestContext;
use super::envelope::{Success, SuccessBody};
use super::state::Gateway;
use crate::http::extract::caller::AdmittedOrAnonymous;

pub(super) const PATH: &str = "/oss/presign";

/// Where to upload.
#[derive(Serialize, ToSchema)]
pub(super) struct Presigned {
    /// The URL for the PUT, without any special header.
    url: String,
    /// The object key within the app's bucket.
    #[serde(rename = "key")]
    #[schema(example = "2026/11/22/01a203fe-9eeb-7344-910f-c05f00b8cddb.jpg")]
    object_key: String,
}

/// What the file is; other parameters are passed over.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "describes the query for the OpenAPI document; `parse` reads it and returns the contract's error texts"
)]
pub(super) struct PresignQuery {
    /// `jpg`, `jpeg`, `png`, `webp`, `gif`, `mp4` or `webm`.
    #[param(example = "jpg")]
    ext: String,
    /// Pixels.
    #[param(minimum = 1, maximum = 2_147_483_647)]
    width: Option<i32>,
    /// Pixels.
    #[param(minimum = 1, maximum = 2_147_483_647)]
    height: Option<i32>,
    /// Seconds; decimals allowed.
    #[param(minimum = 0, maximum = 1_000_000_000)]
    duration: Option<f64>,
    /// `thumb`, `origin` or `video`.
    #[param(rename = "type", example = "origin")]
    kind: Option<String>,
}

/// Whether [`presign`] handles the request.
pub(super) fn is_presign(request: &Request) -> bool {
    request.method() == Method::GET && request.uri().path() == PATH
}

/// The route of a presign, which does not go through the router.
pub(super) fn fast_route(request: &Request) -> Option<&'static str> {
    is_presign(request).then_some(PATH)
}

/// Request a presigned URL for a picture or a video.
///
/// The URL takes a bare PUT of the file: no header is bound. The upload is on record before the URL
/// is returned. `POST /v1/uploads` can bind the size, the media type and the digest as well.
#[utoipa::path(get, path = PATH, tag = "uploads", operation_id = "presign", params(PresignQuery), security(("bearer" = [])),
    responses((status = 200, description = "The presigned URL; the upload is recorded", body = SuccessBody<Presigned>)))]
pub(super) async fn presign(
    State(gateway): State<Arc<Gateway>>,
    FromExtensions(context): FromExtensions<RequestContext>,
    AdmittedOrAnonymous(admitted): AdmittedOrAnonymous,
    RawQuery(query): RawQuery,
) -> Result<Success<Presigned>, ApiError> {
    let request = UploadRequest::bare(parse(query.as_deref().unwrap_or_default())?);
    let issued = gateway.uploads.issuer.issue(&admitted, request, context.source()).await?;
    Ok(Success(Presigned { url: issued.url.reveal(), object_key: issued.object_key }))
}

const PARAMETERS: [&str; 5] = ["ext", "width", "height", "duration", "type"];

/// Parses the query and ignores parameters that the contract does not know.
pub(super) fn parse(query: &str) -> Result<FileFacts, ApiError> {
    let mut values: [Option<Cow<'_, str>>; PARAMETERS.len()] = Default::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let known = PARAMETERS.iter().zip(&mut values).find(|(parameter, _)| **parameter == name);
        let Some((parameter, slot)) = known else { continue };
        if slot.replace(value).is_some() {
            return Err(ApiError::with_detail(Reason::RepeatedParameter, *parameter));
        }
    }
    let [ext, width, height, duration, kind] = values;
    Ok(FileFacts {
        ext: ext.as_deref().and_then(Extension::parse).ok_or(Reason::InvalidExt)?,
        width: optional(width, Pixels::parse, Reason::InvalidWidth)?,
        height: optional(height, Pixels::parse, Reason::InvalidHeight)?,
        duration: optional(duration, Seconds::parse, Reason::InvalidDuration)?,
        kind: optional(kind, UploadKind::parse, Reason::InvalidType)?,
    })
}

fn optional<T>(
    value: Option<Cow<'_, str>>,
    parse: impl Fn(&str) -> Option<T>,
    reason: Reason,
) -> Result<Option<T>, Reason> {
    value.map(|text| parse(&text).ok_or(reason)).transpose()
}
