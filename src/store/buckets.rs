//! Table `buckets`. Secrets are always sealed.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::domain::binding::{Binding, BindingSet};
use crate::domain::bucket::{Alias, Bucket, BucketName, Endpoint, Location, Region};
use crate::domain::egress::AllowedHosts;
use crate::domain::ids::{BucketId, TenantId};

use super::written::require_rows;
use super::{Store, StoreError, Transaction};

/// A bucket and its sealed credential.
#[derive(Debug, Clone)]
pub struct SealedBucket {
    pub bucket: Bucket,
    pub sealing_key_id: String,
    pub sealed_secret_access_key: Vec<u8>,
    pub sealed_session_token: Option<Vec<u8>>,
}

struct Row {
    id: uuid::Uuid,
    tenant_id: uuid::Uuid,
    alias: String,
    is_default: bool,
    endpoint: String,
    region: String,
    bucket: String,
    addressing: String,
    provider: String,
    access_key_id: String,
    sealing_key_id: String,
    sealed_secret_access_key: Vec<u8>,
    sealed_session_token: Option<Vec<u8>>,
    credential_version: i32,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    archived_at: Option<DateTime<Utc>>,
    revision: i32,
    enforced_bindings: Vec<String>,
}

/// Queries whole rows. The columns are in a macro because sqlx checks only literals.
macro_rules! select {
    ($rest:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            Row,
            "SELECT id, tenant_id, alias, is_default, endpoint, region, bucket, addressing, provider, access_key_id, sealing_key_id,
                sealed_secret_access_key, sealed_session_token, credential_version, created_at, updated_at, archived_at, revision, enforced_bindings
         FROM buckets" + $rest
            $(, $argument)*
        )
    };
}

impl TryFrom<Row> for SealedBucket {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let location = Location {
            // Whether the host may be reached was decided when the row was written.
            endpoint: Endpoint::parse(&row.endpoint, &AllowedHosts::any())?,
            region: Region::parse(&row.region)?,
            bucket_name: BucketName::parse(&row.bucket)?,
            addressing: row.addressing.parse()?,
            provider: row.provider.parse()?,
        };
        let bucket = Bucket {
            id: row.id.into(),
            tenant_id: row.tenant_id.into(),
            alias: Alias::parse(&row.alias)?,
            is_default: row.is_default,
            location,
            enforced_bindings: BindingSet::parse(
                "enforced_bindings",
                &Binding::OPTIONAL,
                row.enforced_bindings.iter().map(String::as_str),
            )?,
            access_key_id: row.access_key_id,
            credential_version: row.credential_version,
            created_at: row.created_at,
            updated_at: row.updated_at,
            archived_at: row.archived_at,
            revision: row.revision,
        };
        Ok(Self {
            bucket,
            sealing_key_id: row.sealing_key_id,
            sealed_secret_access_key: row.sealed_secret_access_key,
            sealed_session_token: row.sealed_session_token,
        })
    }
}

/// Finds the tenant's active bucket with this alias, or its default bucket for `None`.
///
/// # Errors
/// The database is unreachable, or the row does not parse.
pub async fn find(
    store: &Store,
    tenant_id: TenantId,
    alias: Option<&Alias>,
) -> Result<Option<SealedBucket>, StoreError> {
    store.within(("SELECT", "buckets"), fetch(&store.pool, tenant_id, alias)).await
}

async fn fetch(
    executor: impl PgExecutor<'_>,
    tenant_id: TenantId,
    alias: Option<&Alias>,
) -> Result<Option<SealedBucket>, StoreError> {
    let row = select!(
        "
         WHERE tenant_id = $1 AND archived_at IS NULL AND CASE WHEN $2::text IS NULL THEN is_default ELSE alias = $2 END",
        tenant_id.uuid(),
        alias.map(Alias::as_str)
    )
    .fetch_optional(executor)
    .await?;
    row.map(SealedBucket::try_from).transpose()
}

/// Lists a tenant's active buckets, the default one first.
///
/// # Errors
/// The database is unreachable, or a row does not parse.
pub async fn list(store: &Store, tenant_id: TenantId) -> Result<Vec<SealedBucket>, StoreError> {
    let rows =
        select!(" WHERE tenant_id = $1 AND archived_at IS NULL ORDER BY is_default DESC, alias", tenant_id.uuid());
    let rows = store.within(("SELECT", "buckets"), rows.fetch_all(&store.pool)).await?;
    rows.into_iter().map(SealedBucket::try_from).collect()
}

/// Lists all buckets of a tenant, including archived ones, because their objects still exist.
///
/// # Errors
/// The database is unreachable, or a row does not parse.
pub async fn list_with_archived(store: &Store, tenant_id: TenantId) -> Result<Vec<SealedBucket>, StoreError> {
    let rows = select!(" WHERE tenant_id = $1", tenant_id.uuid());
    let rows = store.within(("SELECT", "buckets"), rows.fetch_all(&store.pool)).await?;
    rows.into_iter().map(SealedBucket::try_from).collect()
}

/// Like [`find`], for a tenant whose buckets the transaction has locked
/// ([`super::tenants::lock_buckets`]).
///
/// # Errors
/// The database is unreachable, or the row does not parse.
pub async fn find_locked(
    transaction: &mut Transaction,
    tenant_id: TenantId,
    alias: Option<&Alias>,
) -> Result<Option<SealedBucket>, StoreError> {
    fetch(&mut **transaction, tenant_id, alias).await
}

/// # Errors
/// [`StoreError::Taken`] if the tenant has a bucket with that alias.
pub async fn insert(transaction: &mut Transaction, sealed: &SealedBucket) -> Result<(), StoreError> {
    let SealedBucket { bucket, .. } = sealed;
    let location = &bucket.location;
    sqlx::query!(
        "INSERT INTO buckets (id, tenant_id, alias, is_default, endpoint, region, bucket, addressing, provider, access_key_id,
                              sealing_key_id, sealed_secret_access_key, sealed_session_token, credential_version, created_at, updated_at,
                              enforced_bindings)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        bucket.id.uuid(),
        bucket.tenant_id.uuid(),
        bucket.alias.as_str(),
        bucket.is_default,
        location.endpoint.to_string(),
        location.region.as_str(),
        location.bucket_name.as_str(),
        location.addressing.as_str(),
        location.provider.as_str(),
        bucket.access_key_id,
        sealed.sealing_key_id,
        sealed.sealed_secret_access_key,
        sealed.sealed_session_token,
        bucket.credential_version,
        bucket.created_at,
        bucket.updated_at,
        &enforces(bucket)
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Writes the fields of a bucket that can change, except its credential, and returns its revision.
///
/// # Errors
/// [`StoreError::Taken`] if the tenant has another bucket with that alias.
pub async fn save(transaction: &mut Transaction, bucket: &Bucket) -> Result<i32, StoreError> {
    let location = &bucket.location;
    let revision = sqlx::query_scalar!(
        "UPDATE buckets SET alias = $3, is_default = $4, endpoint = $5, region = $6, bucket = $7, addressing = $8, provider = $9,
                archived_at = $10, updated_at = $11, enforced_bindings = $12, revision = revision + 1
         WHERE tenant_id = $1 AND id = $2 RETURNING revision",
        bucket.tenant_id.uuid(),
        bucket.id.uuid(),
        bucket.alias.as_str(),
        bucket.is_default,
        location.endpoint.to_string(),
        location.region.as_str(),
        location.bucket_name.as_str(),
        location.addressing.as_str(),
        location.provider.as_str(),
        bucket.archived_at,
        bucket.updated_at,
        &enforces(bucket)
    )
    .fetch_one(&mut **transaction)
    .await?;
    Ok(revision)
}

/// Writes a bucket's credential, and returns the row's revision.
///
/// # Errors
/// The database is unreachable.
pub async fn save_credential(transaction: &mut Transaction, sealed: &SealedBucket) -> Result<i32, StoreError> {
    let SealedBucket { bucket, .. } = sealed;
    let revision = sqlx::query_scalar!(
        "UPDATE buckets SET access_key_id = $3, sealing_key_id = $4, sealed_secret_access_key = $5, sealed_session_token = $6,
                credential_version = $7, updated_at = $8, revision = revision + 1
         WHERE tenant_id = $1 AND id = $2 RETURNING revision",
        bucket.tenant_id.uuid(),
        bucket.id.uuid(),
        bucket.access_key_id,
        sealed.sealing_key_id,
        sealed.sealed_secret_access_key,
        sealed.sealed_session_token,
        bucket.credential_version,
        bucket.updated_at
    )
    .fetch_one(&mut **transaction)
    .await?;
    Ok(revision)
}

/// Removes the default mark from the tenant's default bucket.
///
/// # Errors
/// The database is unreachable.
pub async fn clear_default(transaction: &mut Transaction, tenant_id: TenantId) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE buckets SET is_default = false, revision = revision + 1 WHERE tenant_id = $1 AND is_default",
        tenant_id.uuid()
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Locks buckets whose credentials are sealed with a key other than `sealing_key_id`, after the id
/// `after`, including archived ones, until the transaction ends.
///
/// # Errors
/// The database is unreachable, or a row does not parse.
pub async fn lock_sealed_otherwise_any_tenant(
    transaction: &mut Transaction,
    sealing_key_id: &str,
    after: Option<BucketId>,
    limit: i64,
) -> Result<Vec<SealedBucket>, StoreError> {
    let rows = select!(
        " WHERE sealing_key_id <> $1 AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3 FOR UPDATE",
        sealing_key_id,
        after.map(BucketId::uuid),
        limit
    )
    .fetch_all(&mut **transaction)
    .await?;
    rows.into_iter().map(SealedBucket::try_from).collect()
}

/// Writes the same credential, sealed with another key. The row's revision does not change.
///
/// # Errors
/// The database is unreachable.
pub async fn save_resealed_any_tenant(transaction: &mut Transaction, sealed: &SealedBucket) -> Result<(), StoreError> {
    let written = sqlx::query!(
        "UPDATE buckets SET sealing_key_id = $3, sealed_secret_access_key = $4, sealed_session_token = $5
         WHERE tenant_id = $1 AND id = $2",
        sealed.bucket.tenant_id.uuid(),
        sealed.bucket.id.uuid(),
        sealed.sealing_key_id,
        sealed.sealed_secret_access_key,
        sealed.sealed_session_token
    )
    .execute(&mut **transaction)
    .await?;
    require_rows(&written, 1)
}

fn enforces(bucket: &Bucket) -> Vec<String> {
    bucket.enforced_bindings.texts().map(str::to_owned).collect()
}
