//! `GET /oss/presign`, as in the contract that existing clients speak.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Extension as FromExtensions;
use axum::extract::{RawQuery, State};
use serde::Serialize;

use crate::domain::extension::Extension;
use crate::domain::upload::{Pixels, Seconds, UploadKind, UploadRequest};
use crate::error::ApiError;
use crate::error::code::Reason;

use super::Gateway;
use super::context::RequestContext;
use super::envelope::Success;
use super::extract::AdmittedOrAnonymous;

/// The answer's `data`; `key` is the contract's word for the object key.
#[derive(Serialize)]
pub(super) struct Presigned {
    url: String,
    #[serde(rename = "key")]
    object_key: String,
}

/// Issues an upload.
pub(super) async fn presign(
    State(gateway): State<Arc<Gateway>>,
    FromExtensions(context): FromExtensions<RequestContext>,
    AdmittedOrAnonymous(admitted): AdmittedOrAnonymous,
    RawQuery(query): RawQuery,
) -> Result<Success<Presigned>, ApiError> {
    let request = parse(query.as_deref().unwrap_or_default())?;
    let issued = gateway.uploads.issue(&admitted, request, context.client_address()).await?;
    Ok(Success(Presigned { url: issued.url.expose().to_owned(), object_key: issued.object_key }))
}

const PARAMETERS: [&str; 5] = ["ext", "width", "height", "duration", "type"];

/// Reads the query; parameters that the contract does not know are passed over.
fn parse(query: &str) -> Result<UploadRequest, ApiError> {
    let mut values: [Option<Cow<'_, str>>; PARAMETERS.len()] = Default::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let known = PARAMETERS.iter().zip(&mut values).find(|(parameter, _)| **parameter == name);
        let Some((parameter, slot)) = known else { continue };
        if slot.replace(value).is_some() {
            return Err(ApiError::with_detail(Reason::RepeatedParameter, *parameter));
        }
    }
    let [ext, width, height, duration, kind] = values;
    Ok(UploadRequest {
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
