//! The sweeper's queries on `uploads`: which rows are due, and claiming them. [`super::state`]
//! writes the results.
//!
//! Claiming moves `check_at` into the future. No lock is held while the bucket is asked, and the
//! claims of a dead instance become due again by themselves. A row is due only if both the
//! instance's clock and Postgres's clock say so: a clock that is days ahead must not expire live
//! uploads.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use crate::domain::bucket::Alias;
use crate::domain::ids::{BucketId, TenantId, UploadId};
use crate::domain::tenant::Slug;
use crate::domain::upload::Upload;

use super::row::{self, Row};
use super::{Store, StoreError};

/// A bucket with due uploads.
#[derive(Debug, Clone)]
pub struct DueBucket {
    pub tenant_id: TenantId,
    pub tenant: Slug,
    pub bucket_id: BucketId,
    pub bucket: Alias,
    /// When its oldest upload became due.
    pub oldest_due_at: DateTime<Utc>,
    /// Number of due uploads, counted up to the limit.
    pub due: i64,
}

/// An upload that this instance has claimed.
#[derive(Debug, Clone)]
pub struct ClaimedUpload {
    pub upload: Upload,
    /// When it became due.
    pub due_at: DateTime<Utc>,
}

/// Lists the buckets with uploads due at `now`, among the next `limit` buckets that have any upload
/// to check, in the order of their ids after `after`. Also returns the last bucket examined, if
/// there may be more. Counts up to `most_counted` uploads of each. Skips from bucket to bucket in
/// the index and reads no other rows.
///
/// # Errors
/// The database is unreachable, or a row does not parse.
pub async fn list_due_any_tenant(
    store: &Store,
    now: DateTime<Utc>,
    after: Option<BucketId>,
    limit: u32,
    most_counted: u32,
) -> Result<(Vec<DueBucket>, Option<BucketId>), StoreError> {
    let rows = sqlx::query!(
        r#"WITH RECURSIVE waiting (bucket_id, place) AS (
             (SELECT bucket_id, 1 FROM uploads
              WHERE check_at IS NOT NULL AND bucket_id > coalesce($2::uuid, '00000000-0000-0000-0000-000000000000')
              ORDER BY bucket_id LIMIT 1)
             UNION ALL
             SELECT (SELECT uploads.bucket_id FROM uploads
                     WHERE check_at IS NOT NULL AND uploads.bucket_id > waiting.bucket_id ORDER BY uploads.bucket_id LIMIT 1),
                    place + 1
             FROM waiting WHERE waiting.bucket_id IS NOT NULL AND place < $3
           )
           SELECT buckets.id, buckets.alias, tenants.id AS tenant_id, tenants.slug,
                  (SELECT check_at FROM uploads WHERE uploads.bucket_id = waiting.bucket_id AND check_at <= least($1, now()) ORDER BY check_at LIMIT 1)
                    AS oldest_due_at,
                  (SELECT count(*) FROM (SELECT FROM uploads WHERE uploads.bucket_id = waiting.bucket_id AND check_at <= least($1, now())
                                         ORDER BY check_at LIMIT $4) AS due)
                    AS "due!"
           FROM waiting
           JOIN buckets ON buckets.id = waiting.bucket_id
           JOIN tenants ON tenants.id = buckets.tenant_id
           ORDER BY waiting.place"#,
        now,
        after.map(BucketId::uuid),
        i32::try_from(limit).unwrap_or(i32::MAX),
        i64::from(most_counted),
    );
    let rows = store.within(("SELECT", "uploads"), rows.fetch_all(&store.pool)).await?;
    let may_be_more = usize::try_from(limit).is_ok_and(|limit| rows.len() >= limit);
    let last = rows.last().filter(|_| may_be_more).map(|row| row.id.into());
    let due = rows.into_iter().filter_map(|row| {
        let oldest_due_at = row.oldest_due_at?;
        let parse = || {
            Ok(DueBucket {
                tenant_id: row.tenant_id.into(),
                tenant: Slug::parse(&row.slug)?,
                bucket_id: row.id.into(),
                bucket: Alias::parse(&row.alias)?,
                oldest_due_at,
                due: row.due,
            })
        };
        Some(parse())
    });
    Ok((due.collect::<Result<_, StoreError>>()?, last))
}

/// Claims up to `limit` uploads of a tenant's bucket that are due at `now`, oldest first, until
/// `lease`. Skips those that another instance is claiming.
///
/// # Errors
/// The database is unreachable, or a row does not parse.
pub async fn claim(
    store: &Store,
    tenant_id: TenantId,
    bucket_id: BucketId,
    now: DateTime<Utc>,
    lease: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<ClaimedUpload>, StoreError> {
    // The bucket belongs to one tenant. A condition on the tenant as well makes Postgres, if it has no statistics, read and sort
    // all rows of that tenant.
    let claimed = sqlx::query!(
        r#"WITH due AS (
             SELECT id, check_at FROM uploads WHERE bucket_id = $1 AND check_at <= least($2, now())
             ORDER BY check_at LIMIT $4 FOR UPDATE SKIP LOCKED
           )
           UPDATE uploads SET check_at = $3 FROM due WHERE uploads.id = due.id
           RETURNING uploads.id, due.check_at AS "due_at!""#,
        bucket_id.uuid(),
        now,
        lease,
        limit,
    );
    let mut claimed = store.within(("UPDATE", "uploads"), claimed.fetch_all(&store.pool)).await?;
    if claimed.is_empty() {
        return Ok(Vec::new());
    }
    claimed.sort_unstable_by_key(|claimed| claimed.id);
    let ids: Vec<uuid::Uuid> = claimed.iter().map(|claimed| claimed.id).collect();
    let sql = format!("{}{} WHERE uploads.tenant_id = $2", row::BY_IDS, row::SELECT);
    let rows = sqlx::query_as::<_, Row>(sqlx::AssertSqlSafe(sql)).bind(ids).bind(tenant_id.uuid());
    let rows = store.within(("SELECT", "uploads"), rows.fetch_all(&store.pool)).await?;
    let with_time = rows.into_iter().map(|row| {
        let upload = Upload::try_from(row)?;
        let place = claimed.binary_search_by_key(&upload.issued.id.uuid(), |claimed| claimed.id);
        let due_at = place.ok().and_then(|place| claimed.get(place)).map_or(now, |claimed| claimed.due_at);
        Ok(ClaimedUpload { upload, due_at })
    });
    let mut uploads = with_time.collect::<Result<Vec<_>, StoreError>>()?;
    uploads.sort_by_key(|claimed| claimed.due_at);
    Ok(uploads)
}

/// Releases a tenant's uploads that are claimed until `lease`, and returns the ids that were
/// written. Each is due again at its given time. Without a time it is never due again, unless its
/// URL was re-signed since `now`.
///
/// # Errors
/// The database is unreachable.
pub async fn reschedule(
    store: &Store,
    tenant_id: TenantId,
    lease: DateTime<Utc>,
    now: DateTime<Utc>,
    rows: &[(UploadId, Option<DateTime<Utc>>)],
) -> Result<HashSet<UploadId>, StoreError> {
    let ids: Vec<uuid::Uuid> = rows.iter().map(|(id, _)| id.uuid()).collect();
    let due_at: Vec<Option<DateTime<Utc>>> = rows.iter().map(|(_, due_at)| *due_at).collect();
    let put_back = sqlx::query_scalar!(
        "UPDATE uploads SET check_at = back.due_at FROM UNNEST($3::uuid[], $4::timestamptz[]) AS back (id, due_at)
         WHERE uploads.tenant_id = $1 AND uploads.id = ANY($3) AND uploads.id = back.id AND uploads.check_at = $2
           AND (back.due_at IS NOT NULL OR uploads.url_expires_at < $5)
         RETURNING uploads.id",
        tenant_id.uuid(),
        lease,
        &ids,
        &due_at as &[Option<DateTime<Utc>>],
        now,
    );
    let put_back = store.within(("UPDATE", "uploads"), put_back.fetch_all(&store.pool)).await?;
    Ok(put_back.into_iter().map(UploadId::from).collect())
}
