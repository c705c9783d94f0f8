//! Table `uploads`: the ledger.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::Connection;

use crate::domain::ids::{TenantId, UploadId};
use crate::domain::upload::{NewUpload, Upload};

use self::insert::insert;
use self::row::Row;
use super::idempotency_keys::{self, NewIdempotencyKey};
use super::{Store, StoreError};

mod insert;
mod row;
pub mod search;
pub(crate) mod state;
pub(crate) mod sweep;
pub mod writer;

/// How long after its own time limit Postgres may take to say so.
const TOLD_BY_POSTGRES: Duration = Duration::from_millis(500);

/// Records uploads and, if there is one, the idempotency key that they belong to: all in one commit, or nothing. Says `false`,
/// and records nothing, where that key is taken.
///
/// # Errors
/// As [`writer::Appender::append_any_tenant`].
pub async fn insert_batch_any_tenant(
    store: &Store,
    uploads: &[&NewUpload],
    idempotency_key: Option<&NewIdempotencyKey>,
    commit_timeout: Duration,
) -> Result<bool, StoreError> {
    let began = Instant::now();
    let write = |patience| {
        let recorded = insert_together(store, uploads, idempotency_key, patience);
        store.measured(("INSERT", "uploads"), recorded)
    };
    match write(commit_timeout).await {
        // Once more, as Postgres expects; in what is left of the time.
        Err(StoreError::Conflict(_)) if began.elapsed() < commit_timeout => {
            write(commit_timeout.saturating_sub(began.elapsed())).await
        }
        outcome => outcome,
    }
}

async fn insert_together(
    store: &Store,
    uploads: &[&NewUpload],
    idempotency_key: Option<&NewIdempotencyKey>,
    commit_timeout: Duration,
) -> Result<bool, StoreError> {
    let mut connection = store.pool.acquire().await?;
    // Postgres gives up in time too: else it would go on waiting for a lock for somebody who is gone.
    let begin = format!("BEGIN; SET LOCAL statement_timeout = {}", commit_timeout.as_millis());
    let transaction = async {
        let mut transaction = connection.begin_with(sqlx::AssertSqlSafe(begin)).await?;
        if let Some(new) = idempotency_key
            && !idempotency_keys::claim(&mut transaction, new).await?
        {
            return Ok(false);
        }
        insert(&mut transaction, uploads).await?;
        transaction.commit().await?;
        Ok(true)
    };
    // Longer than Postgres waits, whose word is the better one.
    if let Ok(recorded) = tokio::time::timeout(commit_timeout + TOLD_BY_POSTGRES, transaction).await {
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
/// The database is unreachable.
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
    Ok(store.within(("UPDATE", "uploads"), renewed.execute(&store.pool)).await?.rows_affected() == 1)
}

/// A tenant's upload.
///
/// # Errors
/// The database is unreachable, or the row does not parse.
pub async fn find(store: &Store, tenant_id: TenantId, id: UploadId) -> Result<Option<Upload>, StoreError> {
    let condition = "WHERE uploads.id = $1 AND uploads.tenant_id = $2";
    let row = sqlx::query_as::<_, Row>(sqlx::AssertSqlSafe(format!("{} {condition}", row::SELECT)));
    let row = row.bind(id.uuid()).bind(tenant_id.uuid()).fetch_optional(&store.pool);
    Ok(store.within(("SELECT", "uploads"), row).await?.map(Upload::try_from).transpose()?)
}

/// Any tenant's upload; for operators.
///
/// # Errors
/// The database is unreachable, or the row does not parse.
pub async fn find_any_tenant(store: &Store, id: UploadId) -> Result<Option<Upload>, StoreError> {
    let row = sqlx::query_as::<_, Row>(sqlx::AssertSqlSafe(format!("{} WHERE uploads.id = $1", row::SELECT)));
    let row = store.within(("SELECT", "uploads"), row.bind(id.uuid()).fetch_optional(&store.pool)).await?;
    Ok(row.map(Upload::try_from).transpose()?)
}
