//! Walks over a tenant's uploads, the oldest first, in steps that each say where the next begins.

use crate::domain::ids::{TenantId, UploadId};
use crate::domain::upload::{Upload, UploadState};

use super::row::{self, Row};
use super::{Store, StoreError};

/// Up to `limit` of a tenant's uploads of this state with an id of `from` or behind it and before `to`, in the order of their ids.
///
/// # Errors
/// The database is away, or a row does not parse.
pub async fn list_of_state(
    store: &Store,
    tenant_id: TenantId,
    state: UploadState,
    from: UploadId,
    to: UploadId,
    limit: i64,
) -> Result<Vec<Upload>, StoreError> {
    let condition = "WHERE uploads.tenant_id = $1 AND uploads.id >= $2 AND uploads.id < $3 AND uploads.state = $4
                     ORDER BY uploads.id LIMIT $5";
    let rows = sqlx::query_as::<_, Row>(sqlx::AssertSqlSafe(format!("{} {condition}", row::SELECT)));
    let rows = rows.bind(tenant_id.uuid()).bind(from.uuid()).bind(to.uuid()).bind(state.as_str()).bind(limit);
    let rows = store.within(("SELECT", "uploads"), rows.fetch_all(&store.pool)).await?;
    rows.into_iter().map(|row| Ok(Upload::try_from(row)?)).collect()
}
