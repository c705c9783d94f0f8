//! A private Postgres cluster on a free port, protected by a password.
//!
//! The server runs next to a small shell that waits on a pipe from this process. If this process
//! ends for any reason, the pipe closes and the shell stops the server. Postgres refuses to run as
//! root, so root starts it as an unprivileged user.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nix::unistd::User;
use secrecy::{ExposeSecret, SecretString};
use tokio::process::{Child, ChildStdin, Command};

use crate::domain::randomness::Randomness;
use crate::store::{Store, StoreError, StoreOptions};

use self::binaries::NoPostgres;
use self::data_dir::{ROOTS_FOLDER, Record, USERS, cache, reachable_folder, read_major, unprivileged_user};

pub(crate) mod binaries;
mod data_dir;

pub use self::data_dir::remove;

const SUPERUSER: &str = "presign";
const START_TIMEOUT: Duration = Duration::from_mins(1);
const OLD_SERVER_POLL: Duration = Duration::from_millis(50);
const OLD_SERVER_POLLS: u32 = 200;

/// Settings of a server that nobody else on the machine, or beyond it, should find.
const PRIVATE: [&str; 6] =
    ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=200"];
/// Settings of a server whose data need not outlive a crash.
const FAST: [&str; 6] = ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"];

/// Runs "$@" until standard input closes, then sends it $SIGNAL until it is gone, since a shell's background process
/// ignores signals until it has handlers of its own; then removes $REMOVE and $REMOVE_TOO, if they are set.
const SUPERVISOR: &str = r#"
exec 3<&0
"$@" 3<&- </dev/null &
server=$!
( read -r _ <&3; while kill -"$SIGNAL" "$server" 2>/dev/null; do sleep 0.1; done ) &
watcher=$!
exec 3<&-
wait "$server"
status=$?
kill "$watcher" 2>/dev/null
if [ -n "$REMOVE" ]; then rm -rf -- "$REMOVE" "$REMOVE_TOO"; fi
exit "$status"
"#;

/// Why the cluster does not run.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    #[error(transparent)]
    Binaries(#[from] NoPostgres),
    #[error("{what} failed for {}", path.display())]
    File {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("PostgreSQL refuses to run as root, and there is no user {} to run it as", USERS.join(" or "))]
    NoUser,
    #[error("{program} failed:\n{output}")]
    Program { program: &'static str, output: String },
    #[error("PostgreSQL did not start; the end of {} says:\n{output}", log.display())]
    Start { log: PathBuf, output: String },
    #[error("PostgreSQL started, but rejects the login")]
    Store(#[from] StoreError),
}

/// How long the cluster's data should last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Kept between starts, with Postgres's own durability.
    Kept,
    /// Removed when this process ends; fast rather than durable. For tests.
    Ephemeral,
    /// Removed when this process ends, but durable until then: what a commit costs is to be measured. For benchmarks.
    Measured,
}

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    password: SecretString,
    port: u16,
    server: Child,
    /// The server lives as long as this is open.
    alive: ChildStdin,
    /// Where its data are; not in the data folder if the unprivileged user cannot reach that.
    pub folder: PathBuf,
}

impl Cluster {
    /// Starts the cluster whose data lie under `data_dir`, making it first where there is none.
    ///
    /// # Errors
    /// See [`PostgresError`].
    pub async fn start(data_dir: &Path, lifetime: Lifetime) -> Result<Self, PostgresError> {
        let user = unprivileged_user()?;
        let record = Record::read(data_dir);
        let known = record.as_ref().filter(|record| record.initialized);
        // Where it was made it stays, whatever has become reachable since.
        let folder = match &record {
            Some(record) => record.folder(data_dir),
            None => reachable_folder(data_dir, user.as_ref())?,
        };
        let major = known.map(|_| read_major(&folder)).transpose()?;
        let bin = binaries::binaries(major.as_deref(), &cache(user.as_ref())?).await?;
        let run = Run { bin, data_dir: data_dir.to_owned(), folder, user, lifetime };
        let password = match known {
            Some(record) => record.password.as_str().into(),
            // What lies in root's folder without a record is left from a data folder that was removed by hand.
            None => run.initialize(record.is_some() || run.folder.starts_with(ROOTS_FOLDER)).await?,
        };
        run.start(password).await
    }

    /// A URL of one of the cluster's databases; it holds the password.
    #[must_use]
    pub fn url(&self, database: &str) -> SecretString {
        let password = self.password.expose_secret();
        SecretString::from(format!("postgres://{SUPERUSER}:{password}@127.0.0.1:{}/{database}", self.port))
    }

    /// Stops the server and waits until it is gone.
    pub async fn stop(mut self) {
        drop(self.alive);
        let _ = self.server.wait().await;
    }
}

fn file_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PostgresError {
    let path = path.to_owned();
    move |source| PostgresError::File { what, path, source }
}

/// Writes a file that only its owner can read.
pub(super) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;

    // Under another name first: a reader never sees half of it, and an old file's permissions do not linger.
    let mut draft = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(path))?;
    draft.write_all(text.as_bytes())?;
    draft.persist(path)?;
    Ok(())
}

/// What it takes to run the server's programs.
struct Run {
    bin: PathBuf,
    data_dir: PathBuf,
    folder: PathBuf,
    user: Option<User>,
    lifetime: Lifetime,
}

impl Run {
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = std::process::Command::new(program);
        // A group of its own: Ctrl-C is for us, and we stop the server when we no longer need it.
        command.process_group(0).current_dir(&self.folder);
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command.into()
    }

    /// Makes the cluster, with a new password; `again` says that the last try was interrupted.
    async fn initialize(&self, again: bool) -> Result<SecretString, PostgresError> {
        if again && self.folder.exists() {
            wait_for_old_server(&self.folder).await;
            std::fs::remove_dir_all(&self.folder)
                .map_err(file_error("removing the unfinished cluster", &self.folder))?;
        }
        let password = URL_SAFE_NO_PAD.encode(Randomness::System.bytes::<24>());
        let moved_to = Some(self.folder.clone()).filter(|folder| !folder.starts_with(&self.data_dir));
        let mut record = Record { moved_to, password, initialized: false };
        record.write(&self.data_dir)?;
        // Not `create_dir_all`: what is there already is not ours to fill.
        std::fs::create_dir(&self.folder)
            .map_err(file_error("making a folder for the cluster (--reset begins afresh)", &self.folder))?;
        std::fs::set_permissions(&self.folder, std::fs::Permissions::from_mode(0o700))
            .map_err(file_error("protecting the folder", &self.folder))?;
        // A copy of the password that initdb, as the other user, can read; beside the folder, which must be empty.
        let copy = self.folder.with_extension("initdb");
        write_private(&copy, &record.password).map_err(file_error("writing the password", &copy))?;
        if let Some(user) = &self.user {
            // What is to be removed with the server must be its user's own.
            let removed = Some(&self.data_dir).filter(|_| self.lifetime != Lifetime::Kept);
            for path in [&self.folder, &copy].into_iter().chain(removed) {
                chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                    .map_err(file_error("changing the owner", path))?;
            }
        }
        let made = self.run_initdb(&copy).await;
        let _ = std::fs::remove_file(&copy);
        made?;
        record.initialized = true;
        record.write(&self.data_dir)?;
        Ok(record.password.into())
    }

    async fn run_initdb(&self, password_file: &Path) -> Result<(), PostgresError> {
        let mut command = self.command(self.bin.join("initdb"));
        command
            .args(["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--username", SUPERUSER, "--pwfile"])
            .arg(password_file)
            .arg("--pgdata")
            .arg(&self.folder);
        if self.lifetime != Lifetime::Kept {
            command.arg("--no-sync");
        }
        // Interrupted with us, it would go on alone.
        command.kill_on_drop(true).stdin(Stdio::null());
        let output = command.output().await.map_err(file_error("running initdb", &self.bin))?;
        if !output.status.success() {
            let output = [output.stdout, output.stderr].concat();
            let output = String::from_utf8_lossy(&output).into_owned();
            return Err(PostgresError::Program { program: "initdb", output });
        }
        Ok(())
    }

    async fn start(self, password: SecretString) -> Result<Cluster, PostgresError> {
        wait_for_old_server(&self.folder).await;
        let port = free_port().map_err(file_error("finding a free port", &self.folder))?;
        let log = self.folder.join("server.log");
        let log_file = std::fs::File::create(&log).map_err(file_error("writing", &log))?;
        let log_copy = log_file.try_clone().map_err(file_error("writing", &log))?;
        let mut command = self.supervised_server(port);
        command.stdin(Stdio::piped()).stdout(log_copy).stderr(log_file);
        let mut server = command.spawn().map_err(file_error("starting", &self.bin))?;
        let alive =
            server.stdin.take().ok_or_else(|| PostgresError::Start { log: log.clone(), output: String::new() })?;
        let mut cluster = Cluster { password, port, server, alive, folder: self.folder };
        tokio::select! {
            answered = answers(cluster.url("postgres")) => answered?,
            _ = cluster.server.wait() => return Err(PostgresError::Start { output: tail(&log), log }),
        }
        Ok(cluster)
    }

    fn supervised_server(&self, port: u16) -> Command {
        let mut command = self.command("/bin/sh");
        command.args(["-c", SUPERVISOR, "sh"]).arg(self.bin.join("postgres")).arg("-D").arg(&self.folder);
        command.args(PRIVATE).args(["-c", &format!("port={port}")]);
        if self.lifetime == Lifetime::Ephemeral {
            command.args(FAST);
        }
        match self.lifetime {
            Lifetime::Kept => command.env("SIGNAL", "INT"),
            Lifetime::Ephemeral | Lifetime::Measured => {
                command.env("SIGNAL", "QUIT").env("REMOVE", &self.data_dir).env("REMOVE_TOO", &self.folder)
            }
        };
        command
    }
}

/// Waits while the server of a process that was killed is still on its way out.
async fn wait_for_old_server(folder: &Path) {
    for _ in 0..OLD_SERVER_POLLS {
        let text = std::fs::read_to_string(folder.join("postmaster.pid")).unwrap_or_default();
        let pid = text.lines().next().and_then(|line| line.trim().parse().ok()).map(nix::unistd::Pid::from_raw);
        if pid.is_none_or(|pid| nix::sys::signal::kill(pid, None).is_err()) {
            return;
        }
        tokio::time::sleep(OLD_SERVER_POLL).await;
    }
}

fn free_port() -> io::Result<u16> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr().map(|address| address.port())
}

/// Waits until the server takes connections.
async fn answers(url: SecretString) -> Result<(), StoreError> {
    let store = Store::new(&StoreOptions {
        url,
        max_connections: 1,
        acquire_timeout: START_TIMEOUT,
        read_timeout: START_TIMEOUT,
    })?;
    store.ping().await?;
    store.close().await;
    Ok(())
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(10)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn private_file_replaces_one_that_others_could_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dev.env");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        super::write_private(&path, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(folder.path().read_dir().unwrap().count(), 1, "no draft is left");
    }
}
