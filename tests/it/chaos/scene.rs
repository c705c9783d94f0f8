//! A gateway in a process of its own, its Postgres, its object store, and clients: what a fault happens to.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use presign_gateway::admin::{Actor, Admin, TenantChanges};
use presign_gateway::crypto::keyring::Keyring;
use presign_gateway::dev::demo::Demo;
use presign_gateway::dev::object_store;
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::egress::AllowedHosts;
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::sealing_key::SealingKey;
use presign_gateway::domain::tenant::Slug;
use presign_gateway::egress::Egress;
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgConnection;
use tempfile::TempDir;

use super::check::{self, Rows};
use super::load::{Load, Target, Told};
use super::report::{Figures, report};
use crate::support::binary::{Server, Workbench};
use crate::support::postgres_server::Node;
use crate::support::proxy::Proxy;
use crate::support::scrape::Scrape;
use crate::support::{canary, postgres, within};

/// The long form, of `tests/chaos/run`: more load, for longer, one fault at a time on a machine that does nothing else.
pub static IS_LONG: LazyLock<bool> = LazyLock::new(|| std::env::var_os("PRESIGN_CHAOS").is_some());

/// How long anything may take that is not what a test is about.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// So long nothing may fail before all is called well.
const CALM: Duration = Duration::from_millis(500);

/// How soon everything must be well again once what failed is back. The short form runs beside many other tests.
pub fn recovery() -> Duration {
    Duration::from_secs(if *IS_LONG { 5 } else { 20 })
}

/// Picks by the form of the test.
pub fn short_or_long<T>(short: T, long: T) -> T {
    if *IS_LONG { long } else { short }
}

/// For a machine that does much else.
pub const SLOW: [(&str, &str); 3] = [
    ("PRESIGN__DATABASE__ACQUIRE_TIMEOUT_MS", "5000"),
    ("PRESIGN__DATABASE__READ_TIMEOUT_MS", "5000"),
    ("PRESIGN__UPLOADS__COMMIT_TIMEOUT_MS", "8000"),
];

pub struct Scene {
    fault: &'static str,
    pub demo: Demo,
    pub workbench: Workbench,
    pub server: Option<Server>,
    pub target: Target,
    pub tenants: Admin,
    pub files: TempDir,
    pub s3_url: String,
    settings: Vec<(String, String)>,
    /// The database, not by way of the gateway's proxy.
    pub database_url: SecretString,
    recovered: Option<Duration>,
    /// What else was measured, in words.
    pub note: Option<String>,
}

impl Scene {
    /// A gateway on a database of the shared server; what fails is something else.
    pub async fn start(fault: &'static str, settings: &[(&str, &str)]) -> Self {
        let url = postgres::fresh_database().await;
        Self::on(fault, &url, url.clone(), settings).await
    }

    /// The same, where nobody may be refused: the short form's machine does much else, and commits are slow.
    pub async fn patient(fault: &'static str, settings: &[(&str, &str)]) -> Self {
        let slow = if *IS_LONG { &[][..] } else { &SLOW };
        Self::start(fault, &[slow, settings].concat()).await
    }

    /// A gateway that reaches its own Postgres by way of a proxy.
    pub async fn on_node(fault: &'static str, node: &Node, settings: &[(&str, &str)]) -> (Self, Proxy) {
        let proxy = Proxy::to(&node.url()).await;
        let url = proxy.url(&node.url());
        (Self::on(fault, &node.url(), url, settings).await, proxy)
    }

    /// A gateway that reaches its database by a way of its own.
    pub async fn on(
        fault: &'static str,
        direct: &SecretString,
        gateways: SecretString,
        settings: &[(&str, &str)],
    ) -> Self {
        canary::start();
        let files = tempfile::tempdir().unwrap();
        let demo = Demo::load_or_make(&files.path().join("demo.json"), &Randomness::System).unwrap();
        let s3_listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let s3_url = format!("http://{}", s3_listener.local_addr().unwrap());
        let router = object_store::router(&files.path().join("buckets"), &demo.accounts()).unwrap();
        tokio::spawn(object_store::run(s3_listener, router, std::future::pending()));

        let sealing_key = SealingKey::generate("test", &Randomness::System);
        let keyring = Keyring::new(&[SealingKey::parse(sealing_key.expose_secret()).unwrap()]).unwrap();
        let outbound = Egress::new(AllowedHosts::any());
        let actor = Actor { name: "test".to_owned(), origin: None };
        let (clock, randomness) = (Clock::System, Randomness::System);
        let tenants = Admin::new(postgres::open(direct.clone()), clock, randomness, outbound, actor);
        demo.ensure(&tenants, &keyring, &s3_url).await.unwrap();
        let much =
            TenantChanges { rate_per_second: Some(1_000_000), burst: Some(1_000_000), ..TenantChanges::default() };
        tenants.update_tenant(&Slug::parse(&demo.alpha.slug).unwrap(), much, None).await.unwrap();

        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        let settings = [("PRESIGN__SERVER__LISTEN", address.as_str()), ("PRESIGN__TELEMETRY__LEVEL", "info")]
            .iter()
            .chain(settings)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let target = Target { url: format!("http://{address}"), api_key: demo.alpha.api_key.clone() };
        let mut scene = Self {
            fault,
            workbench: Workbench::new(gateways, sealing_key.expose_secret()),
            demo,
            server: None,
            target,
            tenants,
            files,
            s3_url,
            settings,
            database_url: direct.clone(),
            recovered: None,
            note: None,
        };
        scene.serve().await;
        scene
    }

    /// Starts the gateway, at the same address as before.
    pub async fn serve(&mut self) {
        let settings: Vec<_> = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.server = Some(Server::start(&self.workbench, &settings).await);
    }

    /// Ends the gateway's process.
    pub async fn end_server(&mut self, signal: Signal) -> std::process::ExitStatus {
        let server = self.server.take().unwrap();
        server.signal(signal);
        server.ended().await
    }

    pub async fn connect(&self) -> PgConnection {
        postgres::connect(&self.database_url).await
    }

    /// Clients that do not stop, and have begun to get what they ask for.
    pub async fn load(&self) -> Load {
        let load = Load::start(&self.target, short_or_long(16, 64));
        load.issues(short_or_long(100, 2000), PATIENCE).await;
        load
    }

    /// Waits until nothing fails any more, now that what failed is back; and asserts that it was soon.
    pub async fn recovers(&mut self, load: &Load) {
        let (back, issued) = (Instant::now(), load.issued());
        let steady = short_or_long(200, 2000);
        let recovered = within(PATIENCE, "it recovers without a restart", async || {
            let well_since = load.issued_at(issued)?.max(load.last_failure().unwrap_or(back));
            let is_well = load.issued() >= issued + steady && well_since.elapsed() > CALM;
            is_well.then(|| well_since.saturating_duration_since(back))
        })
        .await;
        assert!(recovered <= recovery(), "it took {recovered:?} until nothing failed any more");
        self.recovered_within(recovered);
    }

    /// Writes down how long a recovery took.
    pub fn recovered_within(&mut self, recovered: Duration) {
        self.recovered = Some(self.recovered.unwrap_or_default().max(recovered));
    }

    /// The running gateway.
    pub fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// The sum of what the gateway's metric of this name says with these labels.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Scrape::with(&client, &self.server().ops_url).await.value(name, labels).unwrap_or(0.0)
    }

    /// What the vault of the gateway opens.
    pub fn keyring(&self) -> Keyring {
        let sealing_key = std::fs::read_to_string(&self.workbench.keys_file).unwrap();
        Keyring::new(&[SealingKey::parse(sealing_key.trim()).unwrap()]).unwrap()
    }

    pub async fn change_tenant(&self, slug: &str, changes: TenantChanges) {
        self.tenants.update_tenant(&Slug::parse(slug).unwrap(), changes, None).await.unwrap();
    }

    /// What is on record now.
    pub async fn rows(&self) -> Rows {
        check::rows(&mut self.connect().await).await
    }

    pub fn bucket(&self) -> PathBuf {
        self.files.path().join("buckets").join(&self.demo.alpha.bucket)
    }

    /// Ends the clients, compares all that they were told with what is there, and ends the gateway.
    pub async fn end(self, load: Load, before: &Rows) -> Told {
        let note = self.note.clone();
        self.end_with(load, before, |_| note).await
    }

    /// The same, with what else there is to say of what they were told.
    pub async fn end_with(mut self, load: Load, before: &Rows, note: impl FnOnce(&Told) -> Option<String>) -> Told {
        let lasted = load.began.elapsed();
        let told = load.end().await;
        let rows = self.rows().await;
        check::judge(&told, before, &rows, &self.bucket());
        let note = note(&told);
        let mut figures = Figures::of(self.fault, lasted, &told, &rows, self.recovered);
        figures.note = note.as_deref();
        report(&figures);
        if self.server.is_some() {
            assert!(self.end_server(Signal::SIGTERM).await.success());
        }
        told
    }
}

/// A port that nobody has, and that nobody is given by chance while the gateway is away: below those for outgoing connections.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 5_000).unwrap();
    let mut candidates = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed));
    candidates.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).unwrap()
}
