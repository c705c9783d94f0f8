//! Whether this process should be sent requests.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::store::{Store, StoreError};

/// Knows what readiness depends on.
#[derive(Debug)]
pub struct Health {
    store: Store,
    draining: AtomicBool,
}

impl Health {
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store, draining: AtomicBool::new(false) }
    }

    /// From now on no new requests are wanted.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// What is wrong, if anything.
    pub async fn fault(&self) -> Option<&'static str> {
        if self.draining.load(Ordering::Relaxed) {
            return Some("shutting down");
        }
        match self.store.is_migrated().await {
            Ok(true) => None,
            Ok(false) | Err(StoreError::NotMigrated(_)) => {
                Some("the database schema is older than this version: run `presign-gateway migrate`")
            }
            Err(_) => Some("the database does not answer"),
        }
    }
}
