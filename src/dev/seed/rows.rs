//! The SQL of `dev seed`. It fills tables with rows that no request made, so it stays out of the store.
//!
//! It takes connections from the store's pool instead of its own: seeding needs the store anyway, for partitions and usage.

use uuid::Uuid;

use crate::store::{Store, StoreError};

/// Where rows are put, and in whose name.
#[derive(Debug)]
pub(super) struct Place {
    pub tenant_id: Uuid,
    pub bucket_id: Uuid,
    pub access_key_id: String,
    pub api_key_ids: Vec<Uuid>,
}

/// Whether somebody's JWTs are taken in this database.
///
/// # Errors
/// The database is away.
pub(super) async fn knows_issuer_any_tenant(store: &Store, issuer: &str, audience: &str) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM jwt_issuers WHERE issuer = $1 AND audience = $2) AS "found!""#,
        issuer,
        audience
    );
    Ok(found.fetch_one(store.pool()).await?)
}

/// Makes one more tenant that is like the first one. Its bucket's credential is bound to another row, and does not open: its
/// uploads are there to be counted and looked at.
///
/// # Errors
/// The database is away.
pub(super) async fn copy_first_tenant_any_tenant(store: &Store, slug: &str, ids: [Uuid; 2]) -> Result<(), StoreError> {
    let mut transaction = store.begin().await?;
    let [tenant_id, bucket_id] = ids;
    let made = sqlx::query!(
        "INSERT INTO tenants
         SELECT copy.*
         FROM tenants, jsonb_populate_record(
             tenants, jsonb_build_object('id', $1::uuid, 'slug', $2::text, 'name', 'Seeded app ' || $2, 'status', 'active', 'revision', 1)
         ) AS copy
         WHERE tenants.object_key_prefix IS NULL ORDER BY tenants.id LIMIT 1
         ON CONFLICT (slug) DO NOTHING",
        tenant_id,
        slug
    );
    if made.execute(&mut *transaction).await?.rows_affected() > 0 {
        sqlx::query!(
            "INSERT INTO buckets (id, tenant_id, alias, is_default, endpoint, region, bucket, addressing, provider, access_key_id,
                                  sealing_key_id, sealed_secret_access_key, credential_version, created_at, updated_at)
             SELECT $1, $2, alias, true, endpoint, region, bucket, addressing, provider, access_key_id,
                    sealing_key_id, sealed_secret_access_key, credential_version, created_at, updated_at
             FROM buckets WHERE is_default ORDER BY id LIMIT 1",
            bucket_id,
            tenant_id
        )
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Gives a tenant one more API key, whose secret nobody knows.
///
/// # Errors
/// The database is away.
pub(super) async fn add_api_key(store: &Store, tenant_id: Uuid, id: Uuid, public_id: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO api_keys (id, public_id, secret_sha256, tenant_id, label, scopes, created_at)
         VALUES ($1, $2, sha256(uuid_send(gen_random_uuid())), $3, 'seeded', '{uploads:issue}', now())",
        id,
        public_id,
        tenant_id
    )
    .execute(store.pool())
    .await?;
    Ok(())
}

/// Where rows can be put: every tenant that has a bucket, the oldest first.
///
/// # Errors
/// The database is away.
pub(super) async fn places_any_tenant(store: &Store, limit: i64) -> Result<Vec<Place>, StoreError> {
    let places = sqlx::query_as!(
        Place,
        r#"SELECT buckets.tenant_id, buckets.id AS bucket_id, access_key_id,
                  ARRAY(SELECT id FROM api_keys WHERE api_keys.tenant_id = buckets.tenant_id ORDER BY id LIMIT 4) AS "api_key_ids!"
           FROM buckets WHERE is_default ORDER BY tenant_id LIMIT $1"#,
        limit
    );
    Ok(places.fetch_all(store.pool()).await?)
}

/// Copies rows with these columns into the ledger, as `COPY` takes them.
///
/// # Errors
/// The database is away, or refuses a row.
pub(super) async fn copy_uploads_any_tenant(
    store: &Store,
    columns: &[&'static str],
    rows: &[u8],
) -> Result<u64, StoreError> {
    let mut transaction = store.begin().await?;
    // No statement of ours counts these.
    sqlx::query("SET LOCAL presign_gateway.counts_itself = no").execute(&mut *transaction).await?;
    let mut copy = transaction.copy_in_raw(&format!("COPY uploads ({}) FROM STDIN", columns.join(", "))).await?;
    copy.send(rows).await?;
    let copied = copy.finish().await?;
    transaction.commit().await?;
    Ok(copied)
}
