//! Decides whether this instance should receive requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::TimeDelta;

use crate::buckets::credentials;
use crate::crypto::keyring::Keyring;
use crate::domain::clock::Clock;
use crate::store::{Store, StoreError, keyring, partitions};
use crate::telemetry::error_chain::chain;

/// The parts that readiness depends on.
#[derive(Debug)]
pub struct Readiness {
    store: Store,
    keyring: Arc<Keyring>,
    clock: Clock,
    draining: AtomicBool,
}

impl Readiness {
    #[must_use]
    pub const fn new(store: Store, keyring: Arc<Keyring>, clock: Clock) -> Self {
        Self { store, keyring, clock, draining: AtomicBool::new(false) }
    }

    /// Stops accepting new requests.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Returns a fault that would make every upload fail, if there is one.
    pub async fn fault(&self) -> Option<&'static str> {
        if self.draining.load(Ordering::Relaxed) {
            return Some("shutting down");
        }
        match self.check().await {
            Ok(fault) => fault,
            Err(StoreError::NotMigrated(_)) => Some(NOT_MIGRATED),
            Err(error) => {
                tracing::warn!(cause = %chain(&error), "not ready: the database does not answer");
                Some("the database does not answer")
            }
        }
    }

    async fn check(&self) -> Result<Option<&'static str>, StoreError> {
        if !self.store.is_migrated().await? {
            return Ok(Some(NOT_MIGRATED));
        }
        if !self.store.is_writable().await? {
            return Ok(Some("the database is read-only"));
        }
        let now = self.clock.now();
        for moment in [now, now + PARTITION_WARNING] {
            if !partitions::exists_for_any_tenant(&self.store, moment).await? {
                return Ok(Some(NO_PARTITION));
            }
        }
        self.look_at_secrets().await
    }

    /// Opens real secrets, because a wrong sealing key can have the right id. One that opens is
    /// enough, because a single broken row concerns one tenant. A few are cheap enough for every
    /// probe.
    async fn look_at_secrets(&self) -> Result<Option<&'static str>, StoreError> {
        let key_ids: Vec<String> = self.keyring.key_ids().map(str::to_owned).collect();
        let secrets = keyring::sample_any_tenant(&self.store, &key_ids).await?;
        if secrets.is_empty() {
            return Ok(keyring::is_any_bucket_any_tenant(&self.store).await?.then_some(UNKNOWN_KEY));
        }
        let some_open = secrets.iter().any(|secret| credentials::opens(&self.keyring, secret));
        Ok((!some_open).then_some(NAMESAKE))
    }
}

const UNKNOWN_KEY: &str = "vault.keys has none of the keys that secrets in the database are sealed under";
const NAMESAKE: &str = "no secret in the database can be decrypted: vault.keys has another key with the same id";

/// How far in advance a missing partition is reported.
const PARTITION_WARNING: TimeDelta = TimeDelta::days(3);
const NO_PARTITION: &str =
    "the ledger has no partition for the next days: the log says why, or run `presign-gateway migrate`";
const NOT_MIGRATED: &str = "the database schema is older than this version: run `presign-gateway migrate`";
