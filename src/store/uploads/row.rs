//! A row of `uploads`, with the names of its tenant and bucket.

use std::sync::Arc;

use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use crate::domain::Invalid;
use crate::domain::binding::{Bindings, Metadata, Sha256};
use crate::domain::bucket::Alias;
use crate::domain::extension::Extension;
use crate::domain::tenant::Slug;
use crate::domain::upload::{
    FileFacts, NewUpload, Pixels, RequestSource, Seconds, SeenObject, TraceId, Upload, UploadKind,
};

/// The columns of a [`Row`]; conditions follow. Not checked at compile time, because conditions are
/// built at run time. Tests read every column.
pub(super) const SELECT: &str = "\
    SELECT uploads.id, uploads.tenant_id, tenants.slug, uploads.bucket_id, buckets.alias, uploads.object_key, uploads.ext, uploads.kind,
           uploads.width, uploads.height, uploads.duration_seconds, uploads.declared_size_bytes, uploads.declared_content_type,
           uploads.declared_sha256, uploads.write_once, uploads.metadata, uploads.caller_kind, uploads.caller_id, api_keys.public_id,
           uploads.caller_subject, host(uploads.client_address) AS client_address, uploads.access_key_id, uploads.trace_id,
           uploads.issued_at, uploads.url_expires_at, uploads.check_at, uploads.state, uploads.declared_etag, uploads.size_bytes, uploads.etag,
           uploads.content_type, uploads.sha256, uploads.seen_at
    FROM uploads
    JOIN tenants ON tenants.id = uploads.tenant_id
    JOIN buckets ON buckets.id = uploads.bucket_id
    LEFT JOIN api_keys ON api_keys.id = uploads.caller_id";

/// Precedes [`SELECT`] to read the rows whose ids are in the first parameter. Other conditions stay
/// outside a materialized query, so Postgres looks up each id in the primary key. With a tenant or
/// a range of ids beside the list, Postgres without statistics would expect few rows and read all
/// of the tenant's.
pub(super) const BY_IDS: &str = "WITH uploads AS MATERIALIZED (SELECT * FROM uploads WHERE id = ANY($1)) ";

/// A row of [`SELECT`]: the upload, or the value that this version cannot read.
pub(super) struct Row(Result<Upload, Invalid>);

impl FromRow<'_, PgRow> for Row {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        match read(row) {
            Ok(upload) => Ok(Self(Ok(upload))),
            Err(Unreadable::Value(invalid)) => Ok(Self(Err(invalid))),
            Err(Unreadable::Column(error)) => Err(error),
        }
    }
}

impl TryFrom<Row> for Upload {
    type Error = Invalid;

    fn try_from(Row(upload): Row) -> Result<Self, Invalid> {
        upload
    }
}

/// Why a row cannot be read.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error(transparent)]
    Column(#[from] sqlx::Error),
    #[error(transparent)]
    Value(#[from] Invalid),
}

fn read(row: &PgRow) -> Result<Upload, Unreadable> {
    let text = |column| row.try_get::<Option<&str>, _>(column);
    let unknown = |column| move || Invalid::new(column, "has a format that this version does not write");
    let ext = Extension::parse(row.try_get("ext")?).ok_or_else(unknown("ext"))?;
    let issued = NewUpload {
        id: row.try_get::<Uuid, _>("id")?.into(),
        tenant_id: row.try_get::<Uuid, _>("tenant_id")?.into(),
        bucket_id: row.try_get::<Uuid, _>("bucket_id")?.into(),
        object_key: row.try_get("object_key")?,
        file: FileFacts {
            ext,
            kind: text("kind")?.and_then(UploadKind::parse),
            width: row.try_get::<Option<_>, _>("width")?.and_then(Pixels::new),
            height: row.try_get::<Option<_>, _>("height")?.and_then(Pixels::new),
            duration: row.try_get::<Option<_>, _>("duration_seconds")?.and_then(Seconds::new),
        },
        bindings: Bindings {
            size_bytes: bytes(row.try_get("declared_size_bytes")?),
            // The only one that a URL is ever bound to.
            content_type: text("declared_content_type")?.map(|_| ext.content_type()),
            sha256: digest(row.try_get("declared_sha256")?),
            write_once: row.try_get("write_once")?,
        },
        metadata: Metadata::of_encoded(
            row.try_get::<Option<Json<_>>, _>("metadata")?.map(|Json(pairs)| pairs).unwrap_or_default(),
        ),
        caller_kind: row.try_get::<&str, _>("caller_kind")?.parse()?,
        caller_id: row.try_get("caller_id")?,
        caller_subject: text("caller_subject")?.map(Arc::from),
        source: RequestSource {
            client_address: row
                .try_get::<&str, _>("client_address")?
                .parse()
                .map_err(|_| unknown("client_address")())?,
            trace_id: text("trace_id")?.and_then(TraceId::parse),
        },
        access_key_id: row.try_get("access_key_id")?,
        issued_at: row.try_get("issued_at")?,
        url_expires_at: row.try_get("url_expires_at")?,
        check_at: row.try_get("check_at")?,
    };
    let seen = match row.try_get("seen_at")? {
        None => None,
        Some(at) => Some(SeenObject {
            size_bytes: bytes(row.try_get("size_bytes")?).unwrap_or_default(),
            etag: row.try_get("etag")?,
            content_type: row.try_get("content_type")?,
            sha256: digest(row.try_get("sha256")?),
            at,
        }),
    };
    Ok(Upload {
        issued,
        tenant: Slug::parse(row.try_get("slug")?)?,
        bucket: Alias::parse(row.try_get("alias")?)?,
        api_key: row.try_get("public_id")?,
        state: row.try_get::<&str, _>("state")?.parse()?,
        declared_etag: row.try_get("declared_etag")?,
        seen,
    })
}

fn bytes(value: Option<i64>) -> Option<u64> {
    value.and_then(|value| value.try_into().ok())
}

fn digest(bytes: Option<&[u8]>) -> Option<Sha256> {
    bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).map(Sha256::from)
}
