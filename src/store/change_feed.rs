//! Changes that Postgres announces (`LISTEN`/`NOTIFY`), by the triggers of the migration `notify_changes`.
//!
//! An announcement is delivered after its change can be read. While the connection is lost, announcements are too: whoever
//! listens must take everything for changed when it listens again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::Deserialize;
use sqlx::Executor;
use sqlx::postgres::{PgListener, PgNotification, PgPoolOptions};
use uuid::Uuid;

use crate::domain::ids::TenantId;
use crate::domain::randomness::Randomness;

use super::{Store, StoreError};

const CHANNEL: &str = "presign_gateway_changes";
/// On which an instance hears itself, and so knows that it hears others.
const ECHOES: &str = "presign_gateway_echoes";
/// How long to wait in silence before making sure that anything can be heard.
const ECHO_INTERVAL: Duration = Duration::from_secs(5);
/// How long connecting, or an answer to that question, may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an echo may take: this process may be busy.
const ECHO_TIMEOUT: Duration = Duration::from_secs(5);
/// How long nothing need be heard while nothing can be said.
const MAX_SILENCE: Duration = Duration::from_secs(30);
/// Announcements that are kept while waiting for an echo.
const MAX_BUFFERED_CHANGES: usize = 10_000;

/// A row that changed, by the names under which instances remember it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "table", rename_all = "snake_case")]
pub enum ChangedRow {
    Tenants {
        id: TenantId,
        slug: String,
    },
    /// Some bucket of the tenant.
    Buckets {
        tenant_id: TenantId,
    },
    ApiKeys {
        public_id: String,
    },
    JwtIssuers {
        issuer: String,
        audience: String,
    },
}

/// A connection that listens.
pub struct ChangeFeed {
    listener: PgListener,
    store: Store,
    /// Heard while waiting for an echo.
    buffered: VecDeque<PgNotification>,
    /// When the last echo was heard.
    last_echo_at: Instant,
}

impl ChangeFeed {
    /// Begins to listen, on a connection of its own.
    ///
    /// # Errors
    /// The database is away, or lets nothing be heard.
    pub async fn open(store: &Store) -> Result<Self, StoreError> {
        // What is lost with the connection to a host that is no more is found out here first, where nobody asks for anything.
        Self::try_open(store).await.inspect_err(|error| store.hosts.on_error(error))
    }

    async fn try_open(store: &Store) -> Result<Self, StoreError> {
        tokio::time::timeout(CONNECT_TIMEOUT, store.hosts.are_known()).await.map_err(|_| StoreError::TimedOut)?;
        let options = store.hosts.options();
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT_TIMEOUT).connect_lazy_with(options);
        let listen = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            // Whoever listens must know that the connection was lost: see above.
            listener.eager_reconnect(false);
            listener.listen_all([CHANNEL, ECHOES]).await?;
            Ok::<_, StoreError>(listener)
        };
        let listener = tokio::time::timeout(CONNECT_TIMEOUT, listen).await.map_err(|_| StoreError::TimedOut)??;
        let last_echo_at = Instant::now();
        let mut feed = Self { listener, store: store.clone(), buffered: VecDeque::new(), last_echo_at };
        if !feed.receives_echo().await? {
            return Err(StoreError::FeedSilent);
        }
        Ok(feed)
    }

    /// Waits for the next change; `None` for an announcement that this version does not know, which may be anything.
    ///
    /// # Errors
    /// The connection is lost, and what was announced meanwhile with it; or nothing can be heard.
    pub async fn next(&mut self) -> Result<Option<ChangedRow>, StoreError> {
        loop {
            let feed = if let Some(buffered) = self.buffered.pop_front() {
                buffered
            } else if let Ok(received) = tokio::time::timeout(ECHO_INTERVAL, self.listener.try_recv()).await {
                received?.ok_or(StoreError::Disconnected)?
            } else {
                self.check().await?;
                continue;
            };
            if feed.channel() == CHANNEL {
                return Ok(serde_json::from_str(feed.payload()).ok());
            }
        }
    }

    async fn check(&mut self) -> Result<(), StoreError> {
        if self.receives_echo().await? {
            self.last_echo_at = Instant::now();
            return Ok(());
        }
        // All other connections are in use, or gone: for a while it is enough that this one is there.
        if self.last_echo_at.elapsed() > MAX_SILENCE {
            return Err(StoreError::FeedSilent);
        }
        let asked = tokio::time::timeout(CONNECT_TIMEOUT, self.listener.execute("SELECT 1")).await;
        asked.map_err(|_| StoreError::TimedOut)??;
        Ok(())
    }

    /// Says something on another connection, and listens for it. So a connection that died without a word is found out, and a
    /// pool in between that passes no announcements on. `false` where nothing could be said.
    async fn receives_echo(&mut self) -> Result<bool, StoreError> {
        let word = Uuid::from_bytes(Randomness::System.bytes()).to_string();
        let say = sqlx::query("SELECT pg_notify($1, $2)").bind(ECHOES).bind(&word).execute(&self.store.pool);
        if !matches!(tokio::time::timeout(CONNECT_TIMEOUT, say).await, Ok(Ok(_))) {
            return Ok(false);
        }
        tokio::time::timeout(ECHO_TIMEOUT, self.wait_for_echo(&word)).await.map_err(|_| StoreError::FeedSilent)??;
        Ok(true)
    }

    async fn wait_for_echo(&mut self, word: &str) -> Result<(), StoreError> {
        loop {
            let feed = self.listener.try_recv().await?.ok_or(StoreError::Disconnected)?;
            if feed.channel() == ECHOES && feed.payload() == word {
                return Ok(());
            }
            if feed.channel() == CHANNEL {
                // So many changes at once are as good as none heard: then everything is read anew.
                if self.buffered.len() >= MAX_BUFFERED_CHANGES {
                    return Err(StoreError::FeedSilent);
                }
                self.buffered.push_back(feed);
            }
        }
    }
}
