//! A row of `uploads`, with the names of what it refers to.

use std::collections::BTreeMap;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use sqlx::types::Json;

use crate::domain::Invalid;
use crate::domain::binding::{Bindings, Metadata, Sha256};
use crate::domain::bucket::Alias;
use crate::domain::extension::Extension;
use crate::domain::tenant::Slug;
use crate::domain::upload::{FileFacts, Pixels, Seconds, SeenObject, Upload, UploadKind};

/// What a [`Row`] is read with; a condition follows. Not checked when it is compiled, since its conditions are made as they
/// are asked for; every column is read by tests.
pub(super) const SELECT: &str = "\
    SELECT uploads.id, uploads.tenant_id, tenants.slug, uploads.bucket_id, buckets.alias, uploads.object_key, uploads.ext, uploads.kind,
           uploads.width, uploads.height, uploads.duration_seconds, uploads.declared_size_bytes, uploads.declared_content_type,
           uploads.declared_sha256, uploads.write_once, uploads.metadata, uploads.caller_kind, uploads.caller_id, api_keys.public_id,
           uploads.caller_subject, host(uploads.client_address) AS client_address, uploads.access_key_id, uploads.trace_id,
           uploads.issued_at, uploads.url_expires_at, uploads.state, uploads.declared_etag, uploads.size_bytes, uploads.etag,
           uploads.content_type, uploads.sha256, uploads.seen_at
    FROM uploads
    JOIN tenants ON tenants.id = uploads.tenant_id
    JOIN buckets ON buckets.id = uploads.bucket_id
    LEFT JOIN api_keys ON api_keys.id = uploads.caller_id";

/// Precedes [`SELECT`], to read the rows with the ids of its first parameter. Postgres keeps conditions out of a materialized
/// query: so it looks up each id in the primary key, whatever it knows of the table. With a tenant or a range of ids beside
/// the list it may read all of a tenant's rows instead, since without statistics it takes those for few.
pub(super) const BY_IDS: &str = "WITH uploads AS MATERIALIZED (SELECT * FROM uploads WHERE id = ANY($1)) ";

#[derive(FromRow)]
pub(super) struct Row {
    id: uuid::Uuid,
    tenant_id: uuid::Uuid,
    slug: String,
    bucket_id: uuid::Uuid,
    alias: String,
    object_key: String,
    ext: String,
    kind: Option<String>,
    width: Option<i32>,
    height: Option<i32>,
    duration_seconds: Option<f64>,
    declared_size_bytes: Option<i64>,
    declared_content_type: Option<String>,
    declared_sha256: Option<Vec<u8>>,
    write_once: bool,
    metadata: Option<Json<BTreeMap<String, String>>>,
    caller_kind: String,
    caller_id: Option<uuid::Uuid>,
    public_id: Option<String>,
    caller_subject: Option<String>,
    client_address: String,
    access_key_id: String,
    trace_id: Option<String>,
    issued_at: DateTime<Utc>,
    url_expires_at: DateTime<Utc>,
    state: String,
    declared_etag: Option<String>,
    size_bytes: Option<i64>,
    etag: Option<String>,
    content_type: Option<String>,
    sha256: Option<Vec<u8>>,
    seen_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Upload {
    type Error = Invalid;

    fn try_from(row: Row) -> Result<Self, Invalid> {
        let stored = |field| move || Invalid::new(field, "is not what this version writes");
        let ext = Extension::parse(&row.ext).ok_or_else(stored("ext"))?;
        let client_address: IpAddr = row.client_address.parse().map_err(|_| stored("client_address")())?;
        let seen = row.seen_at.map(|at| SeenObject {
            size_bytes: bytes(row.size_bytes).unwrap_or_default(),
            etag: row.etag,
            content_type: row.content_type,
            sha256: row.sha256.and_then(digest),
            at,
        });
        Ok(Self {
            id: row.id.into(),
            tenant_id: row.tenant_id.into(),
            tenant: Slug::parse(&row.slug)?,
            bucket_id: row.bucket_id.into(),
            bucket: Alias::parse(&row.alias)?,
            object_key: row.object_key,
            file: FileFacts {
                ext,
                kind: row.kind.as_deref().and_then(UploadKind::parse),
                width: row.width.and_then(Pixels::new),
                height: row.height.and_then(Pixels::new),
                duration: row.duration_seconds.and_then(Seconds::new),
            },
            bindings: Bindings {
                size_bytes: bytes(row.declared_size_bytes),
                // The only one that a URL is ever bound to.
                content_type: row.declared_content_type.map(|_| ext.content_type()),
                sha256: row.declared_sha256.and_then(digest),
                write_once: row.write_once,
            },
            metadata: Metadata::of_encoded(row.metadata.map(|Json(pairs)| pairs).unwrap_or_default()),
            caller_kind: row.caller_kind.parse()?,
            caller_id: row.caller_id,
            api_key: row.public_id,
            caller_subject: row.caller_subject,
            client_address,
            access_key_id: row.access_key_id,
            trace_id: row.trace_id,
            issued_at: row.issued_at,
            url_expires_at: row.url_expires_at,
            state: row.state.parse()?,
            declared_etag: row.declared_etag,
            seen,
        })
    }
}

fn bytes(value: Option<i64>) -> Option<u64> {
    value.and_then(|value| value.try_into().ok())
}

fn digest(bytes: Vec<u8>) -> Option<Sha256> {
    <[u8; 32]>::try_from(bytes).ok().map(Sha256::from)
}
