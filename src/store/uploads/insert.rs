//! The statement that records uploads, and counts them.
//!
//! To count them here costs Postgres half of what the trigger does that counts what others write
//! (`docs/adr/0008-usage-rollups.md`).

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use sqlx::postgres::{PgHasArrayType, PgTypeInfo};
use sqlx::types::Json;
use sqlx::{PgConnection, Postgres};
use uuid::Uuid;

use crate::domain::caller::CallerKind;
use crate::domain::upload::{NewUpload, Pixels, Seconds, UploadKind};
use crate::store::StoreError;

/// An upload as the type `new_traced_upload` has it, field by field in its order.
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
    client_address: String,
    access_key_id: &'a str,
    issued_at: DateTime<Utc>,
    url_expires_at: DateTime<Utc>,
    declared_size_bytes: Option<i64>,
    declared_content_type: Option<&'a str>,
    declared_sha256: Option<&'a [u8]>,
    once: bool,
    metadata: Option<Json<&'a BTreeMap<String, String>>>,
    check_at: Option<DateTime<Utc>>,
    trace_id: Option<String>,
}

impl sqlx::Type<Postgres> for Row<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("new_traced_upload")
    }
}

impl PgHasArrayType for Row<'_> {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::array_of("new_traced_upload")
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
            client_address: upload.origin.client_address.to_string(),
            access_key_id: &upload.access_key_id,
            issued_at: upload.issued_at,
            url_expires_at: upload.url_expires_at,
            declared_size_bytes: bindings.size_bytes.and_then(stored),
            declared_content_type: bindings.content_type,
            declared_sha256: bindings.sha256.as_ref().map(|digest| digest.bytes().as_slice()),
            once: bindings.once,
            metadata: Some(metadata.pairs()).filter(|pairs| !pairs.is_empty()).map(Json),
            check_at: upload.check_at,
            trace_id: upload.origin.trace_id.map(|id| id.to_string()),
        }
    }
}

/// As Postgres has it.
fn stored(bytes: u64) -> Option<i64> {
    bytes.try_into().ok()
}

/// The rows' groups, as `usage_deltas` has them, column by column.
#[derive(Default)]
struct Counts {
    tenant_ids: Vec<Uuid>,
    hours: Vec<DateTime<Utc>>,
    kinds: Vec<Option<&'static str>>,
    exts: Vec<&'static str>,
    caller_kinds: Vec<&'static str>,
    api_key_ids: Vec<Option<Uuid>>,
    uploads: Vec<i64>,
    promised_bytes: Vec<i64>,
}

impl Counts {
    fn of(rows: &[&NewUpload]) -> Self {
        let mut groups = HashMap::<_, (i64, i64)>::new();
        for row in rows {
            let hour = row.issued_at.duration_trunc(TimeDelta::hours(1)).unwrap_or(row.issued_at);
            let kind = row.file.kind.map(UploadKind::as_str);
            let api_key_id = row.caller_id.filter(|_| row.caller_kind == CallerKind::ApiKey);
            let group = (row.tenant_id.uuid(), hour, kind, row.file.ext.as_str(), row.caller_kind.as_str(), api_key_id);
            let (uploads, promised_bytes) = groups.entry(group).or_default();
            *uploads += 1;
            *promised_bytes = promised_bytes.saturating_add(row.bindings.size_bytes.and_then(stored).unwrap_or(0));
        }
        let mut counts = Self::default();
        for ((tenant_id, hour, kind, ext, caller_kind, api_key_id), (uploads, promised_bytes)) in groups {
            counts.tenant_ids.push(tenant_id);
            counts.hours.push(hour);
            counts.kinds.push(kind);
            counts.exts.push(ext);
            counts.caller_kinds.push(caller_kind);
            counts.api_key_ids.push(api_key_id);
            counts.uploads.push(uploads);
            counts.promised_bytes.push(promised_bytes);
        }
        counts
    }
}

/// Writes the uploads, and what they add to the usage, in one statement.
pub(super) async fn insert(connection: &mut PgConnection, uploads: &[&NewUpload]) -> Result<(), StoreError> {
    let rows: Vec<Row<'_>> = uploads.iter().map(|upload| Row::from(*upload)).collect();
    let counts = Counts::of(uploads);
    sqlx::query!(
        "WITH counted AS (
             INSERT INTO usage_deltas (tenant_id, hour, kind, ext, caller_kind, api_key_id, uploads, promised_bytes, state, stored_bytes)
             SELECT *, 'issued', 0 FROM UNNEST($2::uuid[], $3::timestamptz[], $4::text[], $5::text[], $6::text[],
                                               $7::uuid[], $8::int8[], $9::int8[])
         )
         INSERT INTO uploads (id, tenant_id, bucket_id, object_key, ext, kind, width, height, duration_seconds,
                              caller_kind, caller_id, caller_subject, client_address,
                              access_key_id, issued_at, url_expires_at,
                              declared_size_bytes, declared_content_type, declared_sha256,
                              once, metadata, check_at, trace_id)
         SELECT id, tenant_id, bucket_id, object_key, ext, kind, width, height, duration_seconds, caller_kind,
                caller_id, caller_subject, client_address::inet, access_key_id, issued_at,
                url_expires_at, declared_size_bytes, declared_content_type, declared_sha256, once, metadata, check_at,
                trace_id
         FROM UNNEST($1::new_traced_upload[])",
        rows as _,
        &counts.tenant_ids,
        &counts.hours,
        &counts.kinds as &[Option<&str>],
        &counts.exts as &[&str],
        &counts.caller_kinds as &[&str],
        &counts.api_key_ids as &[Option<Uuid>],
        &counts.uploads,
        &counts.promised_bytes,
    )
    .execute(connection)
    .await?;
    Ok(())
}
