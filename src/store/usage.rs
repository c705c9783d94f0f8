//! Tables `usage`, `usage_deltas` and `usage_batches`: usage, exact at any time
//! (`docs/adr/0008-usage-rollups.md`).

use chrono::{DateTime, Utc};

use crate::domain::ids::TenantId;
use crate::domain::usage::{UsageBy, UsageItem, UsageRange, UsageSum};

use super::{Store, StoreError, Transaction};

struct Row {
    value: Option<String>,
    start: Option<DateTime<Utc>>,
    uploads: i64,
    promised_bytes: i64,
    stored_bytes: i64,
}

impl From<Row> for UsageItem {
    fn from(row: Row) -> Self {
        let Row { value, start, uploads, promised_bytes, stored_bytes } = row;
        Self { value, start, sum: UsageSum { uploads, promised_bytes, stored_bytes } }
    }
}

/// The dimension of a query.
fn dimension(by: Option<UsageBy>) -> &'static str {
    match by {
        None | Some(UsageBy::Day | UsageBy::Tenant) => "total",
        Some(by) => by.as_str(),
    }
}

/// Number of parts that tenants are divided into, so that usage is folded one part at a time.
pub const PARTS: i32 = 16;

/// Adds up to this many batches into deltas and returns their number. If several instances call it,
/// one does the work and the others find none.
///
/// # Errors
/// The database is unreachable.
pub async fn gather_any_tenant(store: &Store, limit: i64) -> Result<u64, StoreError> {
    store.measured(("INSERT", "usage_deltas"), gather(store, limit)).await
}

async fn gather(store: &Store, limit: i64) -> Result<u64, StoreError> {
    let Some(mut transaction) = begin_alone(store, "presign_gateway.usage_batches").await? else { return Ok(0) };
    let taken = sqlx::query_scalar!(
        r#"WITH taken AS (
             DELETE FROM usage_batches WHERE ctid = ANY (ARRAY(SELECT ctid FROM usage_batches LIMIT $1)) RETURNING counts
         ), gathered AS (
             INSERT INTO usage_deltas (tenant_id, hour, kind, state, ext, caller_kind, api_key_id, uploads, promised_bytes, stored_bytes)
             SELECT tenant_id, hour, kind, 'issued', ext, caller_kind, api_key_id, sum(uploads), sum(promised_bytes), 0
             FROM taken CROSS JOIN UNNEST(counts) GROUP BY tenant_id, hour, kind, ext, caller_kind, api_key_id
         )
         SELECT count(*) AS "taken!" FROM taken"#,
        limit
    );
    let taken = taken.fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(taken.unsigned_abs())
}

/// A transaction that holds the lock for this work; `None` while another one holds it.
async fn begin_alone(store: &Store, work: &str) -> Result<Option<Transaction>, StoreError> {
    let mut transaction = store.begin().await?;
    let lock = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))";
    let is_alone = sqlx::query_scalar::<_, bool>(lock).bind(work).fetch_one(&mut *transaction).await?;
    Ok(is_alone.then_some(transaction))
}

/// Folds up to this many deltas of one part of the tenants into the roll-ups and returns their
/// number. If several instances call it, one does the work and the others find none.
///
/// # Errors
/// The database is unreachable.
pub async fn fold_any_tenant(store: &Store, part: i32, limit: i64) -> Result<u64, StoreError> {
    store.measured(("INSERT", "usage"), fold(store, part, limit)).await
}

async fn fold(store: &Store, part: i32, limit: i64) -> Result<u64, StoreError> {
    let Some(mut transaction) = begin_alone(store, "presign_gateway.usage").await? else { return Ok(0) };
    let taken = sqlx::query_scalar!(
        r#"WITH taken AS (
             DELETE FROM usage_deltas WHERE ctid = ANY (ARRAY(SELECT ctid FROM usage_deltas WHERE abs(uuid_hash(tenant_id) % $2) = $3
                                                            LIMIT $1)) RETURNING *
         ), grouped AS (
             SELECT tenant_id, hour, kind, state, ext, caller_kind, api_key_id, sum(uploads) AS uploads,
                    sum(promised_bytes) AS promised_bytes, sum(stored_bytes) AS stored_bytes
             FROM taken GROUP BY tenant_id, hour, kind, state, ext, caller_kind, api_key_id
         ), folded AS (
             INSERT INTO usage AS rollup (tenant_id, dimension, period, start, value, uploads, promised_bytes, stored_bytes)
             SELECT tenant_id, dimension, period, start, value, sum(uploads), sum(promised_bytes), sum(stored_bytes)
             FROM grouped
             CROSS JOIN LATERAL (VALUES ('hour', hour), ('day', date_bin('1 day', hour, 'epoch'))) AS of_period (period, start)
             CROSS JOIN LATERAL (VALUES ('total', ''), ('type', coalesce(kind, 'none')), ('state', state), ('ext', ext),
                                        ('api_key', coalesce(api_key_id::text, caller_kind))) AS of_dimension (dimension, value)
             GROUP BY tenant_id, dimension, period, start, value
             ON CONFLICT (tenant_id, dimension, period, start, value) DO UPDATE SET
                 uploads = rollup.uploads + excluded.uploads,
                 promised_bytes = rollup.promised_bytes + excluded.promised_bytes,
                 stored_bytes = rollup.stored_bytes + excluded.stored_bytes
         )
         SELECT count(*) AS "taken!" FROM taken"#,
        limit,
        PARTS,
        part
    );
    let taken = taken.fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(taken.unsigned_abs())
}

/// Reads a tenant's usage as of one moment: full days, hours at the edges, and what is not folded
/// yet. API keys appear by public id, other callers by kind.
///
/// # Errors
/// The database is unreachable.
pub async fn read(
    store: &Store,
    tenant_id: TenantId,
    range: UsageRange,
    by: Option<UsageBy>,
) -> Result<Vec<UsageItem>, StoreError> {
    let days = range.whole_days();
    let rows = sqlx::query_as!(
        Row,
        r#"WITH counted AS (
                 SELECT value, start, uploads, promised_bytes, stored_bytes FROM usage
                 WHERE tenant_id = $1 AND dimension = $2 AND period = 'day' AND start >= $5 AND start < $6
                 UNION ALL
                 SELECT value, start, uploads, promised_bytes, stored_bytes FROM usage
                 WHERE tenant_id = $1 AND dimension = $2 AND period = 'hour' AND start >= $3 AND start < $5
                 UNION ALL
                 SELECT value, start, uploads, promised_bytes, stored_bytes FROM usage
                 WHERE tenant_id = $1 AND dimension = $2 AND period = 'hour' AND start >= $6 AND start < $4
                 UNION ALL
                 SELECT CASE $2 WHEN 'type' THEN coalesce(kind, 'none') WHEN 'state' THEN state WHEN 'ext' THEN ext
                                WHEN 'api_key' THEN coalesce(api_key_id::text, caller_kind) ELSE '' END,
                        hour, uploads, promised_bytes, stored_bytes
                 FROM usage_unfolded WHERE tenant_id = $1 AND hour >= $3 AND hour < $4
         ), summed AS (
             SELECT value, CASE WHEN $7 THEN date_bin('1 day', start, 'epoch') END AS start, sum(uploads)::bigint AS uploads,
                    sum(promised_bytes)::bigint AS promised_bytes, sum(stored_bytes)::bigint AS stored_bytes
             FROM counted GROUP BY 1, 2 HAVING sum(uploads) <> 0 OR sum(promised_bytes) <> 0 OR sum(stored_bytes) <> 0
         )
         SELECT coalesce(public_id, nullif(value, '')) AS value, start, uploads AS "uploads!", promised_bytes AS "promised_bytes!",
                stored_bytes AS "stored_bytes!"
         FROM summed LEFT JOIN api_keys ON $2 = 'api_key' AND api_keys.id::text = value"#,
        tenant_id.uuid(),
        dimension(by),
        range.from,
        range.to,
        days.from,
        days.to,
        by == Some(UsageBy::Day)
    );
    let rows = store.within(("SELECT", "usage"), rows.fetch_all(&store.pool)).await?;
    Ok(rows.into_iter().map(UsageItem::from).collect())
}

/// Reads the usage of all tenants together, or by tenant; for operators.
///
/// # Errors
/// The database is unreachable.
pub async fn read_any_tenant(
    store: &Store,
    range: UsageRange,
    by: Option<UsageBy>,
) -> Result<Vec<UsageItem>, StoreError> {
    let days = range.whole_days();
    let rows = sqlx::query_as!(
        Row,
        r#"WITH counted AS (
             SELECT slug, rollup.* FROM tenants CROSS JOIN LATERAL (
                 SELECT value, start, uploads, promised_bytes, stored_bytes FROM usage
                 WHERE tenant_id = tenants.id AND dimension = $1 AND period = 'day' AND start >= $4 AND start < $5
                 UNION ALL
                 SELECT value, start, uploads, promised_bytes, stored_bytes FROM usage
                 WHERE tenant_id = tenants.id AND dimension = $1 AND period = 'hour' AND start >= $2 AND start < $4
                 UNION ALL
                 SELECT value, start, uploads, promised_bytes, stored_bytes FROM usage
                 WHERE tenant_id = tenants.id AND dimension = $1 AND period = 'hour' AND start >= $5 AND start < $3
             ) AS rollup
             UNION ALL
             SELECT slug, CASE $1 WHEN 'type' THEN coalesce(kind, 'none') WHEN 'state' THEN state WHEN 'ext' THEN ext
                                WHEN 'api_key' THEN coalesce(api_key_id::text, caller_kind) ELSE '' END,
                    hour, uploads, promised_bytes, stored_bytes
             FROM usage_unfolded JOIN tenants ON tenants.id = tenant_id WHERE hour >= $2 AND hour < $3
         ), summed AS (
             SELECT CASE WHEN $7 THEN slug ELSE value END AS value, CASE WHEN $6 THEN date_bin('1 day', start, 'epoch') END AS start,
                    sum(uploads)::bigint AS uploads, sum(promised_bytes)::bigint AS promised_bytes,
                    sum(stored_bytes)::bigint AS stored_bytes
             FROM counted GROUP BY 1, 2 HAVING sum(uploads) <> 0 OR sum(promised_bytes) <> 0 OR sum(stored_bytes) <> 0
         )
         SELECT coalesce(public_id, nullif(value, '')) AS value, start, uploads AS "uploads!", promised_bytes AS "promised_bytes!",
                stored_bytes AS "stored_bytes!"
         FROM summed LEFT JOIN api_keys ON $1 = 'api_key' AND api_keys.id::text = value"#,
        dimension(by),
        range.from,
        range.to,
        days.from,
        days.to,
        by == Some(UsageBy::Day),
        by == Some(UsageBy::Tenant)
    );
    let rows = store.within(("SELECT", "usage"), rows.fetch_all(&store.pool)).await?;
    Ok(rows.into_iter().map(UsageItem::from).collect())
}
