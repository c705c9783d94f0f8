//! A database on several hosts, of which one at a time takes writes: a primary and its standbys.
//!
//! The hosts are asked which of them takes writes, at the start, and whenever something fails as it does at a failover, until one does.
//! From then on all pools connect there, and give out no connection that is older. With a single host nothing is ever asked.

use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection, PgPool};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::StoreError;
use crate::domain::database_url;

/// Between two rounds of asking.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);

/// The hosts of one database.
pub(super) struct Hosts {
    all: Vec<PgConnectOptions>,
    /// How long a host may take to say whether it takes writes.
    probe_timeout: Duration,
    /// Which of them takes writes, once that is known.
    primary: watch::Sender<Option<usize>>,
    /// Something happened that a failover explains.
    suspected: Notify,
    began: Instant,
    /// Milliseconds since `began`: connections that are not newer lead to a host that takes no writes.
    outdated: AtomicU64,
}

impl fmt::Debug for Hosts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The options hold the password.
        formatter.debug_struct("Hosts").field("hosts", &self.all.len()).finish_non_exhaustive()
    }
}

impl Hosts {
    /// # Errors
    /// A URL that does not parse.
    pub(super) fn parse(url: &SecretString, probe_timeout: Duration) -> Result<Self, StoreError> {
        let options = |url: String| Ok(url.parse::<PgConnectOptions>()?.application_name("presign-gateway"));
        let hosts = database_url::hosts(url.expose_secret())?.into_iter().map(options);
        let all: Vec<_> = hosts
            .map(|host| host.map(PgConnectOptions::disable_statement_logging))
            .collect::<Result<_, sqlx::Error>>()?;
        let (primary, _) = watch::channel((all.len() == 1).then_some(0));
        let suspected = Notify::new();
        Ok(Self { all, probe_timeout, primary, suspected, began: Instant::now(), outdated: AtomicU64::new(0) })
    }

    /// How to connect to the one that takes writes. As long as that is not known, to where nobody is: a pool that is refused at once
    /// tries again, and finds the primary as soon as it is known, where a host that is silent would hold it up.
    pub(super) fn options(&self) -> PgConnectOptions {
        let known = self.primary.borrow().and_then(|primary| self.all.get(primary));
        known.cloned().unwrap_or_else(|| PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(1))
    }

    /// Waits until it is known which host takes writes.
    pub(super) async fn are_known(&self) {
        // The sender lives as long as this does.
        let _ = self.primary.subscribe().wait_for(Option::is_some).await;
    }

    pub(super) fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// Says that the primary may be another one by now.
    pub(super) fn suspect_failover(&self) {
        if self.are_several() {
            self.suspected.notify_one();
        }
    }

    /// Doubts, where an error is one of those that a failover brings.
    pub(super) fn on_error(&self, error: &StoreError) {
        if error.is_read_only() {
            self.discard_connections();
        }
        if matches!(error, StoreError::Unavailable(_) | StoreError::TimedOut | StoreError::Disconnected) {
            self.suspect_failover();
        }
    }

    /// Says that the primary may be another one, and that what is connected by now must not be used again.
    pub(super) fn discard_connections(&self) {
        self.outdate();
        self.suspect_failover();
    }

    /// Whether a connection of this age may be used.
    pub(super) fn is_current(&self, age: Duration) -> bool {
        !self.are_several()
            || self.began.elapsed().saturating_sub(age).as_millis() > self.outdated.load(Ordering::Relaxed).into()
    }

    /// What is connected by now is not used again.
    fn outdate(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.outdated.store(now, Ordering::Relaxed);
    }

    /// Asks which host takes writes, until one does, and says it where it is another one than before. That one is asked first: where two
    /// take writes, nobody goes back and forth between them.
    async fn seek(&self) -> Option<PgConnectOptions> {
        let before = *self.primary.borrow();
        loop {
            if let Some(before) = before
                && self.answers(before, self.probe_timeout / 2).await.is_some()
            {
                return None;
            }
            let others = (0..self.all.len()).filter(|host| Some(*host) != before);
            let asked: FuturesUnordered<_> = others.map(|host| self.answers(host, self.probe_timeout)).collect();
            if let Some(found) = pin!(asked.filter_map(std::future::ready)).next().await {
                self.primary.send_replace(Some(found));
                self.outdate();
                self.log_primary(before.is_some());
                return Some(self.options());
            }
            tokio::time::sleep(PROBE_INTERVAL).await;
        }
    }

    fn log_primary(&self, has_moved: bool) {
        let primary = self.options();
        let (host, port) = (primary.get_host(), primary.get_port());
        if has_moved {
            tracing::warn!(
                server.address = host,
                server.port = port,
                "database failover: another host takes writes now"
            );
        } else {
            tracing::debug!(server.address = host, server.port = port, "database primary found");
        }
    }

    /// The host, if it says that it takes writes.
    async fn answers(&self, host: usize, probe_timeout: Duration) -> Option<usize> {
        let asked = async { takes_writes(&mut self.all.get(host)?.connect().await.ok()?).await.ok() };
        matches!(tokio::time::timeout(probe_timeout, asked).await, Ok(Some(true))).then_some(host)
    }
}

/// Whether rows can be written there: not on a standby, nor where somebody made the database read-only.
pub(super) async fn takes_writes(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT current_setting('transaction_read_only') = 'off'").fetch_one(connection).await
}

/// Looks for the primary whenever there is doubt, and leads all pools there; ends when it is dropped.
#[derive(Debug)]
pub(super) struct PrimaryWatcher {
    pools: Arc<Mutex<Vec<PgPool>>>,
    watching: Option<AbortHandle>,
}

impl PrimaryWatcher {
    /// Must be called within a Tokio runtime, as a pool must.
    pub(super) fn start(hosts: &Arc<Hosts>) -> Self {
        let pools = Arc::default();
        let watching =
            hosts.are_several().then(|| tokio::spawn(seek(Arc::clone(hosts), Arc::clone(&pools))).abort_handle());
        Self { pools, watching }
    }

    /// From now on leads this pool, too.
    pub(super) fn attach(&self, pool: &PgPool, hosts: &Hosts) {
        // With one host there is nowhere else to go.
        if self.watching.is_some() {
            let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
            pool.set_connect_options(hosts.options());
            pools.push(pool.clone());
        }
    }
}

async fn seek(hosts: Arc<Hosts>, pools: Arc<Mutex<Vec<PgPool>>>) {
    loop {
        if let Some(primary) = hosts.seek().await {
            for pool in &*pools.lock().unwrap_or_else(PoisonError::into_inner) {
                pool.set_connect_options(primary.clone());
            }
        }
        tokio::time::sleep(PROBE_INTERVAL).await;
        hosts.suspected.notified().await;
    }
}

impl Drop for PrimaryWatcher {
    fn drop(&mut self) {
        if let Some(watching) = &self.watching {
            watching.abort();
        }
    }
}
