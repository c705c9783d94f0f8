//! The process: wires the parts, binds both listeners, and drains on shutdown.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::crypto::keyring::KeyringError;
use crate::domain::clock::Clock;
use crate::domain::randomness::Randomness;
use crate::http::server::{ServerOptions, serve};
use crate::http::state::Gateway;
use crate::http::{ops_service, public_service};
use crate::jobs::{JobOptions, JobParts, Jobs, maintenance};
use crate::store::change_feed::ChangeFeed;
use crate::store::{MigrateError, Store, StoreError};
use crate::telemetry::Signals;
use crate::telemetry::error_chain::chain;

pub use self::services::{Services, check_database, open_store};

mod gauges;
mod services;

/// Connections of the operators' listener; it has few users.
const OPS_CONNECTIONS: usize = 256;
/// How long its last requests may take, once all else has stopped.
const OPS_DRAIN_TIMEOUT: Duration = Duration::from_millis(500);
/// How long connections to the database may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("no database is configured: set DATABASE_URL=postgres://USER:PASSWORD@HOST/DATABASE")]
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
    job_parts: JobParts,
    job_options: JobOptions,
    change_feed: Result<ChangeFeed, StoreError>,
    public: TcpListener,
    ops: TcpListener,
    shutdown_delay: Duration,
    server_options: ServerOptions,
}

/// Brings the tables up to date, and creates the ledger's partitions of the coming months.
///
/// # Errors
/// The database is away, its schema is of a newer version, or the role may not.
pub async fn migrate(store: &Store, clock: &Clock) -> Result<(), MigrateError> {
    store.migrate().await?;
    ensure_partitions(store, clock).await;
    Ok(())
}

/// Logs a failure and goes on, because the maintenance job tries again.
async fn ensure_partitions(store: &Store, clock: &Clock) {
    if let Err(error) = maintenance::ensure_partitions(store, clock.now()).await {
        tracing::warn!(cause = %chain(&error), "creating partitions of uploads failed");
    }
}

impl App {
    /// Builds every part and opens both listeners. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// See [`StartError`]. A database that is unreachable is not an error.
    pub async fn build(
        config: &Config,
        signals: Signals,
        clock: Clock,
        randomness: Randomness,
    ) -> Result<Self, StartError> {
        let services = Services::new(config, clock.clone(), randomness, &signals.metrics)?;
        let keyring = services.keyring()?;
        let public = listen(config.server.listen, "server.listen").await?;
        let ops = listen(config.server.ops_listen, "server.ops_listen").await?;
        let stores = [services.store.clone(), services.recorder_store()];
        let (gateway, job_parts) = services.gateway(keyring, &stores[1], signals);
        let gateway = Arc::new(gateway);
        gauges::register(&gateway, &job_parts.credentials, &stores);
        ensure_partitions(&services.store, &clock).await;
        // Opened before the first request, so that no later change is missed.
        let change_feed = ChangeFeed::open(&services.store).await;
        Ok(Self {
            gateway,
            stores,
            job_parts,
            job_options: JobOptions::from(config),
            change_feed,
            public,
            ops,
            shutdown_delay: config.server.shutdown_delay_seconds.as_seconds(),
            server_options: ServerOptions::from(&config.server),
        })
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

    /// Serves until `shutdown` completes. Then takes no new connections, finishes the running requests, writes every
    /// row that was accepted, and stops the jobs.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) {
        let Self { gateway, stores, public, ops, shutdown_delay, server_options, .. } = self;
        let connections = |listener| gateway.telemetry.signals.metrics.connections(listener);
        // The operators' listener stays until the very end, so that /readyz says what goes on.
        let stop_ops = CancellationToken::new();
        let ops_stopped = stop_ops.clone().cancelled_owned();
        // Also when this future is dropped.
        let stop_ops = stop_ops.drop_guard();
        let ops_options =
            ServerOptions { max_connections: OPS_CONNECTIONS, drain_timeout: OPS_DRAIN_TIMEOUT, ..server_options };
        let ops = tokio::spawn(serve(ops, ops_service(&gateway), ops_options, connections("ops"), ops_stopped));
        let jobs = Jobs::start(self.job_parts, self.change_feed, self.job_options);

        let drain = async {
            shutdown.await;
            gateway.readiness.start_draining();
            // Load balancers see /readyz fail before connections are refused.
            tokio::time::sleep(shutdown_delay).await;
            jobs.stop_sweeper();
            tracing::info!("shutting down: finishing requests in progress");
        };
        serve(public, public_service(&gateway), server_options, connections("public"), drain).await;
        gateway.uploads.issuer.drain().await;
        jobs.stop().await;
        drop(stop_ops);
        let _ = ops.await;
        let close = async {
            for store in stores {
                store.close().await;
            }
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, close).await;
        tracing::info!("stopped");
    }
}

async fn listen(address: SocketAddr, setting: &'static str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, setting, source })
}
