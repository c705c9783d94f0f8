//! Maintains the tables: creates monthly partitions in advance, drops old ones, folds usage,
//! removes expired rows.
//!
//! Every instance runs it. If several run the same job, one does the work and the others find none.
//! Nothing here is urgent, and no request waits for it.

use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use backon::{BackoffBuilder, ConstantBuilder, ExponentialBuilder, Retryable};
use chrono::{DateTime, Datelike, Months, NaiveTime, TimeDelta, Utc};
use tokio::time::{Instant, sleep};

use crate::config::uploads::UploadsConfig;
use crate::domain::clock::Clock;
use crate::store::{Store, StoreError, idempotency_keys, partitions, usage};
use crate::telemetry::error_chain::chain;

/// How far ahead of time partitions are made.
const PARTITION_LEAD: TimeDelta = TimeDelta::days(92);
/// Requests that began last month may end in this one, and a clock may be late.
const PARTITION_LAG: TimeDelta = TimeDelta::days(1);
const MAINTENANCE_INTERVAL: Duration = Duration::from_hours(1);
/// How often it is looked whether the clock has jumped, and how far it must have.
const CLOCK_CHECK_INTERVAL: Duration = Duration::from_secs(1);
const CLOCK_JUMP: TimeDelta = TimeDelta::hours(1);
/// How long to wait after a failure: ever longer, and up to twice as long by chance, so that instances do not retry together.
const BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_secs(1))
    .with_max_delay(Duration::from_secs(30))
    .with_jitter()
    .without_max_times();
/// Rows of one transaction.
const MAX_FOLDED_ROWS: i64 = 100_000;
/// Batches of one transaction: of many tenants, the more of them there are the fewer deltas they make.
const MAX_GATHERED_BATCHES: i64 = 2_000;
/// The longer batches wait, the more there is to read for whoever asks for usage.
const GATHER_INTERVAL: Duration = Duration::from_secs(2);
const MAX_REMOVED_ROWS: i64 = 1_000;

/// How the tables are kept.
#[derive(Debug, Clone, Copy)]
pub struct MaintenanceOptions {
    pub fold_every: Duration,
    /// Whole months that are kept before this one; 0 keeps all.
    pub retention_months: u32,
}

impl From<&UploadsConfig> for MaintenanceOptions {
    fn from(config: &UploadsConfig) -> Self {
        Self { fold_every: config.usage_fold_seconds.as_seconds(), retention_months: config.retention_months.as_u32() }
    }
}

/// Keeps the tables, until it is dropped. No job waits for another, or fails with it.
pub async fn run(store: Store, clock: Clock, options: MaintenanceOptions) {
    let (store, clock, months) = (&store, &clock, options.retention_months);
    let parts = AtomicI32::new(0);
    let until_jump = {
        let clock = clock.clone();
        move |pause| pause_until_jump(clock.clone(), pause)
    };
    let once = ConstantBuilder::new().with_delay(MAINTENANCE_INTERVAL).without_max_times();
    tokio::join!(
        // Of some tenants at a time: all at once are so many rows that commits of uploads wait for them on their way to the disk.
        run_periodically("fold_usage", options.fold_every / usage::PARTS.unsigned_abs(), BACKOFF, sleep, || {
            fold_part(store, parts.fetch_add(1, Ordering::Relaxed).rem_euclid(usage::PARTS))
        }),
        run_periodically("gather_usage", GATHER_INTERVAL.min(options.fold_every), BACKOFF, sleep, || gather_usage(
            store
        )),
        // At once when the clock was set to a time that has none.
        run_periodically("make_partitions", MAINTENANCE_INTERVAL, BACKOFF, until_jump, || ensure_partitions(
            store,
            clock.now()
        )),
        run_periodically("remove_expired", MAINTENANCE_INTERVAL, BACKOFF, sleep, || remove_expired(store, clock.now())),
        // Each time that one tries, those who write wait a moment: it is not tried again soon.
        run_periodically("drop_old_partitions", MAINTENANCE_INTERVAL, once, sleep, || {
            drop_old_partitions(store, clock.now(), months)
        }),
    );
}

/// Runs a job until it succeeds, waits, and begins again; for ever.
async fn run_periodically<T, F: Future<Output = Result<T, StoreError>>, S: Future<Output = ()>>(
    name: &'static str,
    every: Duration,
    backoff: impl BackoffBuilder + Clone,
    sleep: impl Fn(Duration) -> S + Clone + 'static,
    job: impl Fn() -> F,
) {
    loop {
        let failed = |error: &StoreError, _| {
            tracing::warn!(job = name, cause = %chain(error), "maintenance job failed, retrying");
        };
        // No try is the last one, so this ends with a success.
        let _ = (&job).retry(backoff.clone()).sleep(sleep.clone()).notify(failed).await;
        sleep(every).await;
    }
}

/// Waits so long; less, if meanwhile the clock goes another way than time does.
async fn pause_until_jump(clock: Clock, pause: Duration) {
    let (began, at) = (Instant::now(), clock.now());
    while let Some(left) = pause.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
        sleep(left.min(CLOCK_CHECK_INTERVAL)).await;
        let passed = TimeDelta::from_std(began.elapsed()).unwrap_or_default();
        if (clock.now() - at - passed).abs() > CLOCK_JUMP {
            return;
        }
    }
}

/// Makes the partitions of the months around now, and says how many that were.
///
/// # Errors
/// The database is away, or the role may not.
pub async fn ensure_partitions(store: &Store, now: DateTime<Utc>) -> Result<i32, StoreError> {
    let made = partitions::ensure_any_tenant(store, now - PARTITION_LAG, now + PARTITION_LEAD).await?;
    if made > 0 {
        tracing::info!(made, "partitions of uploads created");
    }
    Ok(made)
}

/// Folds all usage that waits.
///
/// # Errors
/// The database is away.
pub async fn fold_usage(store: &Store) -> Result<(), StoreError> {
    gather_usage(store).await?;
    for part in 0..usage::PARTS {
        fold_part(store, part).await?;
    }
    Ok(())
}

async fn gather_usage(store: &Store) -> Result<(), StoreError> {
    while usage::gather_any_tenant(store, MAX_GATHERED_BATCHES).await? >= MAX_GATHERED_BATCHES.unsigned_abs() {}
    Ok(())
}

async fn fold_part(store: &Store, part: i32) -> Result<(), StoreError> {
    while usage::fold_any_tenant(store, part, MAX_FOLDED_ROWS).await? >= MAX_FOLDED_ROWS.unsigned_abs() {}
    Ok(())
}

/// Removes idempotency keys that ran out.
///
/// # Errors
/// The database is away.
pub async fn remove_expired(store: &Store, now: DateTime<Utc>) -> Result<(), StoreError> {
    while idempotency_keys::remove_expired_any_tenant(store, now, MAX_REMOVED_ROWS).await?
        >= MAX_REMOVED_ROWS.unsigned_abs()
    {}
    Ok(())
}

/// Drops the months that are older than is kept.
///
/// # Errors
/// The database is away, a right is missing, or the ledger is in use: then for another time.
pub async fn drop_old_partitions(store: &Store, now: DateTime<Utc>, retention_months: u32) -> Result<(), StoreError> {
    if retention_months == 0 {
        return Ok(());
    }
    // What is dropped is gone: a clock of ours that is wrong must not say that it is old.
    let now = now.min(partitions::now(store).await?);
    // Everything that is wholly before this moment is older than a month, and than what is kept.
    let Some(before) = oldest_kept(now, retention_months) else { return Ok(()) };
    while let Some(partition) = partitions::drop_oldest_any_tenant(store, before).await? {
        tracing::info!(partition, retention_months, "partition of uploads dropped: its retention period is over");
    }
    Ok(())
}

/// When the first month that is kept begins; `None` keeps all.
fn oldest_kept(now: DateTime<Utc>, retention_months: u32) -> Option<DateTime<Utc>> {
    let months = Some(retention_months).filter(|months| *months > 0)?;
    let first_day = now.date_naive().with_day(1)?.checked_sub_months(Months::new(months))?;
    Some(first_day.and_time(NaiveTime::MIN).and_utc())
}
