//! The writer of the hot path: writes batch after batch on a connection that it keeps meanwhile.

use std::time::{Duration, Instant};

use sqlx::Postgres;
use sqlx::pool::PoolConnection;

use crate::domain::upload::NewUpload;

use super::insert::insert;
use crate::store::{Store, StoreError};

/// How long a connection is kept. Then the pool checks its age, that it is alive, and that it leads
/// to the primary.
pub const KEPT_FOR: Duration = Duration::from_secs(1);

/// Writes batches into the ledger. Returning a connection to the pool and taking it again costs a
/// round trip to Postgres, a tenth of a batch, so the writer keeps it between batches.
#[derive(Debug)]
pub struct Appender {
    store: Store,
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    connection: PoolConnection<Postgres>,
    since: Instant,
}

impl Appender {
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store, kept: None }
    }

    /// Returns the connection to the pool; the next batch takes another one.
    pub fn rest(&mut self) {
        self.kept = None;
    }

    /// Records uploads of any tenants in one statement and one commit: all of them, or none.
    ///
    /// # Errors
    /// [`StoreError::RowRefused`] or [`StoreError::Taken`] when one of the rows is at fault; [`StoreError::Conflict`] when the same
    /// again may succeed; [`StoreError::TimedOut`] after `commit_timeout`, when nobody knows whether the rows were committed.
    pub async fn append_any_tenant(
        &mut self,
        uploads: &[&NewUpload],
        commit_timeout: Duration,
    ) -> Result<(), StoreError> {
        let Self { store, kept } = self;
        store.measured(("INSERT", "uploads"), append(store, kept, uploads, commit_timeout)).await
    }
}

/// Leaves a connection behind that may be used again, or none.
async fn append(
    store: &Store,
    kept: &mut Option<Kept>,
    uploads: &[&NewUpload],
    commit_timeout: Duration,
) -> Result<(), StoreError> {
    let mut using = match kept.take().filter(|kept| kept.is_fit(store)) {
        Some(kept) => kept,
        None => Kept { since: Instant::now(), connection: store.pool.acquire().await? },
    };
    let Ok(inserted) = tokio::time::timeout(commit_timeout, insert(&mut using.connection, uploads)).await else {
        // The connection still waits for its answer: it must not serve anybody else.
        drop(using.connection.detach());
        return Err(StoreError::TimedOut);
    };
    // After an error it is for the pool to tell whether it still serves.
    *kept = inserted.is_ok().then_some(using);
    inserted
}

impl Kept {
    fn is_fit(&self, store: &Store) -> bool {
        let held = self.since.elapsed();
        held < KEPT_FOR && store.hosts.is_current(held)
    }
}
