//! Checks an upload in its bucket: compares the object with the row, and sets the upload's state.

use std::collections::HashMap;
use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::buckets::credentials::{CredentialCache, OpenBucket};
use crate::buckets::{BucketClient, BucketConnections, BucketError, Failure};
use crate::domain::bucket::Location;
use crate::domain::caller::Scope;
use crate::domain::clock::Clock;
use crate::domain::ids::{BucketId, TenantId, UploadId};
use crate::domain::upload::{SeenObject, Upload, UploadState};
use crate::rate_limit::Admitted;
use crate::store::uploads::search::list_of_state;
use crate::store::uploads::state::{DeclaredEtag, Settler, StateChange, mark_deleted, settle};
use crate::store::{Store, uploads};
use crate::telemetry::metrics::uploads::UploadMetrics;

use super::{UploadError, demand, find_for};

/// How long after its URL expired an upload may still arrive, because a PUT that started in time
/// may take that long.
pub const GRACE: TimeDelta = TimeDelta::minutes(5);

/// Permissions that HEAD needs. AWS answers 403 instead of 404 for a missing object if the
/// credential may not list.
const TO_LOOK: &str = "GetObject (R2: Object Read; on AWS also ListBucket, or an object that is not there is refused)";
const TO_DELETE: &str = "DeleteObject (R2: Object Read & Write)";

/// States that a check can change.
const UNSETTLED: [UploadState; 3] = [UploadState::Issued, UploadState::Expired, UploadState::Mismatched];

const ARRIVED: [UploadState; 2] = [UploadState::Uploaded, UploadState::Mismatched];

/// What it takes to look into buckets, and to write down what is there.
#[derive(Clone)]
pub struct Verifier {
    store: Store,
    credentials: Arc<CredentialCache>,
    buckets: BucketConnections,
    clock: Clock,
    known: KnownBuckets,
}

/// How long a bucket that was seen is assumed to exist.
const KNOWN_FOR: TimeDelta = TimeDelta::minutes(1);
/// Maximum number of known buckets; every missing file of another bucket costs a HeadBucket.
const MAX_KNOWN_BUCKETS: usize = 10_000;

/// The location of a bucket, and when it was seen there.
type Seen = (Location, DateTime<Utc>);

/// Buckets that were seen to exist, so that each is checked once a minute. Clones share their
/// content.
#[derive(Debug, Clone, Default)]
struct KnownBuckets(Arc<Mutex<HashMap<BucketId, Seen>>>);

impl KnownBuckets {
    /// Whether the bucket was seen at this location within the last minute.
    fn contains(&self, id: BucketId, location: &Location, now: DateTime<Utc>) -> bool {
        self.lock().get(&id).is_some_and(|(seen_at, when)| seen_at == location && is_recent(*when, now))
    }

    fn insert(&self, id: BucketId, location: Location, now: DateTime<Utc>) {
        let mut known = self.lock();
        if known.len() >= MAX_KNOWN_BUCKETS {
            known.retain(|_, (_, when)| is_recent(*when, now));
        }
        if known.len() < MAX_KNOWN_BUCKETS {
            known.insert(id, (location, now));
        }
    }

    /// Forgets a bucket that failed, so that its existence is checked again.
    fn remove(&self, id: BucketId) {
        self.lock().remove(&id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BucketId, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// If the clock was set back, nothing is recent.
fn is_recent(when: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    when <= now && now - when < KNOWN_FOR
}

/// The outcome of a check.
#[derive(Debug, Clone)]
pub enum Verified {
    /// It is there; its state says whether as promised.
    Seen(Box<Upload>),
    /// It is not there.
    Missing,
    /// It was deleted: nobody looked.
    Deleted,
}

impl Verifier {
    #[must_use]
    pub fn new(store: Store, credentials: Arc<CredentialCache>, buckets: BucketConnections, clock: Clock) -> Self {
        Self { store, credentials, buckets, clock, known: KnownBuckets::default() }
    }

    /// Looks for an upload, whatever its state but deleted, and writes down what is found. What is not there stays as it is,
    /// or has expired when it cannot arrive any more.
    ///
    /// # Errors
    /// The bucket or the database is unreachable.
    pub async fn verify(&self, upload: Upload) -> Result<Verified, UploadError> {
        if upload.state == UploadState::Deleted {
            return Ok(Verified::Deleted);
        }
        let seen = self.look(&upload).await?;
        let is_late = upload.issued.url_expires_at + GRACE <= self.clock.now();
        let state = match &seen {
            Some(seen) => upload.state_when(seen),
            None if upload.state == UploadState::Issued && is_late => UploadState::Expired,
            None => return Ok(Verified::Missing),
        };
        let is_there = seen.is_some();
        let settler = Settler::Request { from: &[], declared_etag: DeclaredEtag::Kept };
        let (upload, _) = self.settle(upload, Found { state, seen }, settler).await?;
        Ok(if is_there { Verified::Seen(Box::new(upload)) } else { Verified::Missing })
    }

    /// Returns an upload of any tenant; for operators.
    ///
    /// # Errors
    /// There is no such upload, or the database is unreachable.
    pub async fn find_any_tenant(&self, id: UploadId) -> Result<Upload, UploadError> {
        uploads::find_any_tenant(&self.store, id).await?.ok_or(UploadError::NotFound)
    }

    /// Lists up to `limit` of a tenant's uploads in this state with `from` <= id < `to`, oldest
    /// first.
    ///
    /// # Errors
    /// The database is unreachable.
    pub async fn list(
        &self,
        tenant_id: TenantId,
        state: UploadState,
        (from, to): (UploadId, UploadId),
        limit: i64,
    ) -> Result<Vec<Upload>, UploadError> {
        Ok(list_of_state(&self.store, tenant_id, state, from, to, limit).await?)
    }

    async fn client(&self, upload: &Upload) -> Result<(BucketClient, Arc<OpenBucket>), UploadError> {
        let open = self.credentials.bucket_by_id(upload.issued.tenant_id, upload.issued.bucket_id).await?;
        Ok((self.buckets.client(&open).map_err(UploadError::Bucket)?, open))
    }

    /// Asks the bucket for an upload. A missing bucket answers like a missing file, so a missing
    /// file counts only if the bucket exists.
    async fn look(&self, upload: &Upload) -> Result<Option<SeenObject>, UploadError> {
        let (client, open) = self.client(upload).await?;
        let failed = |error| {
            self.known.remove(upload.issued.bucket_id);
            UploadError::of_bucket(error, TO_LOOK)
        };
        let seen = look(&client, upload, &self.clock).await.map_err(failed)?;
        let location = &open.bucket.location;
        if seen.is_none() && !self.known.contains(upload.issued.bucket_id, location, self.clock.now()) {
            if !client.exists().await.map_err(failed)? {
                return Err(UploadError::Bucket(BucketError::no_such_bucket()));
            }
            self.known.insert(upload.issued.bucket_id, location.clone(), self.clock.now());
        }
        Ok(seen)
    }

    /// Records the result and returns the upload as stored, which may be the result of a faster
    /// instance. Also returns whether this result changed the state.
    async fn settle(&self, upload: Upload, found: Found, settler: Settler<'_>) -> Result<(Upload, bool), UploadError> {
        let Found { state, seen } = found;
        let finding = StateChange {
            id: upload.issued.id,
            was: upload.state,
            url_expires_at: upload.issued.url_expires_at,
            state,
            seen,
        };
        let now = self.clock.now();
        let settled =
            settle(&self.store, upload.issued.tenant_id, slice::from_ref(&finding), settler, GRACE, now).await?;
        if settled.contains(&upload.issued.id) {
            let is_new = state != upload.state;
            return Ok((Upload { state, seen: finding.seen.or(upload.seen), ..upload }, is_new));
        }
        let upload = uploads::find(&self.store, upload.issued.tenant_id, upload.issued.id)
            .await?
            .ok_or(UploadError::NotFound)?;
        Ok((upload, false))
    }
}

/// Asks the bucket for an upload; `None` if the object does not exist.
///
/// # Errors
/// The store rejects the request or does not answer.
pub async fn look(client: &BucketClient, upload: &Upload, clock: &Clock) -> Result<Option<SeenObject>, BucketError> {
    match client.head(&upload.issued.object_key, upload.issued.bindings.sha256.is_some()).await {
        Ok(facts) => Ok(Some(SeenObject {
            size_bytes: facts.size_bytes,
            etag: facts.etag,
            content_type: facts.content_type,
            sha256: facts.sha256,
            at: clock.now(),
        })),
        Err(BucketError { failure: Failure::NotFound, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Completes uploads whose callers say that the file has arrived.
pub struct Completer {
    verifier: Verifier,
    metrics: Arc<UploadMetrics>,
}

impl Completer {
    pub(super) const fn new(verifier: Verifier, metrics: Arc<UploadMetrics>) -> Self {
        Self { verifier, metrics }
    }

    /// The caller says that its upload has arrived, perhaps with the ETag that its PUT was answered with: looks whether that
    /// is so. One that is known to have arrived as promised is not looked for again when it cannot become anything else.
    ///
    /// # Errors
    /// It is not there, it was deleted, or the bucket cannot be asked; then nothing has changed.
    pub async fn complete(
        &self,
        admitted: &Admitted,
        id: UploadId,
        etag: Option<String>,
    ) -> Result<Upload, UploadError> {
        let verifier = &self.verifier;
        let mut upload = find_for(&verifier.store, demand(admitted, Scope::UploadsIssue)?, id).await?;
        match upload.state {
            UploadState::Uploaded if is_final(&upload, verifier.clock.now()) => return Ok(upload),
            UploadState::Deleted => return Err(UploadError::Deleted),
            UploadState::Uploaded | UploadState::Issued | UploadState::Mismatched | UploadState::Expired => {}
        }
        let Some(seen) = verifier.look(&upload).await? else {
            // It had arrived: whoever took it away since does not make that untrue.
            return if upload.state == UploadState::Uploaded { Ok(upload) } else { Err(UploadError::NotArrived) };
        };
        upload.declared_etag.clone_from(&etag);
        let found = Found { state: upload.state_when(&seen), seen: Some(seen) };
        // Another's `uploaded` is overruled only by one who has looked since.
        let from: &[UploadState] = if upload.state == UploadState::Uploaded { &ARRIVED } else { &UNSETTLED };
        let settler = Settler::Request { from, declared_etag: DeclaredEtag::Now(etag.as_deref()) };
        let (upload, is_new) = verifier.settle(upload, found, settler).await?;
        if is_new {
            self.metrics.settled(1, upload.state.as_str(), "complete");
        }
        if upload.state == UploadState::Deleted { Err(UploadError::Deleted) } else { Ok(upload) }
    }
}

/// Deletes the files of uploads.
pub struct Deleter {
    verifier: Verifier,
    metrics: Arc<UploadMetrics>,
}

impl Deleter {
    pub(super) const fn new(verifier: Verifier, metrics: Arc<UploadMetrics>) -> Self {
        Self { verifier, metrics }
    }

    /// Deletes an upload's object, then marks the upload. A URL that still lives could bring the object back: the sweeper
    /// looks once it cannot any more.
    ///
    /// # Errors
    /// There is no such upload, or the bucket or the database does not do it: it may be asked for again.
    pub async fn delete(&self, admitted: &Admitted, id: UploadId) -> Result<Upload, UploadError> {
        let verifier = &self.verifier;
        let upload = find_for(&verifier.store, demand(admitted, Scope::UploadsDelete)?, id).await?;
        let (client, _) = verifier.client(&upload).await?;
        client.delete(&upload.issued.object_key).await.map_err(|error| UploadError::of_bucket(error, TO_DELETE))?;
        if mark_deleted(&verifier.store, upload.issued.tenant_id, id, GRACE, verifier.clock.now()).await? {
            self.metrics.settled(1, UploadState::Deleted.as_str(), "delete");
        }
        Ok(Upload { state: UploadState::Deleted, ..upload })
    }
}

/// Whether nothing else can arrive for an upload that arrived: its URL expired, or was valid for
/// one PUT or for these bytes only.
fn is_final(upload: &Upload, now: DateTime<Utc>) -> bool {
    upload.issued.url_expires_at + GRACE <= now
        || upload.issued.bindings.write_once
        || upload.issued.bindings.sha256.is_some()
}

/// The result of a check.
struct Found {
    state: UploadState,
    seen: Option<SeenObject>,
}

#[cfg(test)]
mod tests {
    use super::{KNOWN_FOR, KnownBuckets, MAX_KNOWN_BUCKETS};
    use crate::domain::bucket::{Addressing, BucketName, Endpoint, Location, Provider, Region};
    use crate::domain::clock::Clock;
    use crate::domain::egress::AllowedHosts;
    use crate::domain::ids::BucketId;

    #[test]
    fn known_buckets_are_bounded_and_make_room_when_old() {
        let location = Location {
            endpoint: Endpoint::parse("https://s3.example.com", &AllowedHosts::any()).unwrap(),
            region: Region::parse("auto").unwrap(),
            bucket_name: BucketName::parse("uploads").unwrap(),
            addressing: Addressing::Path,
            provider: Provider::Generic,
        };
        let (known, now) = (KnownBuckets::default(), Clock::System.now());
        let id = |number: usize| BucketId::from(uuid::Uuid::from_u128(number as u128));
        for number in 0..=MAX_KNOWN_BUCKETS {
            known.insert(id(number), location.clone(), now);
        }
        assert!(known.contains(id(0), &location, now) && !known.contains(id(MAX_KNOWN_BUCKETS), &location, now));
        assert_eq!(known.lock().len(), MAX_KNOWN_BUCKETS);
        let later = now + KNOWN_FOR;
        known.insert(id(MAX_KNOWN_BUCKETS), location.clone(), later);
        assert!(!known.contains(id(0), &location, later) && known.contains(id(MAX_KNOWN_BUCKETS), &location, later));
        assert_eq!(known.lock().len(), 1);
    }
}
