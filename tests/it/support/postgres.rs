//! One Postgres for the whole run, and a fresh database for each test, cloned from a migrated template.
//!
//! Its roles and their rights are those of `deploy/postgres`: gateways and commands work under no other. Tests inspect the database, and
//! break it, as a superuser.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use presign_gateway::dev::postgres::{Cluster, Lifetime};
use presign_gateway::store::{Store, StoreOptions};
use secrecy::{ExposeSecret, SecretString};
use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::Mutex;

const TEMPLATE: &str = "template_presign";

const ROLES: &str = include_str!("../../../deploy/postgres/roles.sql");

/// The role of the gateway and of its commands.
pub const GATEWAY: &str = "presign";
/// The role that owns the tables, and migrates.
pub const OWNER: &str = "presign_owner";
/// The role of whoever looks.
pub const READER: &str = "presign_reader";
/// The role that looks, and makes faults.
pub const SUPERUSER: &str = "superuser";

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
    furnish(&cluster, TEMPLATE).await;
    cluster
}

/// Creates the roles in a new cluster, and a migrated database with their rights. All roles have the same password.
pub async fn furnish(cluster: &Cluster, database: &str) {
    // The cluster's own superuser has the name that the gateway's role is to have.
    let anywhere = cluster.url("postgres");
    let url: url::Url = anywhere.expose_secret().parse().unwrap();
    let password = url.password().unwrap();
    let mut first = PgConnection::connect(url.as_str()).await.unwrap();
    execute(&mut first, &format!("CREATE ROLE {SUPERUSER} SUPERUSER LOGIN PASSWORD '{password}'")).await;
    let mut superuser = connect(&anywhere).await;
    execute(&mut superuser, &format!("ALTER ROLE {} RENAME TO first_superuser", url.username())).await;
    for statement in statements(ROLES).filter(|statement| statement.starts_with("CREATE ROLE")) {
        execute(&mut superuser, &format!("{statement} PASSWORD '{password}'")).await;
    }
    make_database(&mut superuser, database, "template0").await;
    let url = cluster.url(database);
    let owner = open(url_as(&url, OWNER));
    owner.migrate().await.unwrap();
    owner.close().await;
    give_rights(&url).await;
}

fn statements(sql: &str) -> impl Iterator<Item = String> {
    let lines: Vec<&str> = sql.lines().map(|line| line.split("--").next().unwrap()).collect();
    let statements: Vec<String> = lines.join("\n").split(';').map(|statement| statement.trim().to_owned()).collect();
    statements.into_iter().filter(|statement| !statement.is_empty())
}

/// Creates a database as `deploy/postgres/roles.sql` does, as a copy of another one.
async fn make_database(superuser: &mut PgConnection, name: &str, template: &str) {
    for statement in statements(ROLES) {
        let statement = statement.replace("DATABASE presign", &format!("DATABASE {name}"));
        if statement.starts_with("CREATE DATABASE") {
            execute(superuser, &format!("{statement} TEMPLATE {template}")).await;
        } else if statement.contains("DATABASE") {
            execute(superuser, &statement).await;
        }
    }
}

/// Gives the gateway and the reader their rights in a migrated database, as `database grant` does.
pub async fn give_rights(url: &SecretString) {
    grant(url, false).await;
}

/// Lets the gateway drop old months as well.
pub async fn allow_drops(url: &SecretString) {
    grant(url, true).await;
}

async fn grant(url: &SecretString, allow_drops: bool) {
    let owner = open(url_as(url, OWNER));
    owner.grant(allow_drops).await.unwrap();
    owner.close().await;
}

async fn execute(connection: &mut PgConnection, statement: &str) {
    let done = connection.execute(sqlx::AssertSqlSafe(statement.to_owned())).await;
    done.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

/// A store on a database.
pub fn open(url: SecretString) -> Store {
    let patient = Duration::from_secs(20);
    Store::new(&StoreOptions { url, max_connections: 4, acquire_timeout: patient, read_timeout: patient }).unwrap()
}

/// The URL of a new, migrated database, for the gateway.
pub async fn fresh_database() -> SecretString {
    clone_of(TEMPLATE).await
}

/// The URL of a new, empty database, for the gateway; who owns it is to migrate it.
pub async fn empty_database() -> SecretString {
    clone_of("template0").await
}

async fn clone_of(template: &str) -> SecretString {
    static NEXT: AtomicU32 = AtomicU32::new(0);

    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let _cloning = CLONING.lock().await;
    let mut connection = connect(&CLUSTER.url("postgres")).await;
    make_database(&mut connection, &name, template).await;
    url_as(&CLUSTER.url(&name), GATEWAY)
}

/// The same database, in another role.
pub fn url_as(url: &SecretString, role: &str) -> SecretString {
    let mut url: url::Url = url.expose_secret().parse().unwrap();
    url.set_username(role).unwrap();
    SecretString::from(url.to_string())
}

/// A superuser's connection, for looking at what is really there, and for making faults.
pub async fn connect(url: &SecretString) -> PgConnection {
    connect_as(url, SUPERUSER).await
}

pub async fn connect_as(url: &SecretString, role: &str) -> PgConnection {
    PgConnection::connect(url_as(url, role).expose_secret()).await.unwrap()
}
