//! One Postgres for the whole run, and a fresh database for each test, cloned from a migrated template.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use presign_gateway::dev::postgres::{Cluster, Lifetime};
use presign_gateway::store::{Store, StoreOptions};
use secrecy::{ExposeSecret, SecretString};
use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::Mutex;

const TEMPLATE: &str = "template_presign";

/// Lives as long as the process; its server stops when the process ends.
static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| {
    // A runtime of its own, since each test's ends with the test.
    std::thread::spawn(|| {
        let runtime = Box::leak(Box::new(tokio::runtime::Runtime::new().unwrap()));
        runtime.block_on(start())
    })
    .join()
    .unwrap()
});

/// Postgres refuses to clone a template twice at a time.
static CLONING: Mutex<()> = Mutex::const_new(());

async fn start() -> Cluster {
    let folder = tempfile::Builder::new().prefix("presign-gateway-test-").tempdir().unwrap().keep();
    let cluster = Cluster::start(&folder, Lifetime::Ephemeral).await.unwrap_or_else(|error| panic!("{error}"));
    let url = cluster.url(TEMPLATE);
    Store::create_database(&url).await.unwrap();
    let store = open(url);
    store.migrate().await.unwrap();
    store.close().await;
    cluster
}

/// A store on a database.
pub fn open(url: SecretString) -> Store {
    let patient = Duration::from_secs(20);
    Store::new(&StoreOptions { url, max_connections: 4, acquire_timeout: patient, read_timeout: patient }).unwrap()
}

/// The URL of a new, migrated database.
pub async fn fresh_database() -> SecretString {
    clone_of(TEMPLATE).await
}

/// The URL of a new, empty database.
pub async fn empty_database() -> SecretString {
    clone_of("template0").await
}

async fn clone_of(template: &str) -> SecretString {
    static NEXT: AtomicU32 = AtomicU32::new(0);

    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let _cloning = CLONING.lock().await;
    let mut connection = connect(&CLUSTER.url("postgres")).await;
    let statement = format!("CREATE DATABASE {name} TEMPLATE {template}");
    connection.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
    CLUSTER.url(&name)
}

/// A connection for looking at what is really there.
pub async fn connect(url: &SecretString) -> PgConnection {
    PgConnection::connect(url.expose_secret()).await.unwrap()
}
