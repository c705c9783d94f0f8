//! Table `uploads`: the ledger.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{Acquire, PgConnection};

use crate::domain::ids::{TenantId, UploadId};
use crate::domain::upload::{NewUpload, Pixels, Seconds, Upload, UploadKind};

use self::row::Row;
use super::idempotency_keys::{self, NewIdempotencyKey};
use super::{Store, StoreError};

mod row;
pub mod search;

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

/// Records uploads and, if there is one, the idempotency key that they belong to: all in one commit, or nothing. Says `false`,
/// and records nothing, where that key is taken.
///
/// # Errors
/// As [`insert_batch_any_tenant`].
pub async fn insert_together_any_tenant(
    store: &Store,
    uploads: &[&NewUpload],
    idempotency_key: Option<&NewIdempotencyKey>,
    commit_timeout: Duration,
) -> Result<bool, StoreError> {
    let mut connection = store.pool.acquire().await?;
    let transaction = async {
        let mut transaction = connection.begin().await?;
        if let Some(new) = idempotency_key
            && !idempotency_keys::claim(&mut transaction, new).await?
        {
            return Ok(false);
        }
        insert(&mut transaction, uploads).await?;
        transaction.commit().await?;
        Ok(true)
    };
    if let Ok(recorded) = tokio::time::timeout(commit_timeout, transaction).await {
        return recorded;
    }
    drop(connection.detach());
    Err(StoreError::TimedOut)
}

/// A new URL of an upload that has not arrived.
#[derive(Debug, Clone, Copy)]
pub struct Renewal<'a> {
    pub url_expires_at: DateTime<Utc>,
    /// Which credential signs it.
    pub access_key_id: &'a str,
    /// When the sweeper looks for it, if it does.
    pub check_at: Option<DateTime<Utc>>,
}

/// Records a new URL; says whether the upload is still one that has not arrived. Its life is never made shorter: an older URL
/// may still be used.
///
/// # Errors
/// The database is away.
pub async fn renew(store: &Store, tenant_id: TenantId, id: UploadId, renewal: Renewal<'_>) -> Result<bool, StoreError> {
    let renewed = sqlx::query!(
        "UPDATE uploads SET url_expires_at = greatest(url_expires_at, $3), access_key_id = $4, check_at = greatest(check_at, $5),
                state = 'issued'
         WHERE tenant_id = $1 AND id = $2 AND state IN ('issued', 'expired')",
        tenant_id.uuid(),
        id.uuid(),
        renewal.url_expires_at,
        renewal.access_key_id,
        renewal.check_at
    );
    Ok(store.within(renewed.execute(&store.pool)).await?.rows_affected() == 1)
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
        &column(rows, |row| row.check_at) as &[Option<DateTime<Utc>>],
    )
    .execute(connection)
    .await?;
    Ok(())
}
