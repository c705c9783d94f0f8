//! The composition root: builds every part from the configuration, opens the listeners, drains on shutdown.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

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
use crate::http::server::{ServerOptions, serve};
use crate::http::state::{Edge, Gateway, HttpTelemetry};
use crate::http::{ops_service, public_service};
use crate::jobs::invalidation::{self, Listening};
use crate::jobs::maintenance::{self, MaintenanceOptions};
use crate::jobs::sweeper::{Sweeper, SweeperOptions};
use crate::rate_limit::Limits;
use crate::readiness::Readiness;
use crate::store::change_feed::ChangeFeed;
use crate::store::{MigrateError, Store, StoreError, StoreOptions};
use crate::telemetry::Signals;
use crate::telemetry::error_chain::chain;
use crate::telemetry::metrics::Metrics;
use crate::uploads::export::ExportSlots;
use crate::uploads::recorder::{Recorder, RecorderOptions};
use crate::uploads::{BatchWriter, KnownBuckets, Uploads};

mod gauges;

/// Connections of the operators' listener; it has few users.
const OPS_CONNECTIONS: usize = 256;
/// How long its last requests may take, once all else has stopped.
const OPS_DRAIN_TIMEOUT: Duration = Duration::from_millis(500);
/// How long the sweeper may take to stop, once all requests are answered.
const SWEEPER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long connections to the database may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("no database is named: set DATABASE_URL=postgres://USER:PASSWORD@HOST/DATABASE")]
    NoDatabase,
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    #[error("database.url cannot be used")]
    Database(#[source] StoreError),
    #[error("cannot listen on {address} ({setting})")]
    Listen {
        address: SocketAddr,
        setting: &'static str,
        #[source]
        source: io::Error,
    },
}

/// A gateway that listens, and is about to serve.
pub struct App {
    pub gateway: Arc<Gateway>,
    stores: [Store; 2],
    announcements: Result<ChangeFeed, StoreError>,
    public: TcpListener,
    ops: TcpListener,
    timing: Timing,
}

#[derive(Clone, Copy)]
struct Timing {
    last_used_flush: Duration,
    /// While changes cannot be heard.
    stale_after: Duration,
    upkeep: MaintenanceOptions,
    shutdown_delay: Duration,
    public: ServerOptions,
}

/// Says whether a database is named in a way that can be used, without asking it.
///
/// # Errors
/// No database is named, or its URL does not parse.
pub fn check_database(config: &Config) -> Result<(), StartError> {
    if !config.database.is_set() {
        return Err(StartError::NoDatabase);
    }
    Store::check_url(&config.database.url).map_err(StartError::Database)
}

/// Makes the general pool. Where the database is on several hosts, they are asked at once which one takes writes.
///
/// # Errors
/// As [`check_database`].
pub fn open_store(config: &Config) -> Result<Store, StartError> {
    check_database(config)?;
    let acquire_timeout = config.database.acquire_timeout_ms.as_milliseconds();
    let max_connections = connections(config.database.max_connections.get());
    let read_timeout = config.database.read_timeout_ms.as_milliseconds();
    let options = StoreOptions { url: config.database.url.clone(), max_connections, acquire_timeout, read_timeout };
    Store::new(&options).map_err(StartError::Database)
}

/// The two pools of a gateway, their statements counted.
fn open_pools(config: &Config, metrics: &Metrics) -> Result<[Store; 2], StartError> {
    let general = open_store(config)?.counted(metrics.database());
    let recorder = general.apart(connections(config.uploads.recorder_writers.get()));
    Ok([general, recorder])
}

fn connections(most: u64) -> u32 {
    u32::try_from(most).unwrap_or(u32::MAX)
}

/// Brings the tables up to date, and makes the ledger's partitions of the months ahead.
///
/// # Errors
/// The database is away, its schema is of a newer version, or the role may not.
pub async fn migrate(store: &Store, clock: &Clock) -> Result<(), MigrateError> {
    store.migrate().await?;
    if let Err(error) = maintenance::ensure_partitions(store, clock.now()).await {
        tracing::warn!(cause = %chain(&error), "partitions of uploads not made yet");
    }
    Ok(())
}

impl App {
    /// Builds every part and opens both listeners. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn build(
        config: &Config,
        signals: Signals,
        clock: Clock,
        randomness: Randomness,
    ) -> Result<Self, StartError> {
        let keyring = Arc::new(Keyring::new(&config.vault.keys)?);
        let metrics = signals.metrics.clone();
        let [store, recorder_store] = open_pools(config, &metrics)?;
        let public = listen(config.server.listen, "server.listen").await?;
        let ops = listen(config.server.ops_listen, "server.ops_listen").await?;

        let vault_age = invalidation::max_age(config.vault.cache_seconds.as_seconds());
        let outbound = Egress::new(config.outbound.allowed_hosts.clone());
        let tenants = Admin {
            store: store.clone(),
            clock: clock.clone(),
            randomness: randomness.clone(),
            outbound: outbound.clone(),
            actor: Actor { name: "server".to_owned(), origin: None },
        };
        let readiness = Readiness::new(store.clone(), Arc::clone(&keyring), clock.clone());
        let bucket_timeout = config.uploads.bucket_timeout_ms.as_milliseconds();
        let buckets = BucketConnections::new(outbound.clone(), bucket_timeout, metrics.bucket());
        let vault_entries = config.vault.cache_entries.get();
        let credentials =
            Arc::new(CredentialCache::new(store.clone(), Arc::clone(&keyring), vault_entries, vault_age, &metrics));
        let upload_metrics = Arc::new(metrics.uploads());
        let sweeper = Sweeper::new(
            store.clone(),
            Arc::clone(&credentials),
            buckets.clone(),
            clock.clone(),
            // Not the one that tests choose: when a round begins must not change what is issued.
            Randomness::System,
            sweeper_options(config),
            (metrics.sweeper(), Arc::clone(&upload_metrics)),
        );
        let gateway = Gateway {
            auth: Auth::new(
                store.clone(),
                Arc::clone(&keyring),
                clock.clone(),
                cache_bounds(config),
                jwks(config, &outbound, &metrics),
                &metrics,
            ),
            limits: limits(config, &metrics),
            uploads: Uploads {
                store: store.clone(),
                credentials,
                recorder: Recorder::start(&recorder_store, recorder_options(config), metrics.recorder()),
                batch_writer: batch_writer(config),
                clock,
                randomness,
                exports: ExportSlots::new(config.uploads.max_exports.count()),
                buckets,
                known_buckets: KnownBuckets::default(),
                metrics: upload_metrics,
            },
            sweeper: Arc::new(sweeper),
            tenants,
            readiness,
            keyring,
            listening: Listening::default(),
            edge: edge(config),
            telemetry: HttpTelemetry::new(signals, config.telemetry.request_lines_per_second.get()),
        };
        // A database that is away is no reason not to start; upkeep tries again.
        if let Err(error) = maintenance::ensure_partitions(&store, gateway.uploads.clock.now()).await {
            tracing::warn!(cause = %chain(&error), "partitions of uploads not made yet");
        }
        // Before the first request: from then on no change goes unheard.
        let announcements = ChangeFeed::open(&store).await;
        let gateway = Arc::new(gateway);
        let stores = [store, recorder_store];
        gauges::register(&gateway, &stores);
        Ok(Self { gateway, stores, announcements, public, ops, timing: timing(config) })
    }

    /// Where the public listener listens.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn public_address(&self) -> io::Result<SocketAddr> {
        self.public.local_addr()
    }

    /// Where the operators' listener listens.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn ops_address(&self) -> io::Result<SocketAddr> {
        self.ops.local_addr()
    }

    /// Serves until `shutdown` completes; then takes no new connections, finishes the requests under way, and writes
    /// every row that was accepted.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) {
        let Self { gateway, stores, announcements, public, ops, timing } = self;
        // The operators' listener stays until the very end, so that /readyz can say what goes on.
        let connections = |listener| gateway.telemetry.signals.metrics.connections(listener);
        let (stop_ops, ops_stopped) = watch::channel(());
        let ops_options =
            ServerOptions { max_connections: OPS_CONNECTIONS, drain_timeout: OPS_DRAIN_TIMEOUT, ..timing.public };
        let ops = tokio::spawn(serve(
            ops,
            ops_service(&gateway),
            ops_options,
            connections("ops"),
            closed(ops_stopped.clone()),
        ));
        let flusher = tokio::spawn(flush_last_used(Arc::clone(&gateway), timing.last_used_flush, closed(ops_stopped)));

        let follower =
            tokio::spawn(follow_changes(Arc::clone(&gateway), stores[0].clone(), announcements, timing.stale_after));
        let (stop_sweeping, sweeping_stopped) = watch::channel(());
        let sweeper = tokio::spawn(Arc::clone(&gateway.sweeper).run(sweeping_stopped));

        let upkeep = tokio::spawn(maintenance::run(stores[0].clone(), gateway.uploads.clock.clone(), timing.upkeep));

        let readiness = Arc::clone(&gateway);
        let drain = async move {
            shutdown.await;
            readiness.readiness.start_draining();
            // Whoever asks /readyz is to notice before anybody is sent away.
            tokio::time::sleep(timing.shutdown_delay).await;
            drop(stop_sweeping);
            tracing::info!("shutting down: finishing requests under way");
        };
        serve(public, public_service(&gateway), timing.public, connections("public"), drain).await;
        gateway.uploads.recorder.drain().await;
        // It gives up at once what it has not finished; only a database that hangs can hold it up.
        if tokio::time::timeout(SWEEPER_TIMEOUT, sweeper).await.is_err() {
            tracing::warn!("the sweeper did not stop in time: what it had claimed is due again later");
        }
        drop(stop_ops);
        let _ = tokio::join!(ops, flusher);
        follower.abort();
        upkeep.abort();
        let close = async {
            for store in stores {
                store.close().await;
            }
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, close).await;
        tracing::info!("stopped");
    }
}

/// Completes when the other end is dropped.
async fn closed(mut receiver: watch::Receiver<()>) {
    while receiver.changed().await.is_ok() {}
}

async fn follow_changes(
    gateway: Arc<Gateway>,
    store: Store,
    first: Result<ChangeFeed, StoreError>,
    stale_after: Duration,
) {
    invalidation::follow(&store, first, &gateway.auth, &gateway.uploads.credentials, &gateway.listening, stale_after)
        .await;
}

async fn flush_last_used(gateway: Arc<Gateway>, every: Duration, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    loop {
        let stopping = tokio::select! {
            () = tokio::time::sleep(every) => false,
            () = &mut stop => true,
        };
        if let Err(error) = gateway.auth.flush_last_used().await {
            tracing::warn!(cause = %chain(&error), "last uses of API keys not written yet");
        }
        if stopping {
            return;
        }
    }
}

async fn listen(address: SocketAddr, setting: &'static str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, setting, source })
}

fn cache_bounds(config: &Config) -> CacheBounds {
    CacheBounds {
        max_entries: config.auth.cache_entries.get(),
        max_age: invalidation::max_age(config.auth.cache_seconds.as_seconds()),
        max_tokens: config.auth.cache_tokens.get(),
    }
}

fn jwks(config: &Config, outbound: &Egress, metrics: &Metrics) -> Jwks {
    let timing = JwksTiming {
        refresh: config.auth.jwks_refresh_seconds.as_seconds(),
        cooldown: config.auth.jwks_cooldown_seconds.as_seconds(),
        stale: config.auth.jwks_stale_seconds.as_seconds(),
    };
    Jwks::new(outbound.clone(), timing, metrics.jwks())
}

fn limits(config: &Config, metrics: &Metrics) -> Limits {
    let anonymous = RateLimit { per_second: config.oss.anonymous_per_second, burst: config.oss.anonymous_burst };
    let strangers = RateLimit { per_second: config.auth.failures_per_second, burst: config.auth.failures_burst };
    Limits::new(anonymous, strangers, config.limits.max_addresses.count(), metrics.limiter())
}

fn recorder_options(config: &Config) -> RecorderOptions {
    RecorderOptions {
        queue: config.uploads.recorder_queue.count(),
        writers: config.uploads.recorder_writers.count(),
        max_batch: config.uploads.recorder_max_batch.count(),
        commit_timeout: config.uploads.commit_timeout_ms.as_milliseconds(),
    }
}

fn sweeper_options(config: &Config) -> SweeperOptions {
    SweeperOptions {
        every: config.uploads.sweep_seconds.as_seconds(),
        concurrency: config.uploads.sweep_concurrency.count(),
        per_second: u32::try_from(config.uploads.sweep_per_second.get()).unwrap_or(u32::MAX),
        lease: config.uploads.sweep_lease_seconds.as_seconds(),
    }
}

/// Half of the connections are left to those who read.
fn batch_writer(config: &Config) -> BatchWriter {
    let under_way = (config.database.max_connections.count() / 2).max(1);
    BatchWriter::new(
        config.uploads.recorder_queue.count(),
        under_way,
        config.uploads.commit_timeout_ms.as_milliseconds(),
    )
}

fn edge(config: &Config) -> Edge {
    Edge {
        anonymous_tenant: config.oss.anonymous_tenant.clone(),
        trusted_proxies: config.server.trusted_proxies.clone(),
        cors_origins: config.server.cors_origins.clone(),
        default_language: config.server.default_language,
        request_timeout: config.server.request_timeout_seconds.as_seconds(),
        export_timeout: config.uploads.export_timeout_seconds.as_seconds(),
        max_query_bytes: config.server.max_query_bytes.count(),
        max_body_bytes: config.server.max_body_bytes.count(),
        allowed_hosts: config.outbound.allowed_hosts.clone(),
    }
}

fn timing(config: &Config) -> Timing {
    Timing {
        last_used_flush: config.auth.last_used_flush_seconds.as_seconds(),
        stale_after: config.auth.cache_seconds.as_seconds().min(config.vault.cache_seconds.as_seconds()),
        upkeep: MaintenanceOptions {
            fold_every: config.uploads.usage_fold_seconds.as_seconds(),
            retention_months: u32::try_from(config.uploads.retention_months.get()).unwrap_or(0),
        },
        shutdown_delay: config.server.shutdown_delay_seconds.as_seconds(),
        public: ServerOptions {
            max_connections: config.server.max_connections.count(),
            header_timeout: config.server.header_timeout_seconds.as_seconds(),
            max_header_bytes: config.server.max_header_bytes.count(),
            drain_timeout: config.server.shutdown_timeout_seconds.as_seconds(),
        },
    }
}
