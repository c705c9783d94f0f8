//! Table `tenants`.

use chrono::{DateTime, Utc};

use sqlx::PgExecutor;

use crate::domain::Invalid;
use crate::domain::binding::{Binding, BindingSet};
use crate::domain::extension::ExtensionSet;
use crate::domain::ids::TenantId;
use crate::domain::object_key::{Prefix, Template};
use crate::domain::tenant::{Expiry, Policy, RateLimit, Slug, Tenant, TenantStatus, parse_time_zone};

use super::{Store, StoreError, Transaction};

struct Row {
    id: uuid::Uuid,
    slug: String,
    name: String,
    status: String,
    rate_per_second: i32,
    burst: i32,
    allowed_extensions: Vec<String>,
    max_size_bytes: Option<i64>,
    default_expiry_seconds: i32,
    longest_expiry_seconds: i32,
    object_key_template: String,
    object_key_prefix: Option<String>,
    time_zone: String,
    required_bindings: Vec<String>,
    verify_arrival: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    revision: i32,
}

impl TryFrom<Row> for Tenant {
    type Error = Invalid;

    fn try_from(row: Row) -> Result<Self, Invalid> {
        // The table's checks keep these positive; a nought would be refused by the types in the next step.
        let positive = |value: i32| u32::try_from(value).unwrap_or(0);
        let object_key_prefix = row.object_key_prefix.as_deref().map(Prefix::parse).transpose()?;
        Ok(Self {
            id: row.id.into(),
            slug: Slug::parse(&row.slug)?,
            name: row.name,
            status: row.status.parse()?,
            rate_limit: RateLimit::new(positive(row.rate_per_second), positive(row.burst))?,
            policy: Policy {
                allowed_extensions: ExtensionSet::parse(row.allowed_extensions.iter().map(String::as_str))?,
                max_size_bytes: row.max_size_bytes.and_then(|bytes| bytes.try_into().ok()),
                required_bindings: BindingSet::parse(
                    "required_bindings",
                    &Binding::ALL,
                    row.required_bindings.iter().map(String::as_str),
                )?,
                verify_arrival: row.verify_arrival,
                expiry: Expiry::new(positive(row.default_expiry_seconds), positive(row.longest_expiry_seconds))?,
                object_key_template: Template::parse(&row.object_key_template, object_key_prefix.as_ref())?,
                object_key_prefix,
                time_zone: parse_time_zone(&row.time_zone)?,
            },
            created_at: row.created_at,
            updated_at: row.updated_at,
            revision: row.revision,
        })
    }
}

async fn fetch(executor: impl PgExecutor<'_>, id: uuid::Uuid) -> Result<Option<Tenant>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, slug, name, status, rate_per_second, burst, allowed_extensions, max_size_bytes,
                default_expiry_seconds, longest_expiry_seconds, object_key_template, object_key_prefix, time_zone,
                required_bindings, verify_arrival, created_at, updated_at, revision
         FROM tenants WHERE id = $1",
        id
    )
    .fetch_optional(executor)
    .await?;
    Ok(row.map(Tenant::try_from).transpose()?)
}

/// # Errors
/// The database is away, or the row does not parse.
pub async fn find(store: &Store, id: TenantId) -> Result<Option<Tenant>, StoreError> {
    store.within(("SELECT", "tenants"), fetch(&store.pool, id.uuid())).await
}

/// # Errors
/// The database is away.
pub async fn find_id_by_slug(store: &Store, slug: &Slug) -> Result<Option<TenantId>, StoreError> {
    let id = sqlx::query_scalar!("SELECT id FROM tenants WHERE slug = $1", slug.as_str());
    let id = store.within(("SELECT", "tenants"), id.fetch_optional(&store.pool)).await?;
    Ok(id.map(TenantId::from))
}

/// Finds a tenant and holds its row until the transaction ends, so that two changes cannot overwrite each other.
///
/// # Errors
/// The database is away, or the row does not parse.
pub async fn lock(transaction: &mut Transaction, slug: &Slug) -> Result<Option<Tenant>, StoreError> {
    let id = sqlx::query_scalar!("SELECT id FROM tenants WHERE slug = $1 FOR UPDATE", slug.as_str())
        .fetch_optional(&mut **transaction)
        .await?;
    match id {
        Some(id) => fetch(&mut **transaction, id).await,
        None => Ok(None),
    }
}

/// Which tenants a list shows.
#[derive(Debug, Clone, Default)]
pub struct TenantFilter {
    /// Of this status; otherwise all but the archived.
    pub status: Option<TenantStatus>,
    /// Whose slug begins so.
    pub slug_prefix: Option<String>,
}

/// Tenants by slug, from behind `after`; for operators.
///
/// # Errors
/// The database is away, or a row does not parse.
pub async fn list_any_tenant(
    store: &Store,
    filter: &TenantFilter,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Tenant>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, slug, name, status, rate_per_second, burst, allowed_extensions, max_size_bytes,
                default_expiry_seconds, longest_expiry_seconds, object_key_template, object_key_prefix, time_zone,
                required_bindings, verify_arrival, created_at, updated_at, revision
         FROM tenants
         WHERE CASE WHEN $1::text IS NULL THEN status <> 'archived' ELSE status = $1 END
           AND ($2::text IS NULL OR starts_with(slug, $2)) AND ($3::text IS NULL OR slug > $3)
         ORDER BY slug LIMIT $4",
        filter.status.map(TenantStatus::as_str),
        filter.slug_prefix,
        after,
        limit
    );
    let rows = store.within(("SELECT", "tenants"), rows.fetch_all(&store.pool)).await?;
    Ok(rows.into_iter().map(Tenant::try_from).collect::<Result<_, _>>()?)
}

/// Writes the whole tenant: a new row, or every column of the one that has its id, and gives its revision.
///
/// # Errors
/// [`StoreError::Taken`] when another tenant has the slug.
pub async fn save(transaction: &mut Transaction, tenant: &Tenant) -> Result<i32, StoreError> {
    let policy = &tenant.policy;
    let allowed_extensions: Vec<String> = policy.allowed_extensions.texts().map(str::to_owned).collect();
    let required_bindings: Vec<String> = policy.required_bindings.texts().map(str::to_owned).collect();
    let revision = sqlx::query_scalar!(
        "INSERT INTO tenants (id, slug, name, status, rate_per_second, burst, allowed_extensions, max_size_bytes,
                              default_expiry_seconds, longest_expiry_seconds, object_key_template, time_zone, created_at, updated_at,
                              object_key_prefix, required_bindings, verify_arrival)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
         ON CONFLICT (id) DO UPDATE SET
           name = excluded.name, status = excluded.status, rate_per_second = excluded.rate_per_second, burst = excluded.burst,
           allowed_extensions = excluded.allowed_extensions, max_size_bytes = excluded.max_size_bytes,
           default_expiry_seconds = excluded.default_expiry_seconds, longest_expiry_seconds = excluded.longest_expiry_seconds,
           object_key_template = excluded.object_key_template, object_key_prefix = excluded.object_key_prefix,
           required_bindings = excluded.required_bindings, verify_arrival = excluded.verify_arrival,
           time_zone = excluded.time_zone, updated_at = excluded.updated_at, revision = tenants.revision + 1
         RETURNING revision",
        tenant.id.uuid(),
        tenant.slug.as_str(),
        tenant.name,
        tenant.status.as_str(),
        tenant.rate_limit.per_second.get().cast_signed(),
        tenant.rate_limit.burst.get().cast_signed(),
        &allowed_extensions,
        policy.max_size_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        policy.expiry.default_seconds.cast_signed(),
        policy.expiry.longest_seconds.cast_signed(),
        policy.object_key_template.as_str(),
        policy.time_zone.name(),
        tenant.created_at,
        tenant.updated_at,
        policy.object_key_prefix.as_ref().map(Prefix::as_str),
        &required_bindings,
        policy.verify_arrival
    )
    .fetch_one(&mut **transaction)
    .await?;
    Ok(revision)
}
