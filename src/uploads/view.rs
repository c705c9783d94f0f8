//! How an upload is shown to apps, to operators, and with `--output json`. Never contains a URL.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::binding::Sha256;
use crate::domain::upload::{Mismatch, NewUpload, Pixels, Seconds, SeenObject, Upload, UploadKind};

/// An upload: the request, its caller and its state.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Upload)]
pub struct UploadView {
    pub id: Uuid,
    /// The app's slug.
    #[schema(example = "my-app")]
    pub tenant: String,
    /// The alias of its bucket.
    #[schema(example = "default")]
    pub bucket: String,
    /// The object key within the bucket.
    #[serde(rename = "key")]
    #[schema(example = "2026/11/22/01a203fe-9eeb-7344-910f-c05f00b8cddb.jpg")]
    pub object_key: String,
    /// `issued`, `uploaded`, `mismatched`, `expired` or `deleted`.
    #[schema(example = "uploaded")]
    pub state: &'static str,
    #[schema(example = "jpg")]
    pub ext: &'static str,
    /// `thumb`, `origin` or `video`.
    #[serde(rename = "type")]
    pub kind: Option<&'static str>,
    /// Pixels.
    pub width: Option<i32>,
    /// Pixels.
    pub height: Option<i32>,
    /// Seconds.
    pub duration: Option<f64>,
    /// Bytes, as declared.
    pub size: Option<u64>,
    /// As declared.
    pub content_type: Option<&'static str>,
    /// As declared; 64 hexadecimal digits.
    pub sha256: Option<String>,
    /// Whether it can be written only once.
    pub write_once: bool,
    /// The caller's own names and values, as they are sent.
    pub metadata: BTreeMap<String, String>,
    /// Who requested it.
    pub caller: CallerView,
    pub issued_at: DateTime<Utc>,
    pub url_expires_at: DateTime<Utc>,
    /// The trace of the request that asked for it, where it was kept; 32 hexadecimal digits.
    pub trace_id: Option<String>,
    /// What the bucket returned when the object was last seen.
    pub seen: Option<SeenView>,
    /// Values that differ from the declared ones.
    pub mismatches: Vec<MismatchView>,
}

/// Who requested an upload.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Caller)]
pub struct CallerView {
    /// `api_key`, `jwt` or `anonymous`.
    #[schema(example = "api_key")]
    pub kind: &'static str,
    /// The API key's public id.
    pub api_key: Option<String>,
    /// The JWT's `sub`.
    pub subject: Option<String>,
    pub address: String,
}

/// What the bucket returned for an object.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = SeenObject)]
pub struct SeenView {
    /// Bytes.
    pub size: u64,
    pub etag: Option<String>,
    pub content_type: Option<String>,
    /// 64 hexadecimal digits, where the store keeps one.
    pub sha256: Option<String>,
    pub at: DateTime<Utc>,
}

/// A declared value, and the value found instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Mismatch)]
pub struct MismatchView {
    /// `size`, `content_type`, `sha256` or `etag`.
    #[schema(example = "size")]
    pub field: &'static str,
    pub promised: String,
    pub found: String,
}

impl From<&Upload> for UploadView {
    fn from(upload: &Upload) -> Self {
        let issued = &upload.issued;
        let NewUpload { file, bindings, source, .. } = issued;
        Self {
            id: issued.id.uuid(),
            tenant: upload.tenant.to_string(),
            bucket: upload.bucket.to_string(),
            object_key: issued.object_key.clone(),
            state: upload.state.as_str(),
            ext: file.ext.as_str(),
            kind: file.kind.map(UploadKind::as_str),
            width: file.width.map(Pixels::get),
            height: file.height.map(Pixels::get),
            duration: file.duration.map(Seconds::get),
            size: bindings.size_bytes,
            content_type: bindings.content_type,
            sha256: bindings.sha256.as_ref().map(Sha256::hex),
            write_once: bindings.write_once,
            metadata: issued.metadata.pairs().clone(),
            caller: CallerView {
                kind: issued.caller_kind.as_str(),
                api_key: upload.api_key.clone(),
                subject: issued.caller_subject.as_deref().map(str::to_owned),
                address: source.client_address.to_string(),
            },
            issued_at: issued.issued_at,
            url_expires_at: issued.url_expires_at,
            trace_id: source.trace_id.map(|id| id.to_string()),
            seen: upload.seen.as_ref().map(SeenView::from),
            mismatches: upload.mismatches().into_iter().map(MismatchView::from).collect(),
        }
    }
}

impl From<&SeenObject> for SeenView {
    fn from(seen: &SeenObject) -> Self {
        Self {
            size: seen.size_bytes,
            etag: seen.etag.clone(),
            content_type: seen.content_type.clone(),
            sha256: seen.sha256.as_ref().map(Sha256::hex),
            at: seen.at,
        }
    }
}

impl From<Mismatch> for MismatchView {
    fn from(mismatch: Mismatch) -> Self {
        let Mismatch { field, promised, found } = mismatch;
        Self { field, promised, found }
    }
}
