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
    store.within(("CREATE", "uploads"), made.fetch_one(&store.pool)).await
}

/// Whether an upload of that moment has a place.
///
/// # Errors
/// The database is away.
pub async fn exists_for_any_tenant(store: &Store, moment: DateTime<Utc>) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(r#"SELECT has_upload_partition($1) AS "found!""#, moment);
    store.within(("SELECT", "uploads"), found.fetch_one(&store.pool)).await
}

/// What time it is for Postgres.
///
/// # Errors
/// The database is away.
pub async fn now(store: &Store) -> Result<DateTime<Utc>, StoreError> {
    let now = sqlx::query_scalar!(r#"SELECT now() AS "now!""#);
    store.within(("SELECT", "uploads"), now.fetch_one(&store.pool)).await
}

/// Drops the oldest partition, if all of it was issued before that moment, and says which.
///
/// # Errors
/// The database is away, the role may not, or the table is in use: then for another time.
pub async fn drop_oldest_any_tenant(store: &Store, before: DateTime<Utc>) -> Result<Option<String>, StoreError> {
    let dropped = sqlx::query_scalar!("SELECT drop_upload_partition($1)", before);
    store.measured(("DROP", "uploads"), dropped.fetch_one(&store.pool)).await
}
