//! Table `tenants`.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;

use crate::domain::Invalid;
use crate::domain::ids::TenantId;
use crate::domain::tenant::{Policy, RateLimit, Slug, Tenant, TenantStatus};

use super::{Store, StoreError, Transaction};

struct Row {
    id: uuid::Uuid,
    slug: String,
    name: String,
    status: String,
    rate_per_second: i32,
    burst: i32,
    policy: Value,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    revision: i32,
}

impl TryFrom<Row> for Tenant {
    type Error = Invalid;

    fn try_from(row: Row) -> Result<Self, Invalid> {
        // The table's checks keep these positive; the types in the next step would reject a zero.
        let positive = |value: i32| u32::try_from(value).unwrap_or(0);
        let policy: Result<Policy, _> = serde_json::from_value(row.policy);
        Ok(Self {
            id: row.id.into(),
            slug: Slug::parse(&row.slug)?,
            name: row.name,
            status: row.status.parse()?,
            rate_limit: RateLimit::new(positive(row.rate_per_second), positive(row.burst))?,
            policy: policy.map_err(|error| Invalid::new("policy", error.to_string()))?,
            created_at: row.created_at,
            updated_at: row.updated_at,
            revision: row.revision,
        })
    }
}

/// Passes the columns of a policy to the macro `$query`. They are listed here only, each by the name of its field in [`Policy`].
/// Reading fails if a field has no column here, or a column no field.
///
/// A policy is not one JSONB column, because columns have checks, and because an instance of an older version then keeps the
/// values that it does not know.
macro_rules! policy_columns {
    ($query:ident!($($arguments:tt)*)) => {
        $query!(
            "allowed_extensions, max_size_bytes, default_expiry_seconds, longest_expiry_seconds,
             object_key_template, object_key_prefix, time_zone, required_bindings, verify_arrival",
            $($arguments)*
        )
    };
}

/// Reads tenants; `$which` is the rest of the statement.
macro_rules! select {
    ($policy:literal, $which:literal, $($arguments:tt)*) => {
        sqlx::query_as!(
            Row,
            "SELECT id, slug, name, status, rate_per_second, burst, created_at, updated_at, revision,
                    (SELECT to_jsonb(policy) FROM (SELECT " + $policy + r#") policy) AS "policy!"
             FROM tenants "# + $which,
            $($arguments)*
        )
    };
}

macro_rules! insert {
    ($policy:literal, $($arguments:tt)*) => {
        sqlx::query!(
            "INSERT INTO tenants (id, slug, name, status, rate_per_second, burst, created_at, updated_at, " + $policy + ")
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, " + $policy + " FROM jsonb_populate_record(NULL::tenants, $9)",
            $($arguments)*
        )
    };
}

macro_rules! update {
    ($policy:literal, $($arguments:tt)*) => {
        sqlx::query_scalar!(
            "UPDATE tenants
             SET name = $2, status = $3, rate_per_second = $4, burst = $5, updated_at = $6, revision = revision + 1,
                 (" + $policy + ") = (SELECT " + $policy + " FROM jsonb_populate_record(NULL::tenants, $7))
             WHERE id = $1 RETURNING revision",
            $($arguments)*
        )
    };
}

/// # Errors
/// The database is unreachable, or the row does not parse.
pub async fn find(store: &Store, id: TenantId) -> Result<Option<Tenant>, StoreError> {
    let row = policy_columns!(select!("WHERE id = $1", id.uuid()));
    let row = store.within(("SELECT", "tenants"), row.fetch_optional(&store.pool)).await?;
    Ok(row.map(Tenant::try_from).transpose()?)
}

/// # Errors
/// The database is unreachable.
pub async fn find_id_by_slug(store: &Store, slug: &Slug) -> Result<Option<TenantId>, StoreError> {
    let id = sqlx::query_scalar!("SELECT id FROM tenants WHERE slug = $1", slug.as_str());
    let id = store.within(("SELECT", "tenants"), id.fetch_optional(&store.pool)).await?;
    Ok(id.map(TenantId::from))
}

/// Finds a tenant and locks its row until the transaction ends, so that two changes cannot
/// overwrite each other.
///
/// # Errors
/// The database is unreachable, or the row does not parse.
pub async fn lock(transaction: &mut Transaction, slug: &Slug) -> Result<Option<Tenant>, StoreError> {
    let row = policy_columns!(select!("WHERE slug = $1 FOR UPDATE", slug.as_str()));
    Ok(row.fetch_optional(&mut **transaction).await?.map(Tenant::try_from).transpose()?)
}

/// Finds a tenant's id and locks all of its buckets until the transaction ends, so that two changes
/// cannot both set a default. The lock is on the tenant's row, which also covers buckets that do
/// not exist yet.
///
/// # Errors
/// The database is unreachable.
pub async fn lock_buckets(transaction: &mut Transaction, slug: &Slug) -> Result<Option<TenantId>, StoreError> {
    let id = sqlx::query_scalar!("SELECT id FROM tenants WHERE slug = $1 FOR NO KEY UPDATE", slug.as_str())
        .fetch_optional(&mut **transaction)
        .await?;
    Ok(id.map(TenantId::from))
}

/// Filters of a list of tenants.
#[derive(Debug, Clone, Default)]
pub struct TenantFilter {
    /// Tenants of this status; `None` matches all but archived ones.
    pub status: Option<TenantStatus>,
    /// Tenants whose slug starts with this text.
    pub slug_prefix: Option<String>,
}

/// Lists tenants by slug, after `after`; for operators.
///
/// # Errors
/// The database is unreachable, or a row does not parse.
pub async fn list_any_tenant(
    store: &Store,
    filter: &TenantFilter,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Tenant>, StoreError> {
    let rows = policy_columns!(select!(
        "WHERE CASE WHEN $1::text IS NULL THEN status <> 'archived' ELSE status = $1 END
           AND ($2::text IS NULL OR starts_with(slug, $2)) AND ($3::text IS NULL OR slug > $3)
         ORDER BY slug LIMIT $4",
        filter.status.map(TenantStatus::as_str),
        filter.slug_prefix,
        after,
        limit
    ));
    let rows = store.within(("SELECT", "tenants"), rows.fetch_all(&store.pool)).await?;
    Ok(rows.into_iter().map(Tenant::try_from).collect::<Result<_, _>>()?)
}

/// Inserts a tenant, at revision 1.
///
/// # Errors
/// [`StoreError::Taken`] if another tenant has the slug.
pub async fn insert(transaction: &mut Transaction, tenant: &Tenant) -> Result<(), StoreError> {
    let row = policy_columns!(insert!(
        tenant.id.uuid(),
        tenant.slug.as_str(),
        tenant.name,
        tenant.status.as_str(),
        tenant.rate_limit.per_second.get().cast_signed(),
        tenant.rate_limit.burst.get().cast_signed(),
        tenant.created_at,
        tenant.updated_at,
        Json(&tenant.policy) as _
    ));
    row.execute(&mut **transaction).await?;
    Ok(())
}

/// Updates a tenant, which keeps its slug, and returns its next revision.
///
/// # Errors
/// There is no such tenant, or the database is unreachable.
pub async fn update(transaction: &mut Transaction, tenant: &Tenant) -> Result<i32, StoreError> {
    let revision = policy_columns!(update!(
        tenant.id.uuid(),
        tenant.name,
        tenant.status.as_str(),
        tenant.rate_limit.per_second.get().cast_signed(),
        tenant.rate_limit.burst.get().cast_signed(),
        tenant.updated_at,
        Json(&tenant.policy) as _
    ));
    Ok(revision.fetch_one(&mut **transaction).await?)
}
