//! Wires the parts of the gateway from the configuration, for the server, the command line and the embedded stack alike.

use std::sync::Arc;
use std::time::Duration;

use crate::admin::{Actor, Admin};
use crate::auth::jwks::{Jwks, JwksTiming};
use crate::auth::{Auth, CacheBounds};
use crate::buckets::BucketConnections;
use crate::buckets::credentials::CredentialCache;
use crate::config::Config;
use crate::crypto::keyring::{Keyring, KeyringError};
use crate::domain::clock::Clock;
use crate::domain::randomness::Randomness;
use crate::domain::tenant::RateLimit;
use crate::egress::Egress;
use crate::http::state::{Edge, Gateway, HttpTelemetry};
use crate::jobs::JobParts;
use crate::jobs::invalidation::{self, Listening};
use crate::jobs::sweeper::{Sweeper, SweeperOptions};
use crate::rate_limit::Limits;
use crate::readiness::Readiness;
use crate::store::{Store, StoreOptions};
use crate::telemetry::Signals;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::uploads::UploadMetrics;
use crate::uploads::export::ExportSlots;
use crate::uploads::list::UploadReader;
use crate::uploads::recorder::{Recorder, RecorderOptions};
use crate::uploads::verify::Verifier;
use crate::uploads::{BatchWriter, UploadParts, Uploads};

use super::StartError;

/// What every process needs, and the constructors of what only some need.
pub struct Services<'a> {
    config: &'a Config,
    metrics: Metrics,
    clock: Clock,
    randomness: Randomness,
    egress: Egress,
    /// The general pool. It connects when it is first used.
    pub store: Store,
}

/// Checks that the configuration names a usable database, without connecting to it.
///
/// # Errors
/// No database is named, or its URL does not parse.
pub fn check_database(config: &Config) -> Result<(), StartError> {
    if !config.database.is_set() {
        return Err(StartError::NoDatabase);
    }
    Store::check_url(&config.database.url).map_err(StartError::Database)
}

/// Opens the general pool. If the URL names several hosts, it starts to probe which one takes writes.
///
/// # Errors
/// As [`check_database`].
pub fn open_store(config: &Config) -> Result<Store, StartError> {
    check_database(config)?;
    Store::new(&StoreOptions::from(&config.database)).map_err(StartError::Database)
}

impl<'a> Services<'a> {
    /// # Errors
    /// As [`check_database`].
    pub fn new(
        config: &'a Config,
        clock: Clock,
        randomness: Randomness,
        metrics: &Metrics,
    ) -> Result<Self, StartError> {
        let store = open_store(config)?.counted(metrics.database());
        let egress = Egress::new(config.outbound.allowed_hosts.clone());
        Ok(Self { config, metrics: metrics.clone(), clock, randomness, egress, store })
    }

    /// For a command, which counts nothing.
    ///
    /// # Errors
    /// As [`check_database`].
    pub fn for_command(config: &'a Config) -> Result<Self, StartError> {
        Self::new(config, Clock::System, Randomness::System, &Metrics::off())
    }

    /// # Errors
    /// No sealing key is configured. Only what touches secrets needs one.
    pub fn keyring(&self) -> Result<Keyring, KeyringError> {
        Keyring::new(&self.config.vault.keys)
    }

    /// The operators' use cases, audited in the actor's name.
    #[must_use]
    pub fn admin(&self, actor: Actor) -> Admin {
        let (clock, randomness) = (self.clock.clone(), self.randomness.clone());
        Admin::new(self.store.clone(), clock, randomness, self.egress.clone(), actor)
    }

    /// Reads uploads without a keyring.
    #[must_use]
    pub fn upload_reader(&self) -> UploadReader {
        UploadReader::new(self.store.clone(), self.clock.clone())
    }

    /// Verifies uploads in their buckets, for a command. Nothing invalidates its cache, so entries expire by age alone.
    ///
    /// # Errors
    /// As [`Services::keyring`].
    pub fn verifier(&self) -> Result<Verifier, KeyringError> {
        let max_age = self.config.vault.cache_seconds.as_seconds();
        let credentials = self.credentials(&Arc::new(self.keyring()?), max_age);
        Ok(Verifier::new(self.store.clone(), credentials, self.buckets(), self.clock.clone()))
    }

    /// A pool of its own for the recorder, so that readers cannot use up its connections.
    pub(super) fn recorder_store(&self) -> Store {
        self.store.apart(self.config.uploads.recorder_writers.as_u32())
    }

    /// Everything behind the routes, and the parts of it that the background jobs work on.
    pub(super) fn gateway(&self, keyring: Keyring, recorder_store: &Store, signals: Signals) -> (Gateway, JobParts) {
        let keyring = Arc::new(keyring);
        let vault_age = invalidation::max_age(self.config.vault.cache_seconds.as_seconds());
        let credentials = self.credentials(&keyring, vault_age);
        let (buckets, upload_metrics) = (self.buckets(), Arc::new(self.metrics.uploads()));
        let parts = JobParts {
            store: self.store.clone(),
            clock: self.clock.clone(),
            auth: Arc::new(self.auth(&keyring)),
            credentials: Arc::clone(&credentials),
            listening: Arc::new(Listening::default()),
            sweeper: Arc::new(self.sweeper(&credentials, &buckets, &upload_metrics)),
        };
        let gateway = Gateway {
            auth: Arc::clone(&parts.auth),
            limits: self.limits(),
            uploads: self.uploads(recorder_store, credentials, buckets, upload_metrics),
            sweeper: Arc::clone(&parts.sweeper),
            tenants: self.admin(Actor { name: "server".to_owned(), origin: None }),
            readiness: Readiness::new(self.store.clone(), Arc::clone(&keyring), self.clock.clone()),
            keyring,
            listening: Arc::clone(&parts.listening),
            edge: Edge::from(self.config),
            telemetry: HttpTelemetry::new(signals, self.config.telemetry.request_lines_per_second.get()),
        };
        (gateway, parts)
    }

    fn credentials(&self, keyring: &Arc<Keyring>, max_age: Duration) -> Arc<CredentialCache> {
        let max_entries = self.config.vault.cache_entries.get();
        let (store, keyring) = (self.store.clone(), Arc::clone(keyring));
        Arc::new(CredentialCache::new(store, keyring, max_entries, max_age, &self.metrics))
    }

    fn buckets(&self) -> BucketConnections {
        let timeout = self.config.uploads.bucket_timeout_ms.as_milliseconds();
        BucketConnections::new(self.egress.clone(), timeout, self.metrics.bucket())
    }

    fn auth(&self, keyring: &Arc<Keyring>) -> Auth {
        let config = &self.config.auth;
        let bounds = CacheBounds::new(config, invalidation::max_age(config.cache_seconds.as_seconds()));
        let jwks = Jwks::new(self.egress.clone(), JwksTiming::from(config), self.metrics.jwks());
        Auth::new(self.store.clone(), Arc::clone(keyring), self.clock.clone(), bounds, jwks, &self.metrics)
    }

    fn limits(&self) -> Limits {
        let Config { oss, auth, limits, .. } = self.config;
        let anonymous = RateLimit { per_second: oss.anonymous_per_second, burst: oss.anonymous_burst };
        let strangers = RateLimit { per_second: auth.failures_per_second, burst: auth.failures_burst };
        Limits::new(anonymous, strangers, limits.max_addresses.count(), self.metrics.limiter())
    }

    fn uploads(
        &self,
        recorder_store: &Store,
        credentials: Arc<CredentialCache>,
        buckets: BucketConnections,
        metrics: Arc<UploadMetrics>,
    ) -> Uploads {
        let config = &self.config.uploads;
        // Half of the connections are left to readers.
        let max_commits = (self.config.database.max_connections.count() / 2).max(1);
        let commit_timeout = config.commit_timeout_ms.as_milliseconds();
        Uploads::new(UploadParts {
            store: self.store.clone(),
            credentials,
            recorder: Recorder::start(recorder_store, RecorderOptions::from(config), self.metrics.recorder()),
            batch_writer: BatchWriter::new(config.recorder_queue.count(), max_commits, commit_timeout),
            clock: self.clock.clone(),
            randomness: self.randomness.clone(),
            exports: ExportSlots::new(config.max_exports.count()),
            buckets,
            metrics,
        })
    }

    fn sweeper(
        &self,
        credentials: &Arc<CredentialCache>,
        buckets: &BucketConnections,
        upload_metrics: &Arc<UploadMetrics>,
    ) -> Sweeper {
        Sweeper::new(
            self.store.clone(),
            Arc::clone(credentials),
            buckets.clone(),
            self.clock.clone(),
            // Not the randomness that tests choose: the time of a round must not change what is issued.
            Randomness::System,
            SweeperOptions::from(&self.config.uploads),
            (self.metrics.sweeper(), Arc::clone(upload_metrics)),
        )
    }
}
