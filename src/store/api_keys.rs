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

/// Finds a key by its public id. The tenant is not known before.
///
/// # Errors
/// The database is unreachable.
pub async fn find_any_tenant(store: &Store, public_id: &str) -> Result<Option<ApiKey>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, public_id, secret_sha256, tenant_id, label, scopes, created_at, expires_at, revoked_at, last_used_at, revision
         FROM api_keys WHERE public_id = $1",
        public_id
    );
    let row = store.within(("SELECT", "api_keys"), row.fetch_optional(&store.pool)).await?;
    Ok(row.map(ApiKey::from))
}

/// Whose keys a list shows.
#[derive(Debug, Clone, Copy)]
pub enum Owner {
    Tenant(TenantId),
    Operators,
}

impl Owner {
    /// The value of the column.
    #[must_use]
    pub const fn tenant_id(self) -> Option<TenantId> {
        match self {
            Self::Tenant(id) => Some(id),
            Self::Operators => None,
        }
    }
}

/// Lists an owner's keys, newest first, after `after`.
///
/// # Errors
/// The database is unreachable.
pub async fn list(store: &Store, owner: Owner, after: Option<ApiKeyId>, limit: i64) -> Result<Vec<ApiKey>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, public_id, secret_sha256, tenant_id, label, scopes, created_at, expires_at, revoked_at, last_used_at, revision
         FROM api_keys WHERE tenant_id IS NOT DISTINCT FROM $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
        owner.tenant_id().map(TenantId::uuid),
        after.map(ApiKeyId::uuid),
        limit
    );
    let rows = store.within(("SELECT", "api_keys"), rows.fetch_all(&store.pool)).await?;
    Ok(rows.into_iter().map(ApiKey::from).collect())
}

/// Finds a key and locks its row until the transaction ends. For an operator's key, locks all
/// operators' keys, so that two concurrent changes cannot each count on the other's key.
///
/// # Errors
/// The database is unreachable.
pub async fn lock_any_tenant(transaction: &mut Transaction, public_id: &str) -> Result<Option<ApiKey>, StoreError> {
    sqlx::query!(
        "SELECT id FROM api_keys WHERE tenant_id IS NULL AND EXISTS
           (SELECT FROM api_keys AS wanted WHERE wanted.public_id = $1 AND wanted.tenant_id IS NULL)
         ORDER BY id FOR UPDATE",
        public_id
    )
    .fetch_all(&mut **transaction)
    .await?;
    let row = sqlx::query_as!(
        Row,
        "SELECT id, public_id, secret_sha256, tenant_id, label, scopes, created_at, expires_at, revoked_at, last_used_at, revision
         FROM api_keys WHERE public_id = $1 FOR UPDATE",
        public_id
    )
    .fetch_optional(&mut **transaction)
    .await?;
    Ok(row.map(ApiKey::from))
}

/// Counts the other operators' keys that are valid at `moment`.
///
/// # Errors
/// The database is unreachable.
pub async fn count_other_operators_keys(
    transaction: &mut Transaction,
    but: ApiKeyId,
    moment: DateTime<Utc>,
) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM api_keys
         WHERE tenant_id IS NULL AND id <> $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at >= $2)"#,
        but.uuid(),
        moment
    )
    .fetch_one(&mut **transaction)
    .await?;
    Ok(count)
}

/// # Errors
/// [`StoreError::Taken`] if the public id exists.
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

/// Writes the fields of a key that can change, and returns its revision.
///
/// # Errors
/// The database is unreachable.
pub async fn save(transaction: &mut Transaction, api_key: &ApiKey) -> Result<i32, StoreError> {
    let revision = sqlx::query_scalar!(
        "UPDATE api_keys SET label = $2, scopes = $3, expires_at = $4, revoked_at = $5, revision = revision + 1
         WHERE id = $1 AND tenant_id IS NOT DISTINCT FROM $6 RETURNING revision",
        api_key.id.uuid(),
        api_key.label,
        &api_key.scopes.texts(),
        api_key.expires_at,
        api_key.revoked_at,
        api_key.tenant_id.map(TenantId::uuid)
    )
    .fetch_one(&mut **transaction)
    .await?;
    Ok(revision)
}

/// Records when keys were last used. An older time than the stored one changes nothing.
///
/// # Errors
/// The database is unreachable.
pub async fn touch_any_tenant(store: &Store, used: &[(ApiKeyId, DateTime<Utc>)]) -> Result<(), StoreError> {
    let (ids, times): (Vec<_>, Vec<_>) = used.iter().map(|(id, at)| (id.uuid(), *at)).unzip();
    // Locked in one order everywhere, so that two instances that write at a time do not wait for each other for ever.
    let touched = sqlx::query!(
        "WITH held AS (SELECT id FROM api_keys WHERE id = ANY ($1) ORDER BY id FOR UPDATE)
         UPDATE api_keys SET last_used_at = GREATEST(last_used_at, used.at)
         FROM UNNEST($1::uuid[], $2::timestamptz[]) AS used (id, at) JOIN held USING (id) WHERE api_keys.id = used.id",
        &ids,
        &times
    );
    store.measured(("UPDATE", "api_keys"), touched.execute(&store.pool)).await.map(drop)
}
