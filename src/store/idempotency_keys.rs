//! Table `idempotency_keys`: the upload that a request with an `Idempotency-Key` issued.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::domain::ids::{TenantId, UploadId};

use super::{Store, StoreError};

/// A request with an idempotency key, and the uploads it gets.
#[derive(Debug, Clone)]
pub struct NewIdempotencyKey {
    /// A digest of the caller, the operation and the key.
    pub id: [u8; 32],
    pub tenant_id: TenantId,
    /// A digest of the request's content.
    pub request_sha256: [u8; 32],
    /// One for each item of the request; `None` for a rejected item.
    pub upload_ids: Vec<Option<UploadId>>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// What the first request got.
#[derive(Debug, Clone)]
pub struct KnownRequest {
    pub request_sha256: Vec<u8>,
    pub upload_ids: Vec<Option<UploadId>>,
}

/// Returns the entry of this id if it has not expired at `now`.
///
/// # Errors
/// The database is unreachable.
pub async fn find(
    store: &Store,
    tenant_id: TenantId,
    id: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<KnownRequest>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT request_sha256, upload_ids AS "upload_ids!: Vec<Option<uuid::Uuid>>"
           FROM idempotency_keys WHERE tenant_id = $1 AND id = $2 AND expires_at > $3"#,
        tenant_id.uuid(),
        id.as_slice(),
        now
    );
    let row = store.within(("SELECT", "idempotency_keys"), row.fetch_optional(&store.pool)).await?;
    Ok(row.map(|row| KnownRequest {
        request_sha256: row.request_sha256,
        upload_ids: row.upload_ids.into_iter().map(|id| id.map(UploadId::from)).collect(),
    }))
}

/// Inserts the id and returns whether it was free. If another transaction is inserting it, waits
/// for that transaction.
///
/// # Errors
/// The database is unreachable.
pub(super) async fn claim(connection: &mut PgConnection, new: &NewIdempotencyKey) -> Result<bool, StoreError> {
    let upload_ids: Vec<_> = new.upload_ids.iter().map(|id| id.map(UploadId::uuid)).collect();
    let claimed = sqlx::query!(
        "INSERT INTO idempotency_keys AS known (id, tenant_id, request_sha256, upload_ids, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (id) DO UPDATE SET request_sha256 = excluded.request_sha256, upload_ids = excluded.upload_ids,
                created_at = excluded.created_at, expires_at = excluded.expires_at
         WHERE known.expires_at <= excluded.created_at",
        new.id.as_slice(),
        new.tenant_id.uuid(),
        new.request_sha256.as_slice(),
        &upload_ids as &[Option<uuid::Uuid>],
        new.created_at,
        new.expires_at
    )
    .execute(connection)
    .await?;
    Ok(claimed.rows_affected() == 1)
}

/// Removes up to `limit` idempotency keys that expired before `now`. Returns how many.
///
/// # Errors
/// The database is unreachable.
pub async fn remove_expired_any_tenant(store: &Store, now: DateTime<Utc>, limit: i64) -> Result<u64, StoreError> {
    let removed = sqlx::query!(
        "DELETE FROM idempotency_keys WHERE id IN (
             SELECT id FROM idempotency_keys WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
        now,
        limit
    );
    let removed = store.measured(("DELETE", "idempotency_keys"), removed.execute(&store.pool)).await?;
    Ok(removed.rows_affected())
}
