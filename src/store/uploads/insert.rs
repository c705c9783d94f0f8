//! The statement that records uploads and counts their usage.
//!
//! Counting here costs Postgres half of what the trigger costs that counts other writes
//! (`docs/adr/0008-usage-rollups.md`).

use std::collections::HashMap;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::PgRecordEncoder;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo};
use sqlx::types::Json;
use sqlx::{PgConnection, Postgres};
use uuid::Uuid;

use crate::domain::caller::CallerKind;
use crate::domain::upload::{NewUpload, Pixels, Seconds, UploadKind};
use crate::store::StoreError;

impl Encode<'_, Postgres> for NewUpload {
    /// Writes the fields in the order of the type `upload_record`, as `derive(Encode)` would for a flat struct.
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let Self { file, bindings, source, .. } = self;
        let metadata = Some(self.metadata.pairs()).filter(|pairs| !pairs.is_empty());
        let mut record = PgRecordEncoder::new(buffer);
        record
            .encode(self.id.uuid())?
            .encode(self.tenant_id.uuid())?
            .encode(self.bucket_id.uuid())?
            .encode(self.object_key.as_str())?
            .encode(file.ext.as_str())?
            .encode(file.kind.map(UploadKind::as_str))?
            .encode(file.width.map(Pixels::get))?
            .encode(file.height.map(Pixels::get))?
            .encode(file.duration.map(Seconds::get))?
            .encode(self.caller_kind.as_str())?
            .encode(self.caller_id)?
            .encode(self.caller_subject.as_deref())?
            .encode(source.client_address)?
            .encode(self.access_key_id.as_str())?
            .encode(self.issued_at)?
            .encode(self.url_expires_at)?
            .encode(bindings.size_bytes.and_then(stored))?
            .encode(bindings.content_type)?
            .encode(bindings.sha256.as_ref().map(|digest| digest.bytes().as_slice()))?
            .encode(bindings.write_once)?
            .encode(metadata.map(Json))?
            .encode(self.check_at)?
            .encode(source.trace_id.map(|id| id.to_string()))?
            .finish();
        Ok(IsNull::No)
    }
}

impl sqlx::Type<Postgres> for NewUpload {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("upload_record")
    }
}

impl PgHasArrayType for NewUpload {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::array_of("upload_record")
    }
}

/// The value as Postgres stores it.
fn stored(bytes: u64) -> Option<i64> {
    bytes.try_into().ok()
}

/// What a group of rows adds to the usage: the type `usage_count`, field by field.
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

/// Writes the uploads and their usage in one statement.
pub(super) async fn insert(connection: &mut PgConnection, uploads: &[&NewUpload]) -> Result<(), StoreError> {
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
         SELECT * FROM UNNEST($1::upload_record[])",
        uploads as _,
        counts as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}
