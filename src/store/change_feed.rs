//! The change feed: notifications from Postgres (`LISTEN`/`NOTIFY`), sent by the triggers of the
//! migration `notify_changes`.
//!
//! A notification arrives after its change is visible. While the connection is lost, notifications
//! are lost too, so a listener must treat every row as changed when it reconnects.

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
/// The channel on which an instance notifies itself, to check that notifications arrive.
const ECHOES: &str = "presign_gateway_echoes";
/// How long the feed may be silent before an echo is requested.
const ECHO_INTERVAL: Duration = Duration::from_secs(5);
/// Timeout of connecting and of requesting an echo.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an echo may take; this process may be busy.
const ECHO_TIMEOUT: Duration = Duration::from_secs(5);
/// How long silence is accepted while no echo can be requested.
const MAX_SILENCE: Duration = Duration::from_secs(30);
/// Notifications that are buffered while waiting for an echo.
const MAX_BUFFERED_CHANGES: usize = 10_000;

/// A changed row, identified by the names under which instances cache it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "table", rename_all = "snake_case")]
pub enum ChangedRow {
    Tenants {
        id: TenantId,
        slug: String,
    },
    /// Any bucket of the tenant.
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

/// A connection that receives notifications.
pub struct ChangeFeed {
    listener: PgListener,
    store: Store,
    /// Notifications received while waiting for an echo.
    buffered: VecDeque<PgNotification>,
    /// When the last echo was heard.
    last_echo_at: Instant,
}

impl ChangeFeed {
    /// Starts to listen, on its own connection.
    ///
    /// # Errors
    /// The database is unreachable, or notifications do not arrive.
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

    /// Waits for the next change. Returns `None` for a notification that this version does not
    /// know, which can mean any change.
    ///
    /// # Errors
    /// The connection is lost, with all notifications since, or notifications do not arrive.
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

    /// Sends a notification on another connection and waits for it. This detects a dead connection,
    /// and a pool that does not forward notifications. Returns `false` if nothing could be sent.
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
                // So many changes at once are as good as none heard: then everything is read again.
                if self.buffered.len() >= MAX_BUFFERED_CHANGES {
                    return Err(StoreError::FeedSilent);
                }
                self.buffered.push_back(feed);
            }
        }
    }
}
