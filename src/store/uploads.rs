//! Table `uploads`: the ledger.

use std::time::Duration;

use crate::domain::ids::{TenantId, UploadId};
use crate::domain::upload::{NewUpload, Upload};

use self::insert::insert;
use self::row::Row;
use super::{Store, StoreError};

mod insert;
mod row;

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
