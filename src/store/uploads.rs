//! Table `uploads`: the ledger.

use std::time::Duration;

use sqlx::PgConnection;
use sqlx::types::Json;

use crate::domain::ids::{TenantId, UploadId};
use crate::domain::upload::{NewUpload, Pixels, Seconds, Upload, UploadKind};

use self::row::Row;
use super::{Store, StoreError};

mod row;
pub mod settle;
pub mod sweep;
pub mod walk;

/// Records uploads of any tenants in one statement and one commit: all of them, or none.
///
/// # Errors
/// [`StoreError::RowRefused`] or [`StoreError::Taken`] when one of the rows is at fault; [`StoreError::TimedOut`] after
/// `commit_timeout`, when nobody knows whether the rows were committed.
pub async fn insert_batch_any_tenant(
    store: &Store,
    uploads: &[&NewUpload],
    commit_timeout: Duration,
) -> Result<(), StoreError> {
    let mut connection = store.pool.acquire().await?;
    if let Ok(inserted) = tokio::time::timeout(commit_timeout, insert(&mut connection, uploads)).await {
        return inserted;
    }
    // The connection still waits for its answer: it must not serve anybody else.
    drop(connection.detach());
    Err(StoreError::TimedOut)
}

/// A tenant's upload.
///
/// # Errors
/// The database is away, or the row does not parse.
pub async fn find(store: &Store, tenant_id: TenantId, id: UploadId) -> Result<Option<Upload>, StoreError> {
    Ok(find_any_tenant(store, id).await?.filter(|upload| upload.tenant_id == tenant_id))
}

/// Any tenant's upload; for operators.
///
/// # Errors
/// The database is away, or the row does not parse.
pub async fn find_any_tenant(store: &Store, id: UploadId) -> Result<Option<Upload>, StoreError> {
    let row = sqlx::query_as::<_, Row>(sqlx::AssertSqlSafe(format!("{} WHERE uploads.id = $1", row::SELECT)));
    let row = store.within(row.bind(id.uuid()).fetch_optional(&store.pool)).await?;
    Ok(row.map(Upload::try_from).transpose()?)
}

async fn insert(connection: &mut PgConnection, rows: &[&NewUpload]) -> Result<(), StoreError> {
    /// One column of the batch, as an array.
    fn column<'a, T>(uploads: &[&'a NewUpload], of: impl Fn(&'a NewUpload) -> T) -> Vec<T> {
        uploads.iter().map(|upload| of(upload)).collect()
    }
    sqlx::query!(
        "INSERT INTO uploads (id, tenant_id, bucket_id, object_key, ext, kind, width, height, duration_seconds,
                              caller_kind, caller_id, caller_subject, client_address, access_key_id, issued_at, url_expires_at,
                              declared_size_bytes, declared_content_type, declared_sha256, once, metadata, check_at)
         SELECT id, tenant_id, bucket_id, object_key, ext, kind, width, height, duration_seconds,
                caller_kind, caller_id, caller_subject, client_address::inet, access_key_id, issued_at, url_expires_at,
                declared_size_bytes, declared_content_type, declared_sha256, once, metadata, check_at
         FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::int4[], $8::int4[], $9::float8[],
                     $10::text[], $11::uuid[], $12::text[], $13::text[], $14::text[], $15::timestamptz[], $16::timestamptz[],
                     $17::int8[], $18::text[], $19::bytea[], $20::bool[], $21::jsonb[], $22::timestamptz[])
           AS row (id, tenant_id, bucket_id, object_key, ext, kind, width, height, duration_seconds,
                   caller_kind, caller_id, caller_subject, client_address, access_key_id, issued_at, url_expires_at,
                   declared_size_bytes, declared_content_type, declared_sha256, once, metadata, check_at)",
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
        &column(rows, |row| row.bindings.size_bytes.and_then(|bytes| i64::try_from(bytes).ok())) as &[Option<i64>],
        &column(rows, |row| row.bindings.content_type) as &[Option<&str>],
        &column(rows, |row| row.bindings.sha256.as_ref().map(|digest| digest.bytes().as_slice())) as &[Option<&[u8]>],
        &column(rows, |row| row.bindings.once),
        &column(rows, |row| Some(row.metadata.pairs()).filter(|pairs| !pairs.is_empty()).map(Json)) as &[Option<Json<_>>],
        &column(rows, |row| row.check_at) as &[Option<chrono::DateTime<chrono::Utc>>],
    )
    .execute(connection)
    .await?;
    Ok(())
}
