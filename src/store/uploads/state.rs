//! State changes of uploads.
//!
//! A change is written only if the row still has the state that the decision was based on. So if
//! two instances check the same upload, neither overwrites the result of the other.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::binding::Sha256;
use crate::domain::ids::{TenantId, UploadId};
use crate::domain::upload::{SeenObject, UploadState};

use super::{Store, StoreError};

/// The result of a check, and the state that follows from it.
#[derive(Debug, Clone)]
pub struct StateChange {
    pub id: UploadId,
    /// The state when the check started.
    pub was: UploadState,
    /// When the URL expired, as read by the check. An upload re-signed since then has not expired.
    pub url_expires_at: DateTime<Utc>,
    pub state: UploadState,
    /// What the bucket reported, if the object exists.
    pub seen: Option<SeenObject>,
}

/// The ETag that a client declares for its PUT.
#[derive(Debug, Clone, Copy)]
pub enum DeclaredEtag<'a> {
    /// No client was asked: keeps the declared one.
    Kept,
    /// The declared ETag. It replaces an earlier one, which belonged to another PUT.
    Now(Option<&'a str>),
}

/// Who changes the state, and what must still be true.
#[derive(Debug, Clone, Copy)]
pub enum Settler<'a> {
    /// The sweeper, for uploads whose lease still ends at this time.
    Claim(DateTime<Utc>),
    /// A request, for an upload whose state is still `was` or one of `from`.
    Request { from: &'a [UploadState], declared_etag: DeclaredEtag<'a> },
}

/// Changes the state of a tenant's uploads and returns the ids that were written. Skips uploads
/// whose state changed meanwhile, and does not expire an upload whose URL was re-signed. An upload
/// keeps its `check_at` if a PUT may still end after `now`: until `grace` after its URL expires.
///
/// # Errors
/// The database is unreachable.
pub async fn settle(
    store: &Store,
    tenant_id: TenantId,
    found: &[StateChange],
    settler: Settler<'_>,
    grace: TimeDelta,
    now: DateTime<Utc>,
) -> Result<HashSet<UploadId>, StoreError> {
    /// One column of the changes, as an array.
    fn column<'a, T>(found: &'a [StateChange], of: impl Fn(&'a StateChange) -> T) -> Vec<T> {
        found.iter().map(of).collect()
    }
    let (lease, from, is_declared, declared_etag) = match settler {
        Settler::Claim(lease) => (Some(lease), Vec::new(), false, None),
        Settler::Request { from, declared_etag } => {
            let from = from.iter().map(|state| state.as_str()).collect();
            match declared_etag {
                DeclaredEtag::Kept => (None, from, false, None),
                DeclaredEtag::Now(etag) => (None, from, true, etag),
            }
        }
    };
    // What is bound to its bytes, or to come once, cannot become anything else; one that is not as promised may be put anew.
    let settled = sqlx::query_scalar!(
        "UPDATE uploads
         SET state = found.state, declared_etag = CASE WHEN $13 THEN $14 ELSE declared_etag END,
             check_at = CASE WHEN (found.state = 'mismatched' OR NOT write_once AND declared_sha256 IS NULL)
                               AND uploads.url_expires_at + $15::interval > $16 THEN check_at END,
             size_bytes = CASE WHEN found.seen_at IS NULL THEN uploads.size_bytes ELSE found.size_bytes END,
             etag = CASE WHEN found.seen_at IS NULL THEN uploads.etag ELSE found.etag END,
             content_type = CASE WHEN found.seen_at IS NULL THEN uploads.content_type ELSE found.content_type END,
             sha256 = CASE WHEN found.seen_at IS NULL THEN uploads.sha256 ELSE found.sha256 END,
             seen_at = coalesce(found.seen_at, uploads.seen_at)
         FROM UNNEST($2::uuid[], $3::text[], $4::text[], $5::int8[], $6::text[], $7::text[], $8::bytea[], $9::timestamptz[],
                     $10::timestamptz[])
           AS found (id, was, state, size_bytes, etag, content_type, sha256, seen_at, url_expires_at)
         WHERE uploads.tenant_id = $1 AND uploads.id = ANY($2) AND uploads.id = found.id
           AND (uploads.state = found.was OR uploads.state = ANY($11))
           AND (found.state <> 'expired' OR uploads.url_expires_at = found.url_expires_at)
           AND ($12::timestamptz IS NULL OR uploads.check_at = $12)
         RETURNING uploads.id",
        tenant_id.uuid(),
        &column(found, |found| found.id.uuid()),
        &column(found, |found| found.was.as_str()) as &[&str],
        &column(found, |found| found.state.as_str()) as &[&str],
        &column(found, |found| found.seen.as_ref().and_then(|seen| i64::try_from(seen.size_bytes).ok())) as &[Option<i64>],
        &column(found, |found| found.seen.as_ref().and_then(|seen| seen.etag.as_deref())) as &[Option<&str>],
        &column(found, |found| found.seen.as_ref().and_then(|seen| seen.content_type.as_deref())) as &[Option<&str>],
        &column(found, |found| {
            found.seen.as_ref().and_then(|seen| seen.sha256.as_ref()).map(Sha256::bytes).map(<[u8; 32]>::as_slice)
        }) as &[Option<&[u8]>],
        &column(found, |found| found.seen.as_ref().map(|seen| seen.at)) as &[Option<DateTime<Utc>>],
        &column(found, |found| found.url_expires_at),
        &from as &[&str],
        lease,
        is_declared,
        declared_etag,
        grace as _,
        now,
    );
    let settled = store.within(("UPDATE", "uploads"), settled.fetch_all(&store.pool)).await?;
    Ok(settled.into_iter().map(UploadId::from).collect())
}

/// Marks a tenant's upload as deleted and returns whether its state changed. If a PUT may still end
/// after `now`, the sweeper checks the upload `grace` after its URL expires. The expiry is read
/// from the row, because the URL may have been re-signed meanwhile.
///
/// # Errors
/// [`StoreError::WrongRowCount`] if the upload is gone.
pub async fn mark_deleted(
    store: &Store,
    tenant_id: TenantId,
    id: UploadId,
    grace: TimeDelta,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let is_new = sqlx::query_scalar!(
        r#"WITH before AS (SELECT id, state FROM uploads WHERE id = $2 AND tenant_id = $1 FOR UPDATE)
         UPDATE uploads
         SET state = 'deleted', check_at = CASE WHEN url_expires_at + $3::interval > $4 THEN url_expires_at + $3::interval END
         FROM before WHERE uploads.id = $2 AND uploads.tenant_id = $1 AND uploads.id = before.id
         RETURNING before.state <> 'deleted' AS "is_new!""#,
        tenant_id.uuid(),
        id.uuid(),
        grace as _,
        now,
    );
    store.within(("UPDATE", "uploads"), is_new.fetch_one(&store.pool)).await
}
