//! Background jobs: what the gateway does without a request. [`Jobs`] starts, stops and awaits all of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Auth;
use crate::buckets::credentials::CredentialCache;
use crate::config::Config;
use crate::domain::clock::Clock;
use crate::store::change_feed::ChangeFeed;
use crate::store::{Store, StoreError};

use self::invalidation::Listening;
use self::maintenance::MaintenanceOptions;
use self::sweeper::Sweeper;

pub(crate) mod invalidation;
mod last_used;
pub mod maintenance;
pub(crate) mod sweeper;

/// How long jobs may take to stop. Only a database that hangs makes them reach it.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// The parts of the gateway that the jobs work on.
pub struct JobParts {
    pub store: Store,
    pub clock: Clock,
    pub auth: Arc<Auth>,
    pub credentials: Arc<CredentialCache>,
    pub listening: Arc<Listening>,
    pub sweeper: Arc<Sweeper>,
}

/// When the jobs run. The sweeper has its own options.
#[derive(Debug, Clone, Copy)]
pub struct JobOptions {
    pub last_used_flush: Duration,
    /// The maximum age of cached rows while the change feed is down.
    pub stale_after: Duration,
    pub maintenance: MaintenanceOptions,
}

impl From<&Config> for JobOptions {
    fn from(config: &Config) -> Self {
        Self {
            last_used_flush: config.auth.last_used_flush_seconds.as_seconds(),
            stale_after: config.auth.cache_seconds.as_seconds().min(config.vault.cache_seconds.as_seconds()),
            maintenance: MaintenanceOptions::from(&config.uploads),
        }
    }
}

/// The running jobs. They also stop, unawaited, when this is dropped.
pub struct Jobs {
    tracker: TaskTracker,
    stop: CancellationToken,
    /// A child of `stop`, because the sweeper stops first: it must not claim uploads during shutdown, while the other
    /// jobs serve the requests that are still running.
    stop_sweeper: CancellationToken,
}

impl Jobs {
    /// Starts every job. `feed` is the change feed that was opened before the first request.
    #[must_use]
    pub fn start(parts: JobParts, feed: Result<ChangeFeed, StoreError>, options: JobOptions) -> Self {
        let JobParts { store, clock, auth, credentials, listening, sweeper } = parts;
        let JobOptions { last_used_flush, stale_after, maintenance } = options;
        let stop = CancellationToken::new();
        let jobs = Self { tracker: TaskTracker::new(), stop_sweeper: stop.child_token(), stop };

        jobs.tracker.spawn(sweeper.run(jobs.stop_sweeper.clone()));
        let maintaining = maintenance::run(store.clone(), clock, maintenance);
        jobs.tracker.spawn(jobs.stop.clone().run_until_cancelled_owned(maintaining));
        let (callers, stop) = (Arc::clone(&auth), jobs.stop.clone());
        jobs.tracker.spawn(async move { last_used::run(&callers, last_used_flush, &stop).await });
        let following = async move {
            invalidation::follow(&store, feed, &auth, &credentials, &listening, stale_after).await;
        };
        jobs.tracker.spawn(jobs.stop.clone().run_until_cancelled_owned(following));
        jobs
    }

    /// Stops the sweeper, which gives up the uploads it has claimed. Does not wait for it; [`Jobs::stop`] does.
    pub fn stop_sweeper(&self) {
        self.stop_sweeper.cancel();
    }

    /// Stops every job and waits for all of them, up to `STOP_TIMEOUT`.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tracker.close();
        if timeout(STOP_TIMEOUT, self.tracker.wait()).await.is_err() {
            tracing::warn!(
                "background jobs did not stop in time: uploads that the sweeper claimed are due again later"
            );
        }
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
