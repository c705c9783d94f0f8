//! Failover: several database hosts, of which one accepts writes at a time.
//!
//! At start, and after errors that are typical of a failover, the hosts are asked which one accepts
//! writes, until one does. From then on all pools connect to that host and close older connections.
//! With a single host there is nothing to ask.

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

/// Pause between two rounds of asking the hosts.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);

/// The hosts of one database.
pub(super) struct Hosts {
    all: Vec<PgConnectOptions>,
    /// How long a host may take to say whether it accepts writes.
    probe_timeout: Duration,
    /// The host that accepts writes, once known.
    primary: watch::Sender<Option<usize>>,
    /// Signals a possible failover.
    suspected: Notify,
    began: Instant,
    /// Milliseconds since `began`. Older connections lead to a host that no longer accepts writes.
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
    /// The URL does not parse.
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

    /// How to connect to the host that accepts writes. While it is unknown, the address is
    /// unreachable: a pool that is refused at once retries and finds the primary as soon as it is
    /// known, but a silent host would block it.
    pub(super) fn options(&self) -> PgConnectOptions {
        let known = self.primary.borrow().and_then(|primary| self.all.get(primary));
        known.cloned().unwrap_or_else(|| PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(1))
    }

    /// Waits until the host that accepts writes is known.
    pub(super) async fn are_known(&self) {
        // The sender lives as long as this does.
        let _ = self.primary.subscribe().wait_for(Option::is_some).await;
    }

    pub(super) fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// Signals that another host may be the primary.
    pub(super) fn suspect_failover(&self) {
        if self.are_several() {
            self.suspected.notify_one();
        }
    }

    /// Signals a possible failover if the error is typical of one.
    pub(super) fn on_error(&self, error: &StoreError) {
        if error.is_read_only() {
            self.discard_connections();
        }
        if matches!(error, StoreError::Unavailable(_) | StoreError::TimedOut | StoreError::Disconnected) {
            self.suspect_failover();
        }
    }

    /// Signals a possible failover, and retires all current connections.
    pub(super) fn discard_connections(&self) {
        self.outdate();
        self.suspect_failover();
    }

    /// Whether a connection of this age may be used.
    pub(super) fn is_current(&self, age: Duration) -> bool {
        !self.are_several()
            || self.began.elapsed().saturating_sub(age).as_millis() > self.outdated.load(Ordering::Relaxed).into()
    }

    /// Retires all current connections.
    fn outdate(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.outdated.store(now, Ordering::Relaxed);
    }

    /// Asks which host accepts writes until one does, and logs a change. The previous primary is
    /// asked first, so that instances do not alternate if two hosts accept writes.
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

    /// Returns the host if it accepts writes.
    async fn answers(&self, host: usize, probe_timeout: Duration) -> Option<usize> {
        let asked = async { takes_writes(&mut self.all.get(host)?.connect().await.ok()?).await.ok() };
        matches!(tokio::time::timeout(probe_timeout, asked).await, Ok(Some(true))).then_some(host)
    }
}

/// Whether rows can be written: not on a standby, and not if the database is read-only.
pub(super) async fn takes_writes(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT current_setting('transaction_read_only') = 'off'").fetch_one(connection).await
}

/// Searches for the primary after each signal and directs all pools to it, until it is dropped.
#[derive(Debug)]
pub(super) struct PrimaryWatcher {
    pools: Arc<Mutex<Vec<PgPool>>>,
    watching: Option<AbortHandle>,
}

impl PrimaryWatcher {
    /// Must be called within a Tokio runtime, like a pool.
    pub(super) fn start(hosts: &Arc<Hosts>) -> Self {
        let pools = Arc::default();
        let watching =
            hosts.are_several().then(|| tokio::spawn(seek(Arc::clone(hosts), Arc::clone(&pools))).abort_handle());
        Self { pools, watching }
    }

    /// Directs this pool, too.
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
