//! A database on several hosts, of which one at a time takes writes: a primary and its standbys.
//!
//! A pool connects to the host that was found last. When a statement fails as it does at a failover, the hosts are asked
//! which of them takes writes, again and again until one does; from then on the pool connects there, and gives out no connection that
//! is older. With a single host nothing is ever asked.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection, PgPool};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::StoreError;
use crate::domain::database_url;

/// How long a host may take to say whether it takes writes.
const PATIENCE: Duration = Duration::from_secs(1);
/// While the others wait for their turn.
const PATIENCE_WITH_ONE: Duration = Duration::from_millis(500);
/// Between two rounds of asking.
const PAUSE: Duration = Duration::from_millis(250);

/// The hosts of one database.
pub(super) struct Hosts {
    all: Vec<PgConnectOptions>,
    /// Which of them is taken for the primary.
    primary: AtomicUsize,
    /// Something happened that a failover explains.
    doubted: Notify,
    began: Instant,
    /// Milliseconds since `began`: connections that are older lead to a host that takes no writes.
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
    pub(super) fn parse(url: &SecretString) -> Result<Self, StoreError> {
        let options = |url: String| Ok(url.parse::<PgConnectOptions>()?.application_name("presign-gateway"));
        let hosts = database_url::hosts(url.expose_secret())?.into_iter().map(options);
        let all: Vec<_> = hosts
            .map(|host| host.map(PgConnectOptions::disable_statement_logging))
            .collect::<Result<_, sqlx::Error>>()?;
        let (primary, doubted) = (AtomicUsize::new(0), Notify::new());
        Ok(Self { all, primary, doubted, began: Instant::now(), outdated: AtomicU64::new(0) })
    }

    /// The one that is taken for the primary.
    pub(super) fn primary(&self) -> PgConnectOptions {
        self.all.get(self.primary.load(Ordering::Relaxed)).cloned().unwrap_or_default()
    }

    pub(super) fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// Says that the primary may be another one by now.
    pub(super) fn doubt(&self) {
        if self.are_several() {
            self.doubted.notify_one();
        }
    }

    /// Doubts, where an error is one of those that a failover brings.
    pub(super) fn doubt_at(&self, error: &StoreError) {
        if error.is_read_only() {
            self.outdate();
        }
        if matches!(error, StoreError::Unavailable(_) | StoreError::TimedOut | StoreError::Disconnected) {
            self.doubt();
        }
    }

    /// Whether a connection of this age may be used.
    pub(super) fn is_current(&self, age: Duration) -> bool {
        !self.are_several()
            || self.began.elapsed().saturating_sub(age).as_millis() >= self.outdated.load(Ordering::Relaxed).into()
    }

    /// What is connected by now is not used again.
    fn outdate(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.outdated.store(now, Ordering::Relaxed);
    }

    /// Asks which host takes writes, and leads the pool there; whether there is one. The one that was taken for the primary is asked
    /// first: where two take writes, nobody goes back and forth between them.
    async fn seek(&self, pool: &PgPool) -> bool {
        let before = self.primary.load(Ordering::Relaxed);
        if self.answers(before, PATIENCE_WITH_ONE).await.is_some() {
            return true;
        }
        let others = (0..self.all.len()).filter(|host| *host != before);
        let asked: FuturesUnordered<_> = others.map(|host| self.answers(host, PATIENCE)).collect();
        let Some(found) = pin!(asked.filter_map(std::future::ready)).next().await else { return false };
        self.primary.store(found, Ordering::Relaxed);
        let primary = self.primary();
        tracing::warn!(
            server.address = primary.get_host(),
            server.port = primary.get_port(),
            "the database is written to on another host from now on"
        );
        pool.set_connect_options(primary);
        self.outdate();
        true
    }

    /// The host, if it says that it takes writes.
    async fn answers(&self, host: usize, patience: Duration) -> Option<usize> {
        let asked = async { takes_writes(&mut self.all.get(host)?.connect().await.ok()?).await.ok() };
        matches!(tokio::time::timeout(patience, asked).await, Ok(Some(true))).then_some(host)
    }
}

/// Whether rows can be written there: not on a standby, nor where somebody made the database read-only.
pub(super) async fn takes_writes(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT current_setting('transaction_read_only') = 'off'").fetch_one(connection).await
}

/// Looks for the primary whenever there is doubt; ends when it is dropped.
#[derive(Debug)]
pub(super) struct Seeker(Option<AbortHandle>);

impl Seeker {
    /// Must be called within a Tokio runtime, as a pool must.
    pub(super) fn start(hosts: &Arc<Hosts>, pool: &PgPool) -> Self {
        if !hosts.are_several() {
            return Self(None);
        }
        let (hosts, pool) = (Arc::clone(hosts), pool.clone());
        let seeking = tokio::spawn(async move {
            loop {
                hosts.doubted.notified().await;
                while !hosts.seek(&pool).await {
                    tokio::time::sleep(PAUSE).await;
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self(Some(seeking.abort_handle()))
    }
}

impl Drop for Seeker {
    fn drop(&mut self) {
        if let Some(seeking) = &self.0 {
            seeking.abort();
        }
    }
}
