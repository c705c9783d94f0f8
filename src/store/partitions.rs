//! The monthly partitions of `uploads`.

use chrono::{DateTime, Utc};

use super::{Store, StoreError};

/// Creates the missing partitions of the months from `first` to `last` and returns their number. If
/// several instances call it, one creates them and the others wait.
///
/// # Errors
/// The database is unreachable, or the role lacks the right.
pub async fn ensure_any_tenant(store: &Store, first: DateTime<Utc>, last: DateTime<Utc>) -> Result<i32, StoreError> {
    let made = sqlx::query_scalar!(r#"SELECT ensure_upload_partitions($1, $2) AS "made!""#, first, last);
    store.within(("CREATE", "uploads"), made.fetch_one(&store.pool)).await
}

/// Whether a partition exists for an upload of that time.
///
/// # Errors
/// The database is unreachable.
pub async fn exists_for_any_tenant(store: &Store, moment: DateTime<Utc>) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(r#"SELECT has_upload_partition($1) AS "found!""#, moment);
    store.within(("SELECT", "uploads"), found.fetch_one(&store.pool)).await
}

/// The current time of Postgres.
///
/// # Errors
/// The database is unreachable.
pub async fn now(store: &Store) -> Result<DateTime<Utc>, StoreError> {
    let now = sqlx::query_scalar!(r#"SELECT now() AS "now!""#);
    store.within(("SELECT", "uploads"), now.fetch_one(&store.pool)).await
}

/// Drops the oldest partition if all of its uploads were issued before that time, and returns its
/// name.
///
/// # Errors
/// The database is unreachable, the role lacks the right, or the table is in use. Retry later.
pub async fn drop_oldest_any_tenant(store: &Store, before: DateTime<Utc>) -> Result<Option<String>, StoreError> {
    let dropped = sqlx::query_scalar!("SELECT drop_upload_partition($1)", before);
    store.measured(("DROP", "uploads"), dropped.fetch_one(&store.pool)).await
}
