//! The statement that records uploads, and counts them.
//!
//! To count them here costs Postgres half of what the trigger does that counts what others write
//! (`docs/adr/0008-usage-rollups.md`).

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use sqlx::postgres::{PgHasArrayType, PgTypeInfo};
use sqlx::types::Json;
use sqlx::{PgConnection, Postgres};
use uuid::Uuid;

use crate::domain::caller::CallerKind;
use crate::domain::upload::{NewUpload, Pixels, Seconds, UploadKind};
use crate::store::StoreError;

/// An upload as the type `upload_record` has it, field by field in its order.
#[derive(sqlx::Encode)]
struct Row<'a> {
    id: Uuid,
    tenant_id: Uuid,
    bucket_id: Uuid,
    object_key: &'a str,
    ext: &'a str,
    kind: Option<&'a str>,
    width: Option<i32>,
    height: Option<i32>,
    duration_seconds: Option<f64>,
    caller_kind: &'a str,
    caller_id: Option<Uuid>,
    caller_subject: Option<&'a str>,
    client_address: IpAddr,
    access_key_id: &'a str,
    issued_at: DateTime<Utc>,
    url_expires_at: DateTime<Utc>,
    declared_size_bytes: Option<i64>,
    declared_content_type: Option<&'a str>,
    declared_sha256: Option<&'a [u8]>,
    write_once: bool,
    metadata: Option<Json<&'a BTreeMap<String, String>>>,
    check_at: Option<DateTime<Utc>>,
    trace_id: Option<String>,
}

impl sqlx::Type<Postgres> for Row<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("upload_record")
    }
}

impl PgHasArrayType for Row<'_> {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::array_of("upload_record")
    }
}

impl<'a> From<&'a NewUpload> for Row<'a> {
    fn from(upload: &'a NewUpload) -> Self {
        let NewUpload { file, bindings, metadata, .. } = upload;
        Self {
            id: upload.id.uuid(),
            tenant_id: upload.tenant_id.uuid(),
            bucket_id: upload.bucket_id.uuid(),
            object_key: &upload.object_key,
            ext: file.ext.as_str(),
            kind: file.kind.map(UploadKind::as_str),
            width: file.width.map(Pixels::get),
            height: file.height.map(Pixels::get),
            duration_seconds: file.duration.map(Seconds::get),
            caller_kind: upload.caller_kind.as_str(),
            caller_id: upload.caller_id,
            caller_subject: upload.caller_subject.as_deref(),
            client_address: upload.source.client_address,
            access_key_id: &upload.access_key_id,
            issued_at: upload.issued_at,
            url_expires_at: upload.url_expires_at,
            declared_size_bytes: bindings.size_bytes.and_then(stored),
            declared_content_type: bindings.content_type,
            declared_sha256: bindings.sha256.as_ref().map(|digest| digest.bytes().as_slice()),
            write_once: bindings.write_once,
            metadata: Some(metadata.pairs()).filter(|pairs| !pairs.is_empty()).map(Json),
            check_at: upload.check_at,
            trace_id: upload.source.trace_id.map(|id| id.to_string()),
        }
    }
}

/// As Postgres has it.
fn stored(bytes: u64) -> Option<i64> {
    bytes.try_into().ok()
}

/// What a group of the rows adds to the usage, as the type `usage_count` has it, field by field in its order.
#[derive(sqlx::Encode)]
struct Count {
    tenant_id: Uuid,
    hour: DateTime<Utc>,
    kind: Option<&'static str>,
    ext: &'static str,
    caller_kind: &'static str,
    api_key_id: Option<Uuid>,
    uploads: i64,
    promised_bytes: i64,
}

impl sqlx::Type<Postgres> for Count {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("usage_count")
    }
}

impl PgHasArrayType for Count {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::array_of("usage_count")
    }
}

fn count(rows: &[&NewUpload]) -> Vec<Count> {
    let mut groups = HashMap::<_, (i64, i64)>::new();
    for row in rows {
        let hour = row.issued_at.duration_trunc(TimeDelta::hours(1)).unwrap_or(row.issued_at);
        let api_key_id = row.caller_id.filter(|_| row.caller_kind == CallerKind::ApiKey);
        let group = (row.tenant_id.uuid(), hour, row.file.kind, row.file.ext, row.caller_kind, api_key_id);
        let (uploads, promised_bytes) = groups.entry(group).or_default();
        *uploads += 1;
        *promised_bytes = promised_bytes.saturating_add(row.bindings.size_bytes.and_then(stored).unwrap_or(0));
    }
    let counts = groups.into_iter().map(|(group, (uploads, promised_bytes))| {
        let (tenant_id, hour, kind, ext, caller_kind, api_key_id) = group;
        let (kind, ext, caller_kind) = (kind.map(UploadKind::as_str), ext.as_str(), caller_kind.as_str());
        Count { tenant_id, hour, kind, ext, caller_kind, api_key_id, uploads, promised_bytes }
    });
    counts.collect()
}

/// Writes the uploads, and what they add to the usage, in one statement.
pub(super) async fn insert(connection: &mut PgConnection, uploads: &[&NewUpload]) -> Result<(), StoreError> {
    let rows: Vec<Row<'_>> = uploads.iter().map(|upload| Row::from(*upload)).collect();
    let counts = count(uploads);
    sqlx::query!(
        "WITH counted AS (
             INSERT INTO usage_batches (counts) VALUES ($2::usage_count[])
         )
         INSERT INTO uploads (id, tenant_id, bucket_id, object_key, ext, kind, width, height, duration_seconds,
                              caller_kind, caller_id, caller_subject, client_address,
                              access_key_id, issued_at, url_expires_at,
                              declared_size_bytes, declared_content_type, declared_sha256,
                              write_once, metadata, check_at, trace_id)
         SELECT id, tenant_id, bucket_id, object_key, ext, kind, width, height, duration_seconds, caller_kind,
                caller_id, caller_subject, client_address, access_key_id, issued_at,
                url_expires_at, declared_size_bytes, declared_content_type, declared_sha256, write_once, metadata, check_at,
                trace_id
         FROM UNNEST($1::upload_record[])",
        rows as _,
        counts as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}
