//! Sealed secrets of all tables: counts, samples and re-sealing.

use crate::domain::ids::BucketId;

use super::{Store, StoreError};

/// Counts the rows sealed with each key.
///
/// # Errors
/// The database is unreachable.
pub async fn count_by_key_any_tenant(store: &Store) -> Result<Vec<(String, i64)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT sealing_key_id AS "sealing_key_id!", count(*) AS "rows!" FROM (
             SELECT sealing_key_id FROM buckets UNION ALL SELECT sealing_key_id FROM jwt_issuers WHERE sealing_key_id IS NOT NULL
           ) AS sealed GROUP BY 1"#
    );
    let rows = store.within(("SELECT", "sealed_secrets"), rows.fetch_all(&store.pool)).await?;
    Ok(rows.into_iter().map(|row| (row.sealing_key_id, row.rows)).collect())
}

/// A bucket's secret, sealed.
#[derive(Debug, Clone)]
#[expect(clippy::struct_field_names, reason = "the fields are named as the columns are")]
pub struct SealedSecret {
    pub bucket_id: BucketId,
    pub credential_version: i32,
    pub sealing_key_id: String,
    pub sealed_secret_access_key: Vec<u8>,
}

/// Returns the secrets of up to eight active buckets that are sealed with one of these keys: the
/// oldest and the newest.
///
/// # Errors
/// The database is unreachable.
pub async fn sample_any_tenant(store: &Store, sealing_key_ids: &[String]) -> Result<Vec<SealedSecret>, StoreError> {
    let rows = sqlx::query!(
        r#"(SELECT id AS "id!", credential_version AS "credential_version!", sealing_key_id AS "sealing_key_id!",
                   sealed_secret_access_key AS "sealed_secret_access_key!"
            FROM buckets WHERE archived_at IS NULL AND sealing_key_id = ANY ($1) ORDER BY id LIMIT 4)
           UNION
           (SELECT id, credential_version, sealing_key_id, sealed_secret_access_key
            FROM buckets WHERE archived_at IS NULL AND sealing_key_id = ANY ($1) ORDER BY id DESC LIMIT 4)"#,
        sealing_key_ids
    );
    let rows = store.within(("SELECT", "sealed_secrets"), rows.fetch_all(&store.pool)).await?;
    let secrets = rows.into_iter().map(|row| SealedSecret {
        bucket_id: row.id.into(),
        credential_version: row.credential_version,
        sealing_key_id: row.sealing_key_id,
        sealed_secret_access_key: row.sealed_secret_access_key,
    });
    Ok(secrets.collect())
}

/// Whether any bucket is active.
///
/// # Errors
/// The database is unreachable.
pub async fn is_any_bucket_any_tenant(store: &Store) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM buckets WHERE archived_at IS NULL) AS "found!""#);
    store.within(("SELECT", "sealed_secrets"), found.fetch_one(&store.pool)).await
}
