//! The response to an app for an issued upload.

use std::collections::BTreeMap;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::envelope::Success;
use crate::uploads::IssuedUpload;

/// Where to upload, and how.
#[derive(Serialize, ToSchema)]
#[schema(as = IssuedUpload)]
pub(super) struct IssuedView {
    id: Uuid,
    /// The object key within the app's bucket.
    #[serde(rename = "key")]
    #[schema(example = "2026/11/22/01a203fe-9eeb-7344-910f-c05f00b8cddb.jpg")]
    object_key: String,
    #[schema(example = "PUT")]
    method: &'static str,
    url: String,
    /// The header fields that the client must send, exactly as they are. (Browsers send `content-length` by themselves, and let
    /// nobody else set it.)
    #[schema(example = json!({"content-type": "image/jpeg"}))]
    headers: BTreeMap<&'static str, String>,
    expires_at: DateTime<Utc>,
}

impl From<IssuedUpload> for IssuedView {
    fn from(issued: IssuedUpload) -> Self {
        Self {
            id: issued.id.uuid(),
            object_key: issued.object_key,
            method: "PUT",
            url: issued.url.expose().to_owned(),
            headers: issued.headers.into_iter().collect(),
            expires_at: issued.expires_at,
        }
    }
}

/// A new upload, and where it can be read.
pub(super) struct Issued(pub IssuedUpload);

impl IntoResponse for Issued {
    fn into_response(self) -> Response {
        let location = HeaderValue::from_str(&format!("/v1/uploads/{}", self.0.id));
        let mut response = Success(IssuedView::from(self.0)).into_response();
        *response.status_mut() = StatusCode::CREATED;
        if let Ok(location) = location {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}
