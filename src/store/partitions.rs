//! The monthly partitions of `uploads`.

use chrono::{DateTime, Utc};

use super::{Store, StoreError};

/// Makes the partitions of the months from `first` to `last` that are not there yet, and says how many that were. However
/// many instances ask at once, one works and the others wait for it.
///
/// # Errors
/// The database is away, or the role may not.
pub async fn ensure_any_tenant(store: &Store, first: DateTime<Utc>, last: DateTime<Utc>) -> Result<i32, StoreError> {
    let made = sqlx::query_scalar!(r#"SELECT ensure_upload_partitions($1, $2) AS "made!""#, first, last);
    store.within(made.fetch_one(&store.pool)).await
}
