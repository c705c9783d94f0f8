//! A private Postgres for what needs one: started when it is first asked for, with default durability.

use std::cell::OnceCell;
use std::time::Duration;

use presign_gateway::app;
use presign_gateway::dev::postgres::{Cluster, Lifetime};
use presign_gateway::domain::clock::Clock;
use presign_gateway::store::{Store, StoreOptions};
use secrecy::SecretString;
use tokio::runtime::Runtime;

const NAME: &str = "bench";
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Database<'a> {
    pub runtime: &'a Runtime,
    cluster: OnceCell<Cluster>,
}

impl<'a> Database<'a> {
    pub const fn new(runtime: &'a Runtime) -> Self {
        Self { runtime, cluster: OnceCell::new() }
    }

    /// The URL of the migrated database.
    pub fn url(&self) -> SecretString {
        self.cluster.get_or_init(|| self.runtime.block_on(start())).url(NAME)
    }

    /// A store with so many connections of its own.
    pub fn store(&self, max_connections: u32) -> Store {
        let url = self.url();
        let _in_runtime = self.runtime.enter();
        open(url, max_connections)
    }

    /// Waits until the server and its files are gone.
    pub fn stop(self) {
        if let Some(cluster) = self.cluster.into_inner() {
            self.runtime.block_on(cluster.stop());
        }
    }
}

async fn start() -> Cluster {
    let folder = tempfile::Builder::new().prefix("presign-gateway-bench-").tempdir().unwrap().keep();
    let cluster = Cluster::start(&folder, Lifetime::Measured).await.unwrap();
    let url = cluster.url(NAME);
    Store::create_database(&url).await.unwrap();
    let store = open(url, 1);
    app::migrate(&store, &Clock::System).await.unwrap();
    store.close().await;
    cluster
}

fn open(url: SecretString, max_connections: u32) -> Store {
    Store::new(&StoreOptions { url, max_connections, acquire_timeout: PATIENCE, read_timeout: PATIENCE }).unwrap()
}
