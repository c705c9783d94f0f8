//! The sweeper: checks whether uploads arrived after their URL expired, and sets their state. It
//! expires uploads.
//!
//! A round reads from an index which buckets have due uploads, and sweeps several at a time. For
//! each bucket it claims a batch, sends a HEAD for each object, and writes all results in one
//! statement. `store::uploads::sweep` explains how instances share the work without losing any. A
//! failing bucket is retried with backoff and delays no other bucket.
//!
//! Every row with a `check_at` is checked, also in archived buckets and of suspended tenants.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use crate::buckets::BucketConnections;
use crate::buckets::credentials::CredentialCache;
use crate::config::uploads::UploadsConfig;
use crate::domain::clock::Clock;
use crate::domain::ids::BucketId;
use crate::domain::randomness::Randomness;
use crate::store::uploads::sweep::{self, DueBucket};
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::sweeper::SweeperMetrics;
use crate::telemetry::metrics::uploads::UploadMetrics;
use crate::telemetry::trace;

use self::backoff::Backoff;

mod backoff;
mod reschedule;
mod sweep_bucket;
pub(crate) mod view;

/// Buckets that one instance works on at a time.
const MAX_CONCURRENT_BUCKETS: usize = 8;
/// Buckets that are looked at in one round; the next goes on behind them.
const MAX_BUCKETS_PER_ROUND: u32 = 1000;
/// Up to how many uploads that are due are counted of a bucket.
pub const MAX_COUNTED: u32 = 1000;

/// How the sweeper works.
#[derive(Debug, Clone, Copy)]
pub struct SweeperOptions {
    /// Between the beginnings of two rounds; none at all where it is zero.
    pub every: Duration,
    /// Objects of one bucket that are asked for at a time.
    pub concurrency: usize,
    /// Objects of one bucket that are asked for in a second.
    pub per_second: u32,
    /// How long a claim holds: after that, whoever made it is taken for dead.
    pub lease: Duration,
}

impl From<&UploadsConfig> for SweeperOptions {
    fn from(config: &UploadsConfig) -> Self {
        Self {
            every: config.sweep_seconds.as_seconds(),
            concurrency: config.sweep_concurrency.count(),
            per_second: config.sweep_per_second.as_u32(),
            lease: config.sweep_lease_seconds.as_seconds(),
        }
    }
}

/// What one round has done.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    pub at: DateTime<Utc>,
    pub took: Duration,
    /// How long the oldest upload was due when the round began.
    pub lag: Duration,
    pub work: Work,
}

/// What came of the uploads that were looked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work {
    pub uploaded: u32,
    pub mismatched: u32,
    pub expired: u32,
    /// Deleted ones; `returned` of them were there again, and were deleted once more.
    pub deleted: u32,
    pub reappeared: u32,
    /// Uploads that could not be checked, and are due again.
    pub rescheduled: u32,
    /// Those that could not be asked for so long that they are not looked for again.
    pub abandoned: u32,
    /// Whether there is more to do at once.
    more: bool,
}

impl Work {
    fn add(&mut self, other: Self) {
        self.uploaded += other.uploaded;
        self.mismatched += other.mismatched;
        self.expired += other.expired;
        self.deleted += other.deleted;
        self.reappeared += other.reappeared;
        self.rescheduled += other.rescheduled;
        self.abandoned += other.abandoned;
        self.more |= other.more;
    }

    fn is_any(&self) -> bool {
        self.uploaded + self.mismatched + self.expired + self.deleted + self.rescheduled + self.abandoned > 0
    }
}

/// Looks for uploads in the name of nobody.
pub struct Sweeper {
    store: Store,
    credentials: Arc<CredentialCache>,
    buckets: BucketConnections,
    clock: Clock,
    randomness: Randomness,
    pub options: SweeperOptions,
    metrics: SweeperMetrics,
    settled: Arc<UploadMetrics>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    /// How buckets fare that fail; no others.
    backoffs: HashMap<BucketId, Backoff>,
    last_round: Option<Round>,
    /// Behind which bucket the next round goes on.
    after: Option<BucketId>,
}

impl Sweeper {
    #[must_use]
    pub fn new(
        store: Store,
        credentials: Arc<CredentialCache>,
        buckets: BucketConnections,
        clock: Clock,
        randomness: Randomness,
        options: SweeperOptions,
        (metrics, settled): (SweeperMetrics, Arc<UploadMetrics>),
    ) -> Self {
        Self { store, credentials, buckets, clock, randomness, options, metrics, settled, memory: Mutex::default() }
    }

    /// Sweeps until `stop` is cancelled, then gives up the claims it has not finished and returns.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let every = self.options.every;
        if every.is_zero() {
            return;
        }
        // Instances that start together should not work in step.
        let first = Instant::now() + every.mul_f64(0.5 + self.chance() / 2.0);
        let mut rounds = interval_at(first, every);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_away = false;
        loop {
            tokio::select! {
                _ = rounds.tick() => {}
                () = stop.cancelled() => return,
            }
            let span = tracing::info_span!(target: trace::ROOT, "sweeper round");
            let began = Instant::now();
            let round = self.round(&stop).instrument(span).await;
            if round.is_err() {
                self.metrics.broke_off(began.elapsed());
            }
            match round {
                Ok(more) => {
                    is_away = false;
                    if more {
                        rounds.reset_immediately();
                    }
                }
                Err(_) if is_away => {}
                Err(error) => {
                    is_away = true;
                    tracing::warn!(cause = %cause(&error), "sweeper round failed: the database does not answer");
                }
            }
        }
    }

    /// Looks at every bucket once, and tells whether there is more to do at once.
    async fn round(self: &Arc<Self>, stop: &CancellationToken) -> Result<bool, StoreError> {
        let (at, began) = (self.clock.now(), Instant::now());
        let after = self.memory().after;
        let (due, last) = sweep::list_due_any_tenant(&self.store, at, after, MAX_BUCKETS_PER_ROUND, 1).await?;
        self.memory().after = last;
        let oldest = due.iter().map(|bucket| bucket.oldest_due_at).min();
        let lag = oldest.and_then(|oldest| (at - oldest).to_std().ok()).unwrap_or_default();

        let now = Instant::now();
        let may_be_asked =
            |due: &DueBucket| !self.memory().backoffs.get(&due.bucket_id).is_some_and(|backoff| backoff.rests(now));
        let mut turns = due.into_iter().filter(may_be_asked);
        let mut running = JoinSet::new();
        let mut work = Work::default();
        loop {
            while running.len() < MAX_CONCURRENT_BUCKETS && !stop.is_cancelled() {
                let Some(due) = turns.next() else { break };
                let span = bucket_span(&due);
                let sweeping = Arc::clone(self).sweep_bucket(due, began + self.options.every, stop.clone());
                running.spawn(sweeping.instrument(span));
            }
            match running.join_next().await {
                Some(Ok(done)) => work.add(done),
                Some(Err(error)) => tracing::error!(cause = %error, "sweeping a bucket failed unexpectedly"),
                None => break,
            }
        }
        let took = began.elapsed();
        let round = Round { at, took, lag, work };
        if work.is_any() {
            let Work { uploaded, mismatched, expired, deleted, reappeared, rescheduled, abandoned, .. } = work;
            let (took_ms, lag_seconds) = (took.as_millis(), lag.as_secs());
            tracing::info!(
                uploaded,
                mismatched,
                expired,
                deleted,
                reappeared,
                rescheduled,
                abandoned,
                took_ms,
                lag_seconds,
                "swept"
            );
        }
        let mut memory = self.memory();
        memory.last_round = Some(round);
        // A bucket that nobody asks for any more need not be remembered.
        memory.backoffs.retain(|_, backoff| !backoff.is_forgotten(now));
        self.metrics.round(lag, took, work.rescheduled, work.abandoned, memory.backoffs.len());
        Ok(work.more || last.is_some())
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A random number from 0 to 1.
    fn chance(&self) -> f64 {
        f64::from(u16::from_le_bytes(self.randomness.bytes())) / f64::from(u16::MAX)
    }
}

fn bucket_span(due: &DueBucket) -> Span {
    let (tenant, bucket) = (due.tenant.as_str(), due.bucket.as_str());
    tracing::info_span!("sweep bucket", presign_gateway.tenant = tenant, presign_gateway.bucket = bucket)
}

/// An error of the database and what is behind it, on one line.
fn cause(error: &StoreError) -> String {
    use std::error::Error;

    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
