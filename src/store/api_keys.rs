//! Table `api_keys`.

use chrono::{DateTime, Utc};

use crate::domain::api_key::ApiKey;
use crate::domain::caller::Scopes;
use crate::domain::ids::{ApiKeyId, TenantId};

use super::{Store, StoreError, Transaction};

struct Row {
    id: uuid::Uuid,
    public_id: String,
    secret_sha256: Vec<u8>,
    tenant_id: Option<uuid::Uuid>,
    label: String,
    scopes: Vec<String>,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    revision: i32,
}

impl From<Row> for ApiKey {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            public_id: row.public_id,
            // The table's check keeps this at 32 bytes; noughts are the hash of nothing that anybody has.
            secret_sha256: row.secret_sha256.try_into().unwrap_or_default(),
            tenant_id: row.tenant_id.map(TenantId::from),
            label: row.label,
            scopes: Scopes::known_among(row.scopes.iter().map(String::as_str)),
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
            revision: row.revision,
        }
    }
}

/// Finds a key by what its holder shows; before this, nobody knows the tenant.
///
/// # Errors
/// The database is away.
pub async fn find_any_tenant(store: &Store, public_id: &str) -> Result<Option<ApiKey>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, public_id, secret_sha256, tenant_id, label, scopes, created_at, expires_at, revoked_at, last_used_at, revision
         FROM api_keys WHERE public_id = $1",
        public_id
    );
    let row = store.within(row.fetch_optional(&store.pool)).await?;
    Ok(row.map(ApiKey::from))
}

/// A tenant's keys, newest first; with `None`, the operators'.
///
/// # Errors
/// The database is away.
pub async fn list(store: &Store, tenant_id: Option<TenantId>) -> Result<Vec<ApiKey>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, public_id, secret_sha256, tenant_id, label, scopes, created_at, expires_at, revoked_at, last_used_at, revision
         FROM api_keys WHERE tenant_id IS NOT DISTINCT FROM $1 ORDER BY id DESC",
        tenant_id.map(TenantId::uuid)
    )
    .fetch_all(&store.pool)
    .await?;
    Ok(rows.into_iter().map(ApiKey::from).collect())
}

/// # Errors
/// [`StoreError::Taken`] when the public id is there already.
pub async fn insert(transaction: &mut Transaction, api_key: &ApiKey) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO api_keys (id, public_id, secret_sha256, tenant_id, label, scopes, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        api_key.id.uuid(),
        api_key.public_id,
        &api_key.secret_sha256[..],
        api_key.tenant_id.map(TenantId::uuid),
        api_key.label,
        &api_key.scopes.texts(),
        api_key.created_at,
        api_key.expires_at
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Revokes a key of any tenant and tells whose it was; `None` when there is no such key, or it was revoked before.
///
/// # Errors
/// The database is away.
pub async fn revoke_any_tenant(
    transaction: &mut Transaction,
    public_id: &str,
    now: DateTime<Utc>,
) -> Result<Option<(ApiKeyId, Option<TenantId>)>, StoreError> {
    let row = sqlx::query!(
        "UPDATE api_keys SET revoked_at = $2 WHERE public_id = $1 AND revoked_at IS NULL RETURNING id, tenant_id",
        public_id,
        now
    )
    .fetch_optional(&mut **transaction)
    .await?;
    Ok(row.map(|row| (row.id.into(), row.tenant_id.map(TenantId::from))))
}

/// Notes when keys were last used; a time that is older than the stored one changes nothing.
///
/// # Errors
/// The database is away.
pub async fn touch_any_tenant(store: &Store, used: &[(ApiKeyId, DateTime<Utc>)]) -> Result<(), StoreError> {
    let (ids, times): (Vec<_>, Vec<_>) = used.iter().map(|(id, at)| (id.uuid(), *at)).unzip();
    sqlx::query!(
        "UPDATE api_keys SET last_used_at = GREATEST(last_used_at, used.at)
         FROM UNNEST($1::uuid[], $2::timestamptz[]) AS used (id, at) WHERE api_keys.id = used.id",
        &ids,
        &times
    )
    .execute(&store.pool)
    .await?;
    Ok(())
}
