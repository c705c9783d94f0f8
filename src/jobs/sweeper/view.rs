//! The sweeper's status for operators: due uploads from the database, and the state of this
//! instance.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::uploads::sweep::{self, DueBucket};
use crate::store::{Store, StoreError};

use super::{MAX_BUCKETS_PER_ROUND, MAX_COUNTED, Round, Sweeper};

/// Uploads of all tenants that are due for a check; the same on every instance.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = SweeperBacklog)]
pub struct BacklogView {
    /// Uploads that are due; of each bucket at most 1,000 are counted.
    pub due: i64,
    /// Since when the oldest one is due.
    pub oldest_due_at: Option<DateTime<Utc>>,
    /// How late the sweepers are; 0 if nothing is due.
    pub lag_seconds: i64,
    /// Buckets that have uploads due, at most 1,000.
    pub buckets: Vec<DueBucketView>,
}

/// A bucket that has uploads due.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = DueBucket)]
pub struct DueBucketView {
    pub tenant: String,
    pub bucket: String,
    /// Uploads that are due; at most 1,000 are counted.
    pub due: i64,
    pub oldest_due_at: DateTime<Utc>,
    /// Why this instance skips the bucket, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing: Option<FailingView>,
}

/// How a bucket fails.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = FailingBucket)]
pub struct FailingView {
    /// Its last error.
    #[schema(example = "no response in time")]
    pub reason: String,
    /// Failures in a row.
    pub failures: u32,
    pub since: DateTime<Utc>,
    /// When it is asked again.
    pub next_try_at: DateTime<Utc>,
}

/// The sweeper.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Sweeper)]
pub struct SweeperView {
    pub backlog: BacklogView,
    /// Seconds between this instance's rounds; null if it does not sweep.
    pub every_seconds: Option<u64>,
    /// This instance's last round; null before the first.
    pub last_round: Option<RoundView>,
}

/// The work of one round of an instance.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = SweeperRound)]
pub struct RoundView {
    pub at: DateTime<Utc>,
    pub took_ms: u64,
    /// How late it was when the round began.
    pub lag_seconds: u64,
    pub uploaded: u32,
    pub mismatched: u32,
    pub expired: u32,
    /// Deleted uploads that were checked.
    pub deleted: u32,
    /// Deleted uploads that had reappeared and were deleted again.
    pub reappeared: u32,
    /// Uploads that could not be checked, and are due again.
    pub rescheduled: u32,
    /// Uploads that could not be checked within 30 days of their URL's expiry; they are not checked again.
    pub abandoned: u32,
}

/// What is due at `now`, as the database has it.
///
/// # Errors
/// The database is away.
pub async fn backlog(store: &Store, now: DateTime<Utc>) -> Result<BacklogView, StoreError> {
    let (due, _) = sweep::list_due_any_tenant(store, now, None, MAX_BUCKETS_PER_ROUND, MAX_COUNTED).await?;
    Ok(BacklogView::of(&due, now))
}

impl Sweeper {
    /// What is due, and what this instance does about it.
    ///
    /// # Errors
    /// The database is away.
    pub async fn status(&self) -> Result<SweeperView, StoreError> {
        let now = self.clock.now();
        let (due, _) = sweep::list_due_any_tenant(&self.store, now, None, MAX_BUCKETS_PER_ROUND, MAX_COUNTED).await?;
        let mut backlog = BacklogView::of(&due, now);
        let memory = self.memory();
        for (view, due) in backlog.buckets.iter_mut().zip(&due) {
            view.failing = memory.backoffs.get(&due.bucket_id).map(|backoff| FailingView {
                reason: backoff.reason.clone(),
                failures: backoff.failures,
                since: backoff.since,
                next_try_at: backoff.next_try_at,
            });
        }
        let every_seconds = Some(self.options.every.as_secs()).filter(|seconds| *seconds > 0);
        Ok(SweeperView { backlog, every_seconds, last_round: memory.last_round.as_ref().map(RoundView::from) })
    }
}

impl BacklogView {
    fn of(due: &[DueBucket], now: DateTime<Utc>) -> Self {
        let oldest_due_at = due.iter().map(|bucket| bucket.oldest_due_at).min();
        Self {
            due: due.iter().map(|bucket| bucket.due).sum(),
            oldest_due_at,
            lag_seconds: oldest_due_at.map_or(0, |oldest| (now - oldest).num_seconds()),
            buckets: due.iter().map(DueBucketView::from).collect(),
        }
    }
}

impl From<&DueBucket> for DueBucketView {
    fn from(due: &DueBucket) -> Self {
        Self {
            tenant: due.tenant.to_string(),
            bucket: due.bucket.to_string(),
            due: due.due,
            oldest_due_at: due.oldest_due_at,
            failing: None,
        }
    }
}

impl From<&Round> for RoundView {
    fn from(round: &Round) -> Self {
        let work = round.work;
        Self {
            at: round.at,
            took_ms: u64::try_from(round.took.as_millis()).unwrap_or(u64::MAX),
            lag_seconds: round.lag.as_secs(),
            uploaded: work.uploaded,
            mismatched: work.mismatched,
            expired: work.expired,
            deleted: work.deleted,
            reappeared: work.reappeared,
            rescheduled: work.rescheduled,
            abandoned: work.abandoned,
        }
    }
}
