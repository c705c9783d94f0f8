//! Changes that Postgres announces (`LISTEN`/`NOTIFY`), by the triggers of the migration `announce_changes`.
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
const SILENCE: Duration = Duration::from_secs(5);
/// How long connecting, or an answer to that question, may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an echo may take: this process may be busy.
const LONGEST_ECHO: Duration = Duration::from_secs(5);
/// How long nothing need be heard while nothing can be said.
const LONGEST_DOUBT: Duration = Duration::from_secs(30);
/// Announcements that are kept while waiting for an echo.
const MOST_HEARD: usize = 10_000;

/// A row that changed, by the names under which instances remember it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "table", rename_all = "snake_case")]
pub enum Announced {
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
pub struct Announcements {
    listener: PgListener,
    store: Store,
    /// Heard while waiting for an echo.
    heard: VecDeque<PgNotification>,
    /// When the last echo was heard.
    heard_at: Instant,
}

impl Announcements {
    /// Begins to listen, on a connection of its own.
    ///
    /// # Errors
    /// The database is away, or lets nothing be heard.
    pub async fn open(store: &Store) -> Result<Self, StoreError> {
        // What is lost with the connection to a host that is no more is found out here first, where nobody asks for anything.
        Self::try_open(store).await.inspect_err(|error| store.hosts.doubt_at(error))
    }

    async fn try_open(store: &Store) -> Result<Self, StoreError> {
        tokio::time::timeout(PATIENCE, store.hosts.are_known()).await.map_err(|_| StoreError::TimedOut)?;
        let options = store.hosts.options();
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(PATIENCE).connect_lazy_with(options);
        let listen = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            // Whoever listens must know that the connection was lost: see above.
            listener.eager_reconnect(false);
            listener.listen_all([CHANNEL, ECHOES]).await?;
            Ok::<_, StoreError>(listener)
        };
        let listener = tokio::time::timeout(PATIENCE, listen).await.map_err(|_| StoreError::TimedOut)??;
        let heard_at = Instant::now();
        let mut announcements = Self { listener, store: store.clone(), heard: VecDeque::new(), heard_at };
        if !announcements.hears_itself().await? {
            return Err(StoreError::Unheard);
        }
        Ok(announcements)
    }

    /// Waits for the next change; `None` for an announcement that this version does not know, which may be anything.
    ///
    /// # Errors
    /// The connection is lost, and what was announced meanwhile with it; or nothing can be heard.
    pub async fn next(&mut self) -> Result<Option<Announced>, StoreError> {
        loop {
            let announcement = if let Some(heard) = self.heard.pop_front() {
                heard
            } else if let Ok(received) = tokio::time::timeout(SILENCE, self.listener.try_recv()).await {
                received?.ok_or(StoreError::Disconnected)?
            } else {
                self.check().await?;
                continue;
            };
            if announcement.channel() == CHANNEL {
                return Ok(serde_json::from_str(announcement.payload()).ok());
            }
        }
    }

    async fn check(&mut self) -> Result<(), StoreError> {
        if self.hears_itself().await? {
            self.heard_at = Instant::now();
            return Ok(());
        }
        // All other connections are in use, or gone: for a while it is enough that this one is there.
        if self.heard_at.elapsed() > LONGEST_DOUBT {
            return Err(StoreError::Unheard);
        }
        let asked = tokio::time::timeout(PATIENCE, self.listener.execute("SELECT 1")).await;
        asked.map_err(|_| StoreError::TimedOut)??;
        Ok(())
    }

    /// Says something on another connection, and listens for it. So a connection that died without a word is found out, and a
    /// pool in between that passes no announcements on. `false` where nothing could be said.
    async fn hears_itself(&mut self) -> Result<bool, StoreError> {
        let word = Uuid::from_bytes(Randomness::System.bytes()).to_string();
        let say = sqlx::query("SELECT pg_notify($1, $2)").bind(ECHOES).bind(&word).execute(&self.store.pool);
        if !matches!(tokio::time::timeout(PATIENCE, say).await, Ok(Ok(_))) {
            return Ok(false);
        }
        tokio::time::timeout(LONGEST_ECHO, self.hear(&word)).await.map_err(|_| StoreError::Unheard)??;
        Ok(true)
    }

    async fn hear(&mut self, word: &str) -> Result<(), StoreError> {
        loop {
            let announcement = self.listener.try_recv().await?.ok_or(StoreError::Disconnected)?;
            if announcement.channel() == ECHOES && announcement.payload() == word {
                return Ok(());
            }
            if announcement.channel() == CHANNEL {
                // So many changes at once are as good as none heard: then everything is read anew.
                if self.heard.len() >= MOST_HEARD {
                    return Err(StoreError::Unheard);
                }
                self.heard.push_back(announcement);
            }
        }
    }
}
