//! Changes that Postgres announces (`LISTEN`/`NOTIFY`), by the triggers of the migration `announce_changes`.
//!
//! An announcement is delivered after its change can be read. While the connection is lost, announcements are too: whoever
//! listens must take everything for changed when it listens again.

use std::time::Duration;

use serde::Deserialize;
use sqlx::Executor;
use sqlx::postgres::{PgListener, PgPoolOptions};

use crate::domain::ids::TenantId;

use super::{Store, StoreError};

const CHANNEL: &str = "presign_gateway_changes";
/// How long to wait in silence before asking whether the connection is still there.
const SILENCE: Duration = Duration::from_secs(5);
/// How long connecting, or an answer to that question, may take.
const PATIENCE: Duration = Duration::from_secs(2);

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
pub struct Announcements(PgListener);

impl Announcements {
    /// Begins to listen, on a connection of its own.
    ///
    /// # Errors
    /// The database is away.
    pub async fn open(store: &Store) -> Result<Self, StoreError> {
        let options = store.pool.connect_options().as_ref().clone();
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(PATIENCE).connect_lazy_with(options);
        let listen = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            // Whoever listens must know that the connection was lost: see above.
            listener.eager_reconnect(false);
            listener.listen(CHANNEL).await?;
            Ok(Self(listener))
        };
        tokio::time::timeout(PATIENCE, listen).await.map_err(|_| StoreError::TimedOut)?
    }

    /// Waits for the next change; `None` for an announcement that this version does not know, which may be anything.
    ///
    /// # Errors
    /// The connection is lost, and what was announced meanwhile with it.
    pub async fn next(&mut self) -> Result<Option<Announced>, StoreError> {
        loop {
            let Ok(received) = tokio::time::timeout(SILENCE, self.0.try_recv()).await else {
                self.check().await?;
                continue;
            };
            let announcement = received?.ok_or(StoreError::Disconnected)?;
            return Ok(serde_json::from_str(announcement.payload()).ok());
        }
    }

    /// Asks the server anything: a connection that died without a word is found out.
    async fn check(&mut self) -> Result<(), StoreError> {
        let asked = tokio::time::timeout(PATIENCE, self.0.execute("SELECT 1")).await;
        asked.map_err(|_| StoreError::TimedOut)??;
        Ok(())
    }
}
