//! A Postgres server of a test's own that may be killed, frozen, started again, and followed by a standby. Durable, as a real one.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use presign_gateway::dev::postgres::{Cluster, Lifetime};
use secrecy::{ExposeSecret, SecretString};
use sqlx::{Executor, PgConnection};
use tempfile::TempDir;
use tokio::process::Command;

use super::{eventually, postgres};

const DATABASE: &str = "presign";

pub struct Node {
    /// `None` while it is down.
    cluster: Option<Cluster>,
    folder: TempDir,
}

impl Node {
    /// A server with a migrated database.
    pub async fn start() -> Self {
        Self::start_in(open_folder()).await
    }

    /// The same, in a folder that is there.
    pub async fn start_in(folder: TempDir) -> Self {
        let mut node = Self { cluster: None, folder };
        node.resume().await;
        postgres::furnish(node.cluster.as_ref().unwrap(), DATABASE).await;
        node
    }

    /// Starts the server again, on another port.
    pub async fn resume(&mut self) {
        assert!(self.cluster.is_none(), "it runs");
        let started = Cluster::start(self.folder.path(), Lifetime::Kept).await;
        self.cluster = Some(started.unwrap_or_else(|error| panic!("{error}")));
    }

    /// For the gateway, in its role.
    pub fn url(&self) -> SecretString {
        self.cluster.as_ref().unwrap().url(DATABASE)
    }

    /// A superuser's connection.
    pub async fn connect(&self) -> PgConnection {
        postgres::connect(&self.url()).await
    }

    /// Runs statements of a superuser.
    pub async fn execute(&self, statements: &str) {
        self.connect().await.execute(sqlx::AssertSqlSafe(statements.to_owned())).await.unwrap();
    }

    /// Changes a setting of the server; `None` takes the change back.
    pub async fn set(&self, setting: &str, value: Option<&str>) {
        let statement = match value {
            Some(value) => format!("ALTER SYSTEM SET {setting} = '{value}'"),
            None => format!("ALTER SYSTEM RESET {setting}"),
        };
        self.execute(&statement).await;
        self.execute("SELECT pg_reload_conf()").await;
    }

    /// The server's folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("postgres")
    }

    /// Ends the server as a power cut does.
    pub async fn kill(&mut self) {
        for process in self.processes() {
            send(process, Signal::SIGKILL);
        }
        self.ended().await;
    }

    /// Ends the server as an operator does: who is connected is sent away.
    pub async fn stop(&mut self) {
        if let Some(cluster) = self.cluster.take() {
            cluster.stop().await;
        }
    }

    /// Waits until the server has ended by itself, or as it was told.
    pub async fn ended(&mut self) {
        eventually("the server has ended", || async { self.processes().is_empty().then_some(()) }).await;
        self.stop().await;
    }

    pub fn is_running(&self) -> bool {
        !self.processes().is_empty()
    }

    /// Stops all its processes where they are; they keep their connections, and say nothing.
    pub fn freeze(&self) {
        for process in self.processes() {
            send(process, Signal::SIGSTOP);
        }
    }

    pub fn thaw(&self) {
        for process in self.processes() {
            send(process, Signal::SIGCONT);
        }
    }

    /// A server that follows this one; each commit waits until it is there, too.
    pub async fn standby(&self) -> Self {
        let folder = open_folder();
        let data = folder.path().join("postgres");
        let owner = std::fs::metadata(self.data()).unwrap();
        std::fs::create_dir(&data).unwrap();
        std::fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
        chown(&data, Some(owner.uid()), Some(owner.gid())).unwrap();
        std::fs::copy(self.folder.path().join("postgres.json"), folder.path().join("postgres.json")).unwrap();
        self.back_up_into(&data).await;
        let mut standby = Self { cluster: None, folder };
        standby.resume().await;
        self.set("synchronous_standby_names", Some("*")).await;
        let follows = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'";
        eventually("the standby follows", async || {
            sqlx::query(follows).fetch_optional(&mut self.connect().await).await.unwrap().map(drop)
        })
        .await;
        standby
    }

    async fn back_up_into(&self, data: &Path) {
        let owner = std::fs::metadata(data).unwrap();
        let programs = "SELECT setting FROM pg_config() WHERE name = 'BINDIR'";
        let programs: String = sqlx::query_scalar(programs).fetch_one(&mut self.connect().await).await.unwrap();
        let mut command = std::process::Command::new(Path::new(&programs).join("pg_basebackup"));
        command.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--pgdata"]).arg(data);
        let superuser = postgres::url_as(&self.url(), postgres::SUPERUSER);
        command.args(["--dbname", superuser.expose_secret()]).current_dir(data);
        if nix::unistd::geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        let output = Command::from(command).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Makes a standby the primary.
    pub async fn promote(&self) {
        let promoted: bool =
            sqlx::query_scalar("SELECT pg_promote()").fetch_one(&mut self.connect().await).await.unwrap();
        assert!(promoted);
    }

    /// The postmaster and its children.
    fn processes(&self) -> Vec<Pid> {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        let Some(postmaster) = file.lines().next().and_then(|line| line.trim().parse::<i32>().ok()) else {
            return Vec::new();
        };
        let processes =
            std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let is_its = |process: &i32| *process == postmaster || parent(*process) == Some(postmaster);
        // The file outlives a server that was killed, whose number somebody else may have by now.
        let data = self.data();
        let runs = |process: &i32| works_in(*process, &data) && state(*process) != Some('Z');
        processes.filter(is_its).filter(runs).map(Pid::from_raw).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for process in self.processes() {
            send(process, Signal::SIGKILL);
        }
    }
}

/// A folder that Postgres's user may enter.
pub fn open_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

fn send(process: Pid, signal: Signal) {
    // It may have ended meanwhile.
    let _ = kill(process, signal);
}

/// What the kernel says of a process behind its name: <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>.
fn stat(process: i32) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

/// Whether a process works in this folder, as all those of a Postgres do in their data.
fn works_in(process: i32, folder: &Path) -> bool {
    std::fs::read_link(format!("/proc/{process}/cwd")).is_ok_and(|found| found == folder)
}

fn parent(process: i32) -> Option<i32> {
    stat(process)?.get(1)?.parse().ok()
}

fn state(process: i32) -> Option<char> {
    stat(process)?.first()?.chars().next()
}
