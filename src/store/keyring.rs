//! What is sealed, in whichever table.

use super::{Store, StoreError};

/// How many rows are sealed under each key.
///
/// # Errors
/// The database is away.
pub async fn count_by_key_any_tenant(store: &Store) -> Result<Vec<(String, i64)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT sealing_key_id AS "sealing_key_id!", count(*) AS "rows!" FROM (
             SELECT sealing_key_id FROM buckets UNION ALL SELECT sealing_key_id FROM jwt_issuers WHERE sealing_key_id IS NOT NULL
           ) AS sealed GROUP BY 1"#
    );
    let rows = store.within(("SELECT", "sealed_secrets"), rows.fetch_all(&store.pool)).await?;
    Ok(rows.into_iter().map(|row| (row.sealing_key_id, row.rows)).collect())
}

/// Whether any bucket's credential is sealed under one of these keys, or there is no bucket at all.
///
/// # Errors
/// The database is away.
pub async fn is_any_under_any_tenant(store: &Store, sealing_key_ids: &[String]) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        r#"SELECT (EXISTS (SELECT FROM buckets WHERE sealing_key_id = ANY ($1)) OR NOT EXISTS (SELECT FROM buckets)) AS "found!""#,
        sealing_key_ids
    );
    store.within(("SELECT", "sealed_secrets"), found.fetch_one(&store.pool)).await
}
