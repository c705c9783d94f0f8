//! The whole stack: Postgres, object store, demo and gateway.

use std::borrow::Cow;
use std::fs::{File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::admin::{Actor, AdminError};
use crate::app::{App, Services, StartError};
use crate::config::{self, Config, ConfigError};
use crate::domain::clock::Clock;
use crate::domain::randomness::Randomness;
use crate::domain::sealing_key::SealingKey;
use crate::store::{MigrateError, Store, StoreError};
use crate::telemetry::Signals;

use super::demo::Demo;
use super::object_store;
use super::postgres::{self, Cluster, Lifetime, PostgresError, write_private};

const DATABASE: &str = "presign";
const SHUTDOWN_SECONDS: &str = "2";
/// The store listens on this machine, by plain http.
const ALLOWED_HOSTS: &str = "127.0.0.1,localhost";

/// A small picture to upload.
const SAMPLE: &[u8] = include_bytes!("sample.png");

/// Where the stack keeps its data and listens.
#[derive(Debug, Clone)]
pub struct StackOptions {
    pub data_dir: PathBuf,
    /// The user's own settings.
    pub config_file: Option<PathBuf>,
    pub listen: SocketAddr,
    pub ops_listen: SocketAddr,
    pub s3_listen: SocketAddr,
    /// What the gateway counts in, and by what it traces.
    pub signals: Signals,
}

/// Why the stack does not start.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    #[error("the data folder {} cannot be used", folder.display())]
    DataDir {
        folder: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "{} is not empty, and was not created by `presign-gateway dev`: nothing was changed; choose an empty folder with --data-dir",
        .0.display()
    )]
    NotOurs(PathBuf),
    #[error("another `presign-gateway dev` is running on {}; stop it, or choose another --data-dir", .0.display())]
    Busy(PathBuf),
    #[error("{address} is taken; choose another with {flag}, such as {flag} 127.0.0.1:0 for any free port")]
    PortTaken { address: SocketAddr, flag: &'static str },
    #[error("cannot listen on {address} ({flag})")]
    Listen {
        address: SocketAddr,
        flag: &'static str,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Start(StartError),
    #[error("the demo data cannot be written")]
    Demo(#[from] AdminError),
    #[error("the demo token cannot be created")]
    Token(#[from] jsonwebtoken::errors::Error),
}

/// The running stack.
pub struct Stack {
    app: App,
    cluster: Cluster,
    object_store: JoinHandle<()>,
    stop_object_store: oneshot::Sender<()>,
    /// Held for as long as the data folder is ours.
    _lock: File,
    pub facts: Facts,
}

/// What a user needs to know of a running stack.
pub struct Facts {
    pub data_dir: PathBuf,
    pub cluster_folder: PathBuf,
    pub url: String,
    pub ops_url: String,
    pub s3_url: String,
    pub demo: Demo,
    pub token: SecretString,
    database_url: SecretString,
    keys_file: PathBuf,
}

impl Facts {
    /// Where [`Facts::environment`] is written.
    #[must_use]
    pub fn env_file(&self) -> PathBuf {
        env_file(&self.data_dir)
    }

    /// A picture to try an upload with.
    #[must_use]
    pub fn sample_file(&self) -> PathBuf {
        self.data_dir.join("sample.png")
    }

    /// `NAME=value` lines that a shell can source.
    #[must_use]
    pub fn environment(&self) -> SecretString {
        let Demo { alpha, beta, operator_key, jwt_secret } = &self.demo;
        let keys_file = shell_quoted(&self.keys_file);
        let lines = [
            ("PRESIGN_URL", self.url.as_str()),
            ("PRESIGN_OPS_URL", &self.ops_url),
            ("PRESIGN_API_KEY", &alpha.api_key),
            ("PRESIGN_API_KEY_BETA", &beta.api_key),
            ("PRESIGN_OPERATOR_KEY", operator_key),
            ("PRESIGN_JWT", self.token.expose_secret()),
            ("PRESIGN_JWT_SECRET", jwt_secret),
            ("DATABASE_URL", self.database_url.expose_secret()),
            ("AWS_ENDPOINT_URL_S3", &self.s3_url),
            ("AWS_ACCESS_KEY_ID", &alpha.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", &alpha.secret_access_key),
            ("AWS_DEFAULT_REGION", object_store::REGION),
            ("BUCKET", &alpha.bucket),
            ("BUCKET_BETA", &beta.bucket),
            ("PRESIGN__VAULT__KEYS_FILE", &keys_file),
            ("PRESIGN__OUTBOUND__ALLOWED_HOSTS", ALLOWED_HOSTS),
        ];
        SecretString::from(lines.map(|(name, value)| format!("{name}={value}\n")).concat())
    }
}

fn env_file(data_dir: &Path) -> PathBuf {
    data_dir.join("dev.env")
}

/// Quotes what a shell would take apart. A path has no NUL, the one character that cannot be quoted.
#[must_use]
pub fn shell_quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    shlex::try_quote(&text).map(Cow::into_owned).unwrap_or_default()
}

impl Stack {
    /// Starts everything, and writes `dev.env` when it is ready.
    ///
    /// # Errors
    /// See [`StackError`]; what was started is stopped.
    pub async fn start(options: StackOptions) -> Result<Self, StackError> {
        let data_dir = options.data_dir.clone();
        let lock = lock(&data_dir)?;
        // What a killed stack left would tell a script that this one is ready.
        let _ = std::fs::remove_file(env_file(&data_dir));
        let data_dir_error = |source| StackError::DataDir { folder: data_dir.clone(), source };
        let demo = Demo::load_or_make(&data_dir.join("demo.json"), &Randomness::System).map_err(data_dir_error)?;
        let keys_file = sealing_keys(&data_dir).map_err(data_dir_error)?;

        // The ports first: they are quickly checked, and most likely to be wrong.
        let s3_listener = listen(options.s3_listen, "--s3-listen").await?;
        for (address, flag) in [(options.listen, "--listen"), (options.ops_listen, "--ops-listen")] {
            drop(listen(address, flag).await?);
        }
        let cluster = Cluster::start(&data_dir, Lifetime::Kept).await?;
        let database_url = cluster.url(DATABASE);
        Store::create_database(&database_url).await?;
        let config = config(&options, &database_url, &keys_file)?;
        let services = Services::for_command(&config).map_err(StackError::Start)?;
        services.store.migrate().await?;

        let s3_url = format!("http://{}", s3_listener.local_addr().map_err(data_dir_error)?);
        let router = object_store::router(&data_dir.join("buckets"), &demo.accounts()).map_err(data_dir_error)?;
        let (stop_object_store, stopped) = oneshot::channel();
        let object_store = tokio::spawn(object_store::run(s3_listener, router, async { drop(stopped.await) }));

        let tenants = services.admin(Actor { name: "dev".to_owned(), origin: None });
        let keyring = services.keyring().map_err(|error| StackError::Start(error.into()))?;
        demo.ensure(&tenants, &keyring, &s3_url).await?;
        let token = demo.token(&tenants)?;
        services.store.close().await;
        let app =
            App::build(&config, options.signals.clone(), Clock::System, Randomness::System).await.map_err(with_flag)?;
        let facts = Facts {
            url: format!("http://{}", app.public_address().map_err(data_dir_error)?),
            ops_url: format!("http://{}", app.ops_address().map_err(data_dir_error)?),
            s3_url,
            cluster_folder: cluster.folder.clone(),
            data_dir: data_dir.clone(),
            demo,
            token,
            database_url,
            keys_file,
        };
        std::fs::write(facts.sample_file(), SAMPLE).map_err(data_dir_error)?;
        write_private(&facts.env_file(), facts.environment().expose_secret()).map_err(data_dir_error)?;
        Ok(Self { app, cluster, object_store, stop_object_store, _lock: lock, facts })
    }

    /// Serves until `shutdown` completes, then stops everything.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) {
        self.app.run(shutdown).await;
        drop(self.stop_object_store);
        let _ = self.object_store.await;
        self.cluster.stop().await;
        let _ = std::fs::remove_file(self.facts.env_file());
    }
}

/// Removes everything that an earlier stack left in the data folder.
///
/// # Errors
/// A stack is running there, or a file cannot be removed.
pub async fn reset(data_dir: &Path) -> Result<(), StackError> {
    let _lock = lock(data_dir)?;
    let removed = postgres::remove(data_dir).await.and_then(|()| {
        for name in ["buckets", "demo.json", "sealing.keys", "sample.png", "dev.env"] {
            let path = data_dir.join(name);
            if path.is_dir() {
                std::fs::remove_dir_all(path)?;
            } else if path.exists() {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    });
    removed.map_err(|source| StackError::DataDir { folder: data_dir.to_owned(), source })
}

fn lock(data_dir: &Path) -> Result<File, StackError> {
    let data_dir_error = |source| StackError::DataDir { folder: data_dir.to_owned(), source };
    std::fs::create_dir_all(data_dir).map_err(data_dir_error)?;
    let file = data_dir.join("dev.lock");
    // The lock is also the mark of a folder of ours: all in it may be changed, and removed by --reset.
    if !file.exists() && std::fs::read_dir(data_dir).map_err(data_dir_error)?.next().is_some() {
        return Err(StackError::NotOurs(data_dir.to_owned()));
    }
    let lock = File::create(file).map_err(data_dir_error)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StackError::Busy(data_dir.to_owned())),
        Err(TryLockError::Error(source)) => Err(data_dir_error(source)),
    }
}

/// The file with the sealing key, which is made at the first start.
fn sealing_keys(data_dir: &Path) -> io::Result<PathBuf> {
    let file = data_dir.join("sealing.keys");
    if !file.exists() {
        write_private(&file, SealingKey::generate("dev", &Randomness::System).expose_secret())?;
    }
    Ok(file)
}

async fn listen(address: SocketAddr, flag: &'static str) -> Result<TcpListener, StackError> {
    TcpListener::bind(address).await.map_err(|source| cannot_listen(address, flag, source))
}

fn cannot_listen(address: SocketAddr, flag: &'static str, source: io::Error) -> StackError {
    match source.kind() {
        io::ErrorKind::AddrInUse => StackError::PortTaken { address, flag },
        _ => StackError::Listen { address, flag, source },
    }
}

/// Names the flag instead of the setting.
fn with_flag(error: StartError) -> StackError {
    match error {
        StartError::Listen { address, setting, source } => {
            let flag = if setting == "server.ops_listen" { "--ops-listen" } else { "--listen" };
            cannot_listen(address, flag, source)
        }
        other => StackError::Start(other),
    }
}

/// Settings that are the stack's own business, whatever another project's shell says of them.
const OURS: [&str; 8] = [
    "DATABASE_URL",
    "PRESIGN__DATABASE__URL",
    "PRESIGN__DATABASE__URL_FILE",
    "PRESIGN__VAULT__KEYS",
    "PRESIGN__VAULT__KEYS_FILE",
    "PRESIGN__SERVER__LISTEN",
    "PRESIGN__SERVER__OPS_LISTEN",
    "PRESIGN__OUTBOUND__ALLOWED_HOSTS",
];

/// The user's settings, but for those that the stack makes itself.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    config::environment().filter(|(name, _)| !OURS.contains(&name.as_str()))
}

fn config(options: &StackOptions, database_url: &SecretString, keys_file: &Path) -> Result<Config, ConfigError> {
    let ours = [
        ("PRESIGN__SERVER__LISTEN", options.listen.to_string()),
        ("PRESIGN__SERVER__OPS_LISTEN", options.ops_listen.to_string()),
        ("PRESIGN__DATABASE__URL", database_url.expose_secret().to_owned()),
        ("PRESIGN__VAULT__KEYS_FILE", keys_file.display().to_string()),
        ("PRESIGN__OUTBOUND__ALLOWED_HOSTS", ALLOWED_HOSTS.to_owned()),
    ];
    let ours = ours.map(|(name, value)| (name.to_owned(), value));
    // A developer who stops the stack does not want to wait for connections that rest.
    let quick = ("PRESIGN__SERVER__SHUTDOWN_TIMEOUT_SECONDS".to_owned(), SHUTDOWN_SECONDS.to_owned());
    Config::load(options.config_file.as_deref(), std::iter::once(quick).chain(environment()).chain(ours))
}
