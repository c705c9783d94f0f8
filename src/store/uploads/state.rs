//! What becomes of an upload: every change of a state. Each is made only where the row still has a state that it was decided
//! on, so that of two who look at once neither undoes what the other found.

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::binding::Sha256;
use crate::domain::ids::{TenantId, UploadId};
use crate::domain::upload::{SeenObject, UploadState};

use super::{Store, StoreError};

/// What was found out of an upload, and what it is from now on.
#[derive(Debug, Clone)]
pub struct StateChange {
    pub id: UploadId,
    /// What it was when somebody looked.
    pub was: UploadState,
    /// When its URL ran out, as it was then: one that was signed anew since has not expired.
    pub url_expires_at: DateTime<Utc>,
    pub state: UploadState,
    /// What the bucket said, where it was there.
    pub seen: Option<SeenObject>,
}

/// What a client says of the ETag of its PUT.
#[derive(Debug, Clone, Copy)]
pub enum DeclaredEtag<'a> {
    /// No client was asked: what one said before stays.
    Kept,
    /// What it says now; whatever it said before was of another PUT.
    Now(Option<&'a str>),
}

/// Settles a tenant's upload, and tells whether its state was still one of `from`. Where it could be put anew after `now`,
/// because its URL lives, or ran out less than `grace` ago, whoever was to look at it later still does.
///
/// # Errors
/// The database is away.
pub async fn settle(
    store: &Store,
    tenant_id: TenantId,
    found: &StateChange,
    from: &[UploadState],
    declared_etag: DeclaredEtag<'_>,
    grace: TimeDelta,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let from: Vec<&str> = from.iter().map(|state| state.as_str()).collect();
    let seen = found.seen.as_ref();
    let (is_kept, declared_etag) = match declared_etag {
        DeclaredEtag::Kept => (true, None),
        DeclaredEtag::Now(etag) => (false, etag),
    };
    // What is bound to its bytes, or to come once, cannot become anything else; one that is not as promised may be put anew.
    let settled = sqlx::query!(
        "UPDATE uploads
         SET state = $3, declared_etag = CASE WHEN $12 THEN declared_etag ELSE $4 END,
             check_at = CASE WHEN $3 = 'mismatched'
                               OR NOT write_once AND declared_sha256 IS NULL AND url_expires_at + $13::interval > $14 THEN check_at END,
             size_bytes = CASE WHEN $9::timestamptz IS NULL THEN size_bytes ELSE $5 END,
             etag = CASE WHEN $9 IS NULL THEN etag ELSE $6 END,
             content_type = CASE WHEN $9 IS NULL THEN content_type ELSE $7 END,
             sha256 = CASE WHEN $9 IS NULL THEN sha256 ELSE $8 END,
             seen_at = coalesce($9, seen_at)
         WHERE id = $2 AND tenant_id = $1 AND state = ANY($10) AND ($3 <> 'expired' OR url_expires_at = $11)",
        tenant_id.uuid(),
        found.id.uuid(),
        found.state.as_str(),
        declared_etag,
        seen.and_then(|seen| i64::try_from(seen.size_bytes).ok()),
        seen.and_then(|seen| seen.etag.as_deref()),
        seen.and_then(|seen| seen.content_type.as_deref()),
        seen.and_then(|seen| seen.sha256.as_ref().map(Sha256::bytes)).map(<[u8; 32]>::as_slice),
        seen.map(|seen| seen.at),
        &from as &[&str],
        found.url_expires_at,
        is_kept,
        grace as _,
        now,
    );
    let settled = store.within(("UPDATE", "uploads"), settled.execute(&store.pool)).await?;
    Ok(settled.rows_affected() > 0)
}

/// Marks a tenant's upload as deleted, whatever it was. Where it could come back after `now`, because a PUT may end for so long
/// (`grace`) after its URL ran out, somebody looks for it then: as the row has it, since it may have been signed anew meanwhile.
///
/// # Errors
/// The database is away.
pub async fn mark_deleted(
    store: &Store,
    tenant_id: TenantId,
    id: UploadId,
    grace: TimeDelta,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let marked = sqlx::query!(
        "UPDATE uploads
         SET state = 'deleted', check_at = CASE WHEN url_expires_at + $3::interval > $4 THEN url_expires_at + $3::interval END
         WHERE id = $2 AND tenant_id = $1",
        tenant_id.uuid(),
        id.uuid(),
        grace as _,
        now,
    );
    store.within(("UPDATE", "uploads"), marked.execute(&store.pool)).await?;
    Ok(())
}
