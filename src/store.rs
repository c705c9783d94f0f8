//! All SQL: one table a file.
//!
//! Functions take the tenant first; the few that work across tenants are named `…_any_tenant`.
//! Nothing here decides: `domain` parses rows, and the use cases apply rules.

use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use sqlx::migrate::{MigrateDatabase, Migrator};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, Executor, PgPool, Postgres};
use strum::IntoStaticStr;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::domain::Invalid;
use crate::domain::fault::Fault;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::database::DatabaseMetrics;

use self::failover::{Hosts, PrimaryWatcher};
pub use self::options::StoreOptions;

pub(crate) mod api_keys;
pub(crate) mod audit_events;
pub(crate) mod buckets;
pub mod change_feed;
mod failover;
pub(crate) mod grants;
pub(crate) mod idempotency_keys;
pub(crate) mod jwt_issuers;
pub(crate) mod keyring;
mod options;
pub(crate) mod partitions;
pub mod tenants;
pub mod uploads;
pub mod usage;
mod written;

/// A transaction; what it holds is visible to others once `commit` has returned, and undone when it is dropped before.
pub type Transaction = sqlx::Transaction<'static, Postgres>;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum StoreError {
    /// No answer from Postgres: it is away, too slow, or out of connections. Trying again may help.
    #[error("the database does not answer")]
    Unavailable(#[source] sqlx::Error),
    /// The connection that was listened on is gone.
    #[error("the connection was closed")]
    Disconnected,
    /// What is announced does not arrive.
    #[error(
        "change notifications do not arrive: connect to Postgres directly, not through a pooler in transaction mode"
    )]
    FeedSilent,
    /// No answer within the time allowed.
    #[error("the database did not answer in time")]
    TimedOut,
    /// A deadlock, or a serialization failure: nothing was written, and the same again may succeed.
    #[error("transaction rolled back: deadlock or serialization failure")]
    Conflict(#[source] sqlx::Error),
    /// Postgres refused a value of the row itself; its neighbours may be fine.
    #[error("the database rejected the row")]
    RowRefused(#[source] sqlx::Error),
    /// The month's partition of the ledger is not there.
    #[error("the ledger has no partition for this month: `presign-gateway migrate` creates it")]
    NoPartition(#[source] sqlx::Error),
    /// A row with the same unique value is there already.
    #[error("already taken: {constraint}")]
    Taken { constraint: String },
    /// A row that must be there was not written.
    #[error("{written} rows were written instead of {expected}")]
    WrongRowCount { expected: u64, written: u64 },
    /// A stored value does not parse: the row was written by another version, or by hand.
    #[error("a stored value is not valid: {0}")]
    Corrupt(#[from] Invalid),
    /// The tables are not there.
    #[error("the tables are missing or old: run `presign-gateway migrate`")]
    NotMigrated(#[source] sqlx::Error),
    /// Anything else that Postgres or the driver says.
    #[error("the database reported an error")]
    Other(#[source] sqlx::Error),
}

impl StoreError {
    /// What kind it is, in a word for metrics and traces.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        self.into_str()
    }

    /// What this means to the caller of the request that failed.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::RowRefused(_) => Fault::Rejected,
            Self::Unavailable(_) | Self::Conflict(_) | Self::TimedOut | Self::Disconnected | Self::NotMigrated(_) => {
                Fault::Unavailable
            }
            Self::FeedSilent
            | Self::NoPartition(_)
            | Self::Taken { .. }
            | Self::Corrupt(_)
            | Self::WrongRowCount { .. }
            | Self::Other(_) => Fault::Internal,
        }
    }

    /// Whether a standby said it, or a database that takes no writes: 25006, `read_only_sql_transaction`.
    fn is_read_only(&self) -> bool {
        let Self::Unavailable(error) = self else { return false };
        error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() == Some("25006")
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let Some(database_error) = error.as_database_error() else {
            return match error {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::Protocol(_) => Self::Unavailable(error),
                // Types of our own come with the tables.
                sqlx::Error::TypeNotFound { .. } => Self::NotMigrated(error),
                // Of a statement that writes one row and returns something of it.
                sqlx::Error::RowNotFound => Self::WrongRowCount { expected: 1, written: 0 },
                _ => Self::Other(error),
            };
        };
        if database_error.is_unique_violation() {
            return Self::Taken { constraint: database_error.constraint().unwrap_or("unknown").to_owned() };
        }
        // 40001 serialization failure, 40P01 deadlock: https://www.postgresql.org/docs/current/mvcc-serialization-failure-handling.html
        if matches!(database_error.code().as_deref(), Some("40001" | "40P01")) {
            return Self::Conflict(error);
        }
        // 42P01 undefined table, 42703 undefined column.
        if matches!(database_error.code().as_deref(), Some("42P01" | "42703")) {
            return Self::NotMigrated(error);
        }
        // The same code as a broken CHECK, which has a name.
        if database_error.code().as_deref() == Some("23514") && database_error.constraint().is_none() {
            return Self::NoPartition(error);
        }
        // Classes of https://www.postgresql.org/docs/current/errcodes-appendix.html:
        // 22 data exception, 23 integrity constraint; 08 connection, 25 transaction state (read-only), 53 resources, 57 operator intervention, 58 system.
        match database_error.code().as_deref().and_then(|code| code.get(..2)) {
            Some("22" | "23") => Self::RowRefused(error),

            Some("08" | "25" | "53" | "57" | "58") => Self::Unavailable(error),
            _ => Self::Other(error),
        }
    }
}

/// A pool of connections to Postgres.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
    hosts: Arc<Hosts>,
    /// Follows the primary as long as any clone of the store is there.
    watcher: Arc<PrimaryWatcher>,
    read_timeout: Duration,
    metrics: DatabaseMetrics,
}

/// What a statement does, and to which table first of all.
type Statement = (&'static str, &'static str);

/// <https://opentelemetry.io/docs/specs/semconv/database/postgresql/>; never the statement itself, nor what it is given.
fn statement_span(operation: &'static str, table: &'static str) -> Span {
    let span = tracing::info_span!(
        "statement",
        otel.kind = "client",
        otel.name = Empty,
        otel.status_code = Empty,
        db.system.name = "postgresql",
        db.operation.name = operation,
        db.collection.name = table,
        error.type = Empty,
    );
    if !span.is_disabled() {
        span.record("otel.name", format!("{operation} {table}"));
    }
    span
}

/// How many connections a pool has.
#[derive(Debug, Clone, Copy)]
pub struct Connections {
    pub idle: u32,
    pub used: u32,
    pub max: u32,
}

fn pool(hosts: &Arc<Hosts>, max_connections: u32, acquire_timeout: Duration) -> PgPool {
    let (used, connected) = (Arc::clone(hosts), Arc::clone(hosts));
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(acquire_timeout)
        // A ping before each use would be a round trip more on the hot path; one that rested may have died unseen.
        .test_before_acquire(false)
        .before_acquire(move |connection, seen| {
            let is_current = used.is_current(seen.age);
            Box::pin(async move {
                if is_current && seen.idle_for > Duration::from_secs(1) {
                    connection.ping().await?;
                }
                Ok(is_current)
            })
        })
        .after_connect(move |connection, _| {
            let hosts = Arc::clone(&connected);
            Box::pin(async move {
                // What these connections insert into `uploads` is counted by the statement itself (`uploads::insert`).
                connection.execute("SET presign_gateway.counts_itself = yes").await?;
                if hosts.are_several() && !failover::takes_writes(connection).await? {
                    hosts.suspect_failover();
                    return Err(sqlx::Error::Protocol("this host takes no writes".to_owned()));
                }
                Ok(())
            })
        })
        .connect_lazy_with(hosts.options())
}

impl Store {
    /// Makes the pool; a connection is opened when the first is needed.
    ///
    /// # Errors
    /// A URL that does not parse.
    pub fn new(options: &StoreOptions) -> Result<Self, StoreError> {
        let hosts = Arc::new(Hosts::parse(&options.url, options.acquire_timeout)?);
        let watcher = Arc::new(PrimaryWatcher::start(&hosts));
        let pool = pool(&hosts, options.max_connections, options.acquire_timeout);
        watcher.attach(&pool, &hosts);
        let metrics = Metrics::off().database();
        Ok(Self { pool, hosts, watcher, read_timeout: options.read_timeout, metrics })
    }

    /// Says whether a database's URL can be used, without asking anybody.
    ///
    /// # Errors
    /// It does not parse.
    pub fn check_url(url: &SecretString) -> Result<(), StoreError> {
        Hosts::parse(url, Duration::ZERO).map(drop)
    }

    /// The same database with connections of its own, which others cannot use up.
    #[must_use]
    pub fn apart(&self, max_connections: u32) -> Self {
        let pool = pool(&self.hosts, max_connections, self.pool.options().get_acquire_timeout());
        self.watcher.attach(&pool, &self.hosts);
        Self { pool, ..self.clone() }
    }

    /// The store, with its statements counted here.
    #[must_use]
    pub fn counted(self, metrics: DatabaseMetrics) -> Self {
        Self { metrics, ..self }
    }

    /// The pool itself, for the SQL of `dev seed`. The gateway has no SQL outside this module.
    #[cfg(feature = "dev")]
    #[must_use]
    pub(crate) const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// What the pool is doing.
    #[must_use]
    pub fn connections(&self) -> Connections {
        let (size, idle) = (self.pool.size(), u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX));
        Connections { idle, used: size.saturating_sub(idle), max: self.pool.options().get_max_connections() }
    }

    /// Waits for a read, but not for ever: a request waits with it.
    async fn within<T, E: Into<StoreError>>(
        &self,
        statement: Statement,
        read: impl Future<Output = Result<T, E>>,
    ) -> Result<T, StoreError> {
        // Boxed: a query makes a large future, which whoever waits would carry along.
        let read = Box::pin(tokio::time::timeout(self.read_timeout, read));
        let read = async { read.await.map_err(|_| StoreError::TimedOut)?.map_err(Into::into) };
        self.measured(statement, read).await
    }

    /// Waits for a statement, the wait for a connection included, and tells metrics and the trace how long it took.
    async fn measured<T, E: Into<StoreError>>(
        &self,
        (operation, table): Statement,
        statement: impl Future<Output = Result<T, E>>,
    ) -> Result<T, StoreError> {
        let began = Instant::now();
        let span = statement_span(operation, table);
        let outcome = Box::pin(statement).instrument(span.clone()).await.map_err(Into::into);
        if let Err(error) = &outcome {
            self.hosts.on_error(error);
        }
        let failure = outcome.as_ref().err().map(StoreError::kind);
        if let Some(failure) = failure {
            span.record("error.type", failure);
            span.record("otel.status_code", "ERROR");
        }
        self.metrics.record(operation, table, failure, began.elapsed());
        outcome
    }

    /// # Errors
    /// The database is unreachable.
    pub async fn begin(&self) -> Result<Transaction, StoreError> {
        Ok(self.pool.begin().await.inspect_err(|_| self.hosts.suspect_failover())?)
    }

    /// Waits until the database answers, as long as a connection may take.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let asked = async { self.pool.acquire().await?.ping().await };
        Ok(asked.await.inspect_err(|_| self.hosts.suspect_failover())?)
    }

    /// Creates the database that the URL names, where it is not there yet.
    ///
    /// # Errors
    /// The server is unreachable, or does not allow it.
    pub async fn create_database(url: &SecretString) -> Result<(), StoreError> {
        let url = url.expose_secret();
        if !Postgres::database_exists(url).await? {
            Postgres::create_database(url).await?;
        }
        Ok(())
    }

    /// Brings the schema up to date, under a lock that lets only one instance do so at a time.
    ///
    /// # Errors
    /// The database is unreachable, or its schema is of a newer version.
    pub async fn migrate(&self) -> Result<(), MigrateError> {
        Ok(MIGRATIONS.run(&self.pool).await.inspect_err(|_| self.hosts.suspect_failover())?)
    }

    /// Whether every migration that this version knows has run.
    ///
    /// # Errors
    /// The database is unreachable, or was never migrated.
    pub async fn is_migrated(&self) -> Result<bool, StoreError> {
        let applied = sqlx::query_scalar::<_, i64>("SELECT version FROM _sqlx_migrations WHERE success");
        let applied = self.within(("SELECT", "_sqlx_migrations"), applied.fetch_all(&self.pool)).await?;
        Ok(MIGRATIONS.iter().all(|migration| applied.contains(&migration.version)))
    }

    /// Whether rows can be written: not on a standby, nor where somebody made the database read-only.
    ///
    /// # Errors
    /// The database is unreachable.
    pub async fn is_writable(&self) -> Result<bool, StoreError> {
        let writable = async { failover::takes_writes(&mut *self.pool.acquire().await?).await };
        let is_writable = self.within(("SELECT", "pg_settings"), writable).await?;
        if !is_writable {
            self.hosts.discard_connections();
        }
        Ok(is_writable)
    }

    /// Waits for what is under way, then closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
#[error("the migrations failed")]
pub struct MigrateError(#[from] sqlx::migrate::MigrateError);
