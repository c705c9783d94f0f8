//! Table `buckets`: where a tenant's objects live; the secrets only ever sealed.

use chrono::{DateTime, Utc};

use crate::domain::bucket::{Bucket, BucketName, Endpoint, Location, Region};
use crate::domain::ids::{BucketId, TenantId};
use crate::domain::outbound::AllowedHosts;

use super::{Store, StoreError, Transaction};

/// A bucket and its credential, sealed.
#[derive(Debug, Clone)]
pub struct SealedBucket {
    pub bucket: Bucket,
    pub access_key_id: String,
    pub sealing_key_id: String,
    pub sealed_secret_access_key: Vec<u8>,
    pub sealed_session_token: Option<Vec<u8>>,
    /// Counts the credentials that this bucket has had; what is sealed is bound to it.
    pub credential_version: i32,
}

/// # Errors
/// The database is away, or the row does not parse.
pub async fn find_default(store: &Store, tenant_id: TenantId) -> Result<Option<SealedBucket>, StoreError> {
    let row = sqlx::query!(
        "SELECT id, alias, endpoint, region, bucket, addressing, provider, access_key_id, sealing_key_id,
                sealed_secret_access_key, sealed_session_token, credential_version
         FROM buckets WHERE tenant_id = $1 AND is_default",
        tenant_id.uuid()
    );
    let row = store.within(row.fetch_optional(&store.pool)).await?;
    let Some(row) = row else { return Ok(None) };
    let location = Location {
        // Whether the host may be reached was decided when the row was written.
        endpoint: Endpoint::parse(&row.endpoint, &AllowedHosts::any())?,
        region: Region::parse(&row.region)?,
        bucket_name: BucketName::parse(&row.bucket)?,
        addressing: row.addressing.parse()?,
        provider: row.provider.parse()?,
    };
    Ok(Some(SealedBucket {
        bucket: Bucket { id: row.id.into(), tenant_id, alias: row.alias, location },
        access_key_id: row.access_key_id,
        sealing_key_id: row.sealing_key_id,
        sealed_secret_access_key: row.sealed_secret_access_key,
        sealed_session_token: row.sealed_session_token,
        credential_version: row.credential_version,
    }))
}

/// The id and the credential version of the tenant's default bucket, its row held until the transaction ends.
///
/// # Errors
/// The database is away.
pub async fn lock_default(
    transaction: &mut Transaction,
    tenant_id: TenantId,
) -> Result<Option<(BucketId, i32)>, StoreError> {
    let row = sqlx::query!(
        "SELECT id, credential_version FROM buckets WHERE tenant_id = $1 AND is_default FOR UPDATE",
        tenant_id.uuid()
    )
    .fetch_optional(&mut **transaction)
    .await?;
    Ok(row.map(|row| (row.id.into(), row.credential_version)))
}

/// Writes a tenant's default bucket: a new row, or every column of the one that has its id.
///
/// # Errors
/// [`StoreError::Taken`] when the tenant has a bucket of that alias.
pub async fn save_default(
    transaction: &mut Transaction,
    sealed: &SealedBucket,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let SealedBucket { bucket, .. } = sealed;
    let location = &bucket.location;
    sqlx::query!(
        "INSERT INTO buckets (id, tenant_id, alias, is_default, endpoint, region, bucket, addressing, provider, access_key_id,
                              sealing_key_id, sealed_secret_access_key, sealed_session_token, credential_version, created_at, updated_at)
         VALUES ($1, $2, $3, true, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)
         ON CONFLICT (id) DO UPDATE SET
           endpoint = excluded.endpoint, region = excluded.region, bucket = excluded.bucket, addressing = excluded.addressing,
           provider = excluded.provider, access_key_id = excluded.access_key_id, sealing_key_id = excluded.sealing_key_id,
           sealed_secret_access_key = excluded.sealed_secret_access_key, sealed_session_token = excluded.sealed_session_token,
           credential_version = excluded.credential_version, updated_at = excluded.updated_at",
        bucket.id.uuid(),
        bucket.tenant_id.uuid(),
        bucket.alias,
        location.endpoint.to_string(),
        location.region.as_str(),
        location.bucket_name.as_str(),
        location.addressing.as_str(),
        location.provider.as_str(),
        sealed.access_key_id,
        sealed.sealing_key_id,
        sealed.sealed_secret_access_key,
        sealed.sealed_session_token,
        sealed.credential_version,
        now
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
