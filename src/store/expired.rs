//! Rows that have outlived their use.

use chrono::{DateTime, Utc};

use super::{Store, StoreError};

/// Removes idempotency keys that ran out before now, so many at most, and says how many that were.
///
/// # Errors
/// The database is away.
pub async fn remove_idempotency_keys_any_tenant(
    store: &Store,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<u64, StoreError> {
    let removed = sqlx::query!(
        "DELETE FROM idempotency_keys WHERE id IN (
             SELECT id FROM idempotency_keys WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
        now,
        limit
    );
    let removed = store.measured(("DELETE", "idempotency_keys"), removed.execute(&store.pool)).await?;
    Ok(removed.rows_affected())
}
