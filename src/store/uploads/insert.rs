//! The statement that records uploads, and counts them.
//!
//! To count them here costs Postgres half of what the trigger does that counts what others write
//! (`docs/adr/0008-usage-rollups.md`).

use std::collections::HashMap;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::domain::caller::CallerKind;
use crate::domain::upload::{NewUpload, Pixels, Seconds, UploadKind};
use crate::store::StoreError;

fn is_bound(row: &NewUpload) -> bool {
    let bindings = &row.bindings;
    let is_promised = bindings.size_bytes.is_some() || bindings.content_type.is_some() || bindings.sha256.is_some();
    is_promised || bindings.once || !row.metadata.pairs().is_empty() || row.check_at.is_some()
}

/// One column of the batch, as an array.
fn column<'a, T>(uploads: &[&'a NewUpload], of: impl Fn(&'a NewUpload) -> T) -> Vec<T> {
    uploads.iter().map(|upload| of(upload)).collect()
}

/// As Postgres has it.
fn stored(bytes: u64) -> Option<i64> {
    bytes.try_into().ok()
}

/// The rows' groups, as `usage_deltas` has them, column by column.
#[derive(Default)]
struct Counts {
    tenant_ids: Vec<uuid::Uuid>,
    hours: Vec<DateTime<Utc>>,
    kinds: Vec<Option<&'static str>>,
    exts: Vec<&'static str>,
    caller_kinds: Vec<&'static str>,
    api_key_ids: Vec<Option<uuid::Uuid>>,
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

/// Writes the rows, and what they add to the usage, in one statement.
pub(super) async fn insert(connection: &mut PgConnection, rows: &[&NewUpload]) -> Result<(), StoreError> {
    let counts = Counts::of(rows);
    // Every array costs, and most uploads are bound to nothing: UNNEST fills up with nulls what is shorter than the rest.
    let bound = if rows.iter().any(|row| is_bound(row)) { rows } else { &[] };
    sqlx::query!(
        "WITH counted AS (
             INSERT INTO usage_deltas (tenant_id, hour, kind, ext, caller_kind, api_key_id, uploads, promised_bytes, state, stored_bytes)
             SELECT *, 'issued', 0 FROM UNNEST($23::uuid[], $24::timestamptz[], $25::text[], $26::text[], $27::text[],
                                               $28::uuid[], $29::int8[],
                                               $30::int8[])
         )
         INSERT INTO uploads (id, tenant_id, bucket_id, object_key, ext, kind, width, height, duration_seconds,
                              caller_kind, caller_id, caller_subject, client_address,
                              access_key_id, issued_at, url_expires_at,
                              declared_size_bytes, declared_content_type, declared_sha256,
                              once, metadata, check_at)
         SELECT id, tenant_id, bucket_id, object_key, ext, kind, width, height, duration_seconds, caller_kind,
                caller_id, caller_subject, client_address::inet, access_key_id, issued_at,
                url_expires_at, declared_size_bytes, declared_content_type, declared_sha256, coalesce(once, false),
                metadata, check_at
         FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::int4[], $8::int4[],
                     $9::float8[], $10::text[], $11::uuid[], $12::text[], $13::text[], $14::text[],
                     $15::timestamptz[], $16::timestamptz[], $17::int8[], $18::text[],
                     $19::bytea[], $20::bool[], $21::jsonb[], $22::timestamptz[])
           AS row (id, tenant_id, bucket_id, object_key, ext, kind, width, height, duration_seconds, caller_kind,
                   caller_id, caller_subject, client_address, access_key_id, issued_at,
                   url_expires_at, declared_size_bytes, declared_content_type, declared_sha256, once,
                   metadata, check_at)",
        &column(rows, |row| row.id.uuid()),
        &column(rows, |row| row.tenant_id.uuid()),
        &column(rows, |row| row.bucket_id.uuid()),
        &column(rows, |row| row.object_key.as_str()) as &[&str],
        &column(rows, |row| row.file.ext.as_str()) as &[&str],
        &column(rows, |row| row.file.kind.map(UploadKind::as_str)) as &[Option<&str>],
        &column(rows, |row| row.file.width.map(Pixels::get)) as &[Option<i32>],
        &column(rows, |row| row.file.height.map(Pixels::get)) as &[Option<i32>],
        &column(rows, |row| row.file.duration.map(Seconds::get)) as &[Option<f64>],
        &column(rows, |row| row.caller_kind.as_str()) as &[&str],
        &column(rows, |row| row.caller_id) as &[Option<uuid::Uuid>],
        &column(rows, |row| row.caller_subject.as_deref()) as &[Option<&str>],
        &column(rows, |row| row.client_address.to_string()),
        &column(rows, |row| row.access_key_id.as_str()) as &[&str],
        &column(rows, |row| row.issued_at),
        &column(rows, |row| row.url_expires_at),
        &column(bound, |row| row.bindings.size_bytes.and_then(stored)) as &[Option<i64>],
        &column(bound, |row| row.bindings.content_type) as &[Option<&str>],
        &column(bound, |row| row.bindings.sha256.as_ref().map(|digest| digest.bytes().as_slice())) as &[Option<&[u8]>],
        &column(bound, |row| row.bindings.once),
        &column(bound, |row| Some(row.metadata.pairs()).filter(|pairs| !pairs.is_empty()).map(Json)) as &[Option<Json<_>>],
        &column(bound, |row| row.check_at) as &[Option<DateTime<Utc>>],
        &counts.tenant_ids,
        &counts.hours,
        &counts.kinds as &[Option<&str>],
        &counts.exts as &[&str],
        &counts.caller_kinds as &[&str],
        &counts.api_key_ids as &[Option<uuid::Uuid>],
        &counts.uploads,
        &counts.promised_bytes,
    )
    .execute(connection)
    .await?;
    Ok(())
}
