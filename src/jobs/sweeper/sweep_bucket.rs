//! Sweeps one bucket.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::buckets::{BucketClient, BucketError, Failure};
use crate::domain::clock::Clock;
use crate::domain::ids::{TenantId, UploadId};
use crate::domain::upload::{Upload, UploadState};
use crate::store::StoreError;
use crate::store::uploads::state::{Settler, StateChange, settle};
use crate::store::uploads::sweep::{self, ClaimedUpload, DueBucket};
use crate::uploads::verify::{GRACE, look};

use super::backoff::Backoff;
use super::reschedule::{Blame, Failed};
use super::{Sweeper, Work, cause};

/// Uploads of a batch, at most.
const MAX_BATCH: u128 = 100;
/// So many objects that fail one after the other, and nothing that is answered, are the bucket's own fault.
const SEVERAL: usize = 2;

/// What came of a batch.
#[derive(Default)]
struct Batch {
    found: Vec<StateChange>,
    /// Deleted ones that were there again.
    reappeared: HashSet<UploadId>,
    failed: Vec<Failed>,
    /// Nobody asked for these: each with the moment since which it is due, and that at which its URL ran out.
    left: HashMap<UploadId, (DateTime<Utc>, DateTime<Utc>)>,
    /// Their URL was signed anew: each with the moment at which it is due.
    early: Vec<(UploadId, DateTime<Utc>)>,
    /// How many failed since the bucket last answered, in a way that may be its own fault.
    in_a_row: usize,
    /// What is wrong with the bucket itself, where anything is.
    fault: Option<BucketError>,
}

impl Batch {
    /// Writes down an answer, and tells whether to go on asking.
    fn add(&mut self, id: UploadId, answer: Result<(StateChange, bool), BucketError>) -> bool {
        let Some((_, url_expires_at)) = self.left.remove(&id) else { return self.fault.is_none() };
        match answer {
            Ok((finding, reappeared)) => {
                self.found.push(finding);
                if reappeared {
                    self.reappeared.insert(id);
                }
                self.in_a_row = 0;
            }
            Err(error) => {
                let is_away = error.failure == Failure::Unavailable;
                self.in_a_row = if is_away { self.in_a_row + 1 } else { 0 };
                if error.is_unreachable() || self.in_a_row >= SEVERAL {
                    self.fault = Some(error.clone());
                }
                self.failed.push(Failed { id, url_expires_at, error });
            }
        }
        // One that answers is not away, whatever was thought of it.
        if self.in_a_row == 0 {
            self.fault = None;
        }
        self.fault.is_none()
    }

    /// Where not one object was there, that may be because the bucket is not: then nothing of what was found holds.
    async fn confirm(&mut self, client: &BucketClient) {
        let is_any_there = !self.reappeared.is_empty() || self.found.iter().any(|finding| finding.seen.is_some());
        if is_any_there || self.found.is_empty() {
            return;
        }
        let fault = match client.exists().await {
            Ok(true) => return,
            Ok(false) => BucketError::no_such_bucket(),
            Err(error) => error,
        };
        let failed = |StateChange { id, url_expires_at, .. }| Failed { id, url_expires_at, error: fault.clone() };
        self.failed.extend(self.found.drain(..).map(failed));
        self.fault = Some(fault);
    }

    /// What the bucket answered, where it refused whatever it was asked for.
    fn refusal(&self) -> Option<&BucketError> {
        let errors = self.failed.iter().map(|failed| &failed.error);
        errors.filter(|_| self.found.is_empty()).find(|error| error.failure != Failure::Unavailable)
    }

    /// Why the bucket should be left alone, if it should.
    fn trouble(&self) -> Option<String> {
        let error = self.fault.as_ref().or(self.refusal())?;
        Some(match error.failure {
            Failure::Refused => {
                format!("{error}: the credential lacks GetObject (on AWS also ListBucket), or DeleteObject")
            }
            _ => error.to_string(),
        })
    }

    /// When each is due again that was not settled; none where it is given up.
    fn rescheduled(&self, now: DateTime<Utc>) -> Vec<(UploadId, Option<DateTime<Utc>>)> {
        let blame = match (&self.fault, self.refusal()) {
            (Some(_), _) => Blame::Bucket,
            (None, Some(_)) => Blame::Everything,
            (None, None) => Blame::Upload,
        };
        let failed = self.failed.iter().map(|failed| (failed.id, failed.again_at(now, blame)));
        let left = self.left.iter().map(|(id, (due_at, _))| (*id, Some(*due_at)));
        let early = self.early.iter().map(|(id, due_at)| (*id, Some(*due_at)));
        failed.chain(left).chain(early).collect()
    }
}

impl Sweeper {
    /// Works on one bucket's uploads until none is due, the time is over, the bucket fails, or it is told to stop.
    pub(super) async fn sweep_bucket(self: Arc<Self>, due: DueBucket, until: Instant, stop: CancellationToken) -> Work {
        let mut work = Work::default();
        match self.work_on(&due, until, &stop, &mut work).await {
            Ok(Some(trouble)) => self.fails(&due, trouble),
            Ok(None) => {}
            // What was claimed is due again when the lease has run out.
            Err(error) => {
                tracing::warn!(presign_gateway.tenant = due.tenant.as_str(), presign_gateway.bucket = due.bucket.as_str(), cause = %cause(&error), "sweeping a bucket was aborted");
            }
        }
        work
    }

    /// Gives what is wrong with the bucket, if anything is.
    async fn work_on(
        &self,
        due: &DueBucket,
        until: Instant,
        stop: &CancellationToken,
        work: &mut Work,
    ) -> Result<Option<String>, StoreError> {
        let client = match self.credentials.bucket_by_id(due.tenant_id, due.bucket_id).await {
            Ok(open) => self.buckets.client(&open),
            Err(error) => return Ok(Some(error.to_string())),
        };
        let client = match client {
            Ok(client) => client,
            Err(error) => return Ok(Some(error.to_string())),
        };
        let mut pace = interval(Duration::from_secs(1) / self.options.per_second);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let most = self.batch_size();
        loop {
            let now = self.clock.now();
            let lease = now + self.options.lease;
            let claimed = sweep::claim(&self.store, due.tenant_id, due.bucket_id, now, lease, most).await?;
            let is_whole = i64::try_from(claimed.len()).is_ok_and(|claimed| claimed == most);
            if claimed.is_empty() {
                return Ok(None);
            }
            let mut batch = self.look_for(&client, claimed, &mut pace, stop).await;
            batch.confirm(&client).await;
            self.write_down(due.tenant_id, lease, &batch, work).await?;
            let is_stopping = stop.is_cancelled();
            if let Some(trouble) = batch.trouble() {
                return Ok(Some(trouble));
            }
            if !is_stopping && !batch.left.is_empty() {
                return Ok(Some("checking an object failed unexpectedly".to_owned()));
            }
            if !batch.found.is_empty() {
                self.recovers(due);
            }
            if is_stopping || !is_whole {
                return Ok(None);
            }
            if Instant::now() >= until {
                work.more = true;
                return Ok(None);
            }
        }
    }

    /// So many that even a slow bucket has answered for all of them within half the lease.
    fn batch_size(&self) -> i64 {
        let half = self.options.lease.as_millis() / 2;
        let answers = half / self.buckets.timeout().as_millis().max(1);
        let in_time = answers.saturating_mul(self.options.concurrency as u128);
        let at_this_pace = half.saturating_mul(self.options.per_second.into()) / 1000;
        i64::try_from(in_time.min(at_this_pace).clamp(1, MAX_BATCH)).unwrap_or(1)
    }

    /// Asks for each object, several at a time. One that fails may be to blame for that alone: what is under way is waited for,
    /// and asking stops when nothing else was answered either.
    async fn look_for(
        &self,
        client: &BucketClient,
        claimed: Vec<ClaimedUpload>,
        pace: &mut Interval,
        stop: &CancellationToken,
    ) -> Batch {
        let now = self.clock.now();
        let (early, claimed): (Vec<_>, Vec<_>) =
            claimed.into_iter().partition(|claimed| claimed.upload.issued.url_expires_at + GRACE > now);
        let mut batch = Batch {
            left: claimed
                .iter()
                .map(|ClaimedUpload { upload, due_at }| (upload.issued.id, (*due_at, upload.issued.url_expires_at)))
                .collect(),
            early: early
                .iter()
                .map(|claimed| (claimed.upload.issued.id, claimed.upload.issued.url_expires_at + GRACE))
                .collect(),
            ..Batch::default()
        };
        let mut turns = claimed.into_iter().map(|claimed| claimed.upload);
        let mut asking = JoinSet::new();
        let mut goes_on = true;
        loop {
            while goes_on && asking.len() < self.options.concurrency && (batch.in_a_row == 0 || asking.is_empty()) {
                let Some(upload) = turns.next() else { break };
                tokio::select! {
                    _ = pace.tick() => {
                        asking.spawn(ask(client.clone(), upload, self.clock.clone()).in_current_span());
                    }
                    () = stop.cancelled() => return batch,
                }
            }
            // What is still under way when it is told to stop is dropped: to ask again does no harm.
            let answered = tokio::select! {
                answered = asking.join_next() => answered,
                () = stop.cancelled() => return batch,
            };
            match answered {
                None => return batch,
                Some(Err(_)) => goes_on = false,
                Some(Ok((id, answer))) => goes_on = batch.add(id, answer),
            }
        }
    }

    /// Settles and releases the batch. It counts only rows that were written, because somebody else may have been faster.
    async fn write_down(
        &self,
        tenant_id: TenantId,
        lease: DateTime<Utc>,
        batch: &Batch,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        if !batch.found.is_empty() {
            let written = settle(&self.store, tenant_id, &batch.found, Settler::Claim(lease), GRACE, now).await?;
            self.count_settled(batch, &written, work);
        }
        let back = batch.rescheduled(now);
        if !back.is_empty() {
            let written = sweep::reschedule(&self.store, tenant_id, lease, now, &back).await?;
            for (id, due_at) in back.iter().filter(|(id, _)| written.contains(id)) {
                let is_early = batch.early.iter().any(|(early, _)| early == id);
                work.abandoned += u32::from(due_at.is_none());
                work.rescheduled += u32::from(due_at.is_some() && !is_early);
            }
        }
        Ok(())
    }

    fn count_settled(&self, batch: &Batch, written: &HashSet<UploadId>, work: &mut Work) {
        for finding in batch.found.iter().filter(|finding| written.contains(&finding.id)) {
            if finding.state != finding.was {
                self.settled.settled(1, finding.state.as_str(), "sweeper");
            }
            let count = match finding.state {
                UploadState::Uploaded => &mut work.uploaded,
                UploadState::Mismatched => &mut work.mismatched,
                UploadState::Issued | UploadState::Expired => &mut work.expired,
                UploadState::Deleted => &mut work.deleted,
            };
            *count += 1;
            work.reappeared += u32::from(batch.reappeared.contains(&finding.id));
        }
    }

    fn fails(&self, due: &DueBucket, trouble: String) {
        let chance = self.chance();
        let mut memory = self.memory();
        let before = memory.backoffs.get(&due.bucket_id);
        if before.is_none_or(|before| before.reason != trouble) {
            let (tenant, bucket) = (due.tenant.as_str(), due.bucket.as_str());
            tracing::warn!(presign_gateway.tenant = tenant, presign_gateway.bucket = bucket, cause = %trouble, "a bucket fails: backing off");
        }
        let backoff = Backoff::after(before, trouble, self.clock.now(), chance);
        memory.backoffs.insert(due.bucket_id, backoff);
    }

    fn recovers(&self, due: &DueBucket) {
        if let Some(backoff) = self.memory().backoffs.remove(&due.bucket_id) {
            let (tenant, bucket) = (due.tenant.as_str(), due.bucket.as_str());
            tracing::info!(
                presign_gateway.tenant = tenant,
                presign_gateway.bucket = bucket,
                failures = backoff.failures,
                "a bucket recovered"
            );
        }
    }
}

/// Asks for an object, and tells what has become of its upload; and whether it was one that had been deleted.
async fn ask(
    client: BucketClient,
    upload: Upload,
    clock: Clock,
) -> (UploadId, Result<(StateChange, bool), BucketError>) {
    (upload.issued.id, find(&client, &upload, &clock).await)
}

async fn find(client: &BucketClient, upload: &Upload, clock: &Clock) -> Result<(StateChange, bool), BucketError> {
    let (id, was) = (upload.issued.id, upload.state);
    let seen = look(client, upload, clock).await?;
    let (state, seen, reappeared) = match (was, seen) {
        (UploadState::Deleted, Some(_)) => {
            client.delete(&upload.issued.object_key).await?;
            (was, None, true)
        }
        (_, Some(seen)) => (upload.state_when(&seen), Some(seen), false),
        (UploadState::Issued, None) => (UploadState::Expired, None, false),
        (_, None) => (was, None, false),
    };
    Ok((StateChange { id, was, url_expires_at: upload.issued.url_expires_at, state, seen }, reappeared))
}
