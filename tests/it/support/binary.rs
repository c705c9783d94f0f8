//! Runs the program itself, as a user would.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use super::canary;

/// The program, with an environment of its own.
pub fn program() -> Command {
    // Another build of it, where one is named: tests/chaos/run has the release build tried.
    let built = env!("CARGO_BIN_EXE_presign-gateway");
    let mut command = Command::new(std::env::var_os("PRESIGN_BIN").unwrap_or_else(|| built.into()));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).kill_on_drop(true);
    if let Some(home) = std::env::var_os("HOME") {
        command.env("HOME", home);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A database and a keyring that commands share.
pub struct Workbench {
    pub database_url: SecretString,
    pub keys_file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Workbench {
    pub fn new(database_url: SecretString, sealing_key: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys_file = folder.path().join("sealing.keys");
        std::fs::write(&keys_file, sealing_key).unwrap();
        Self { database_url, keys_file, _folder: folder }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command.args(arguments);
        command
            .env("DATABASE_URL", self.database_url.expose_secret())
            .env("PRESIGN__VAULT__KEYS_FILE", &self.keys_file);
        command.env("PRESIGN__OUTBOUND__ALLOWED_HOSTS", "127.0.0.1").env("PRESIGN__TELEMETRY__LEVEL", "trace");
        command
    }

    /// A command with time enough for a machine that runs all tests at once.
    fn patient(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        command.env("PRESIGN__DATABASE__ACQUIRE_TIMEOUT_MS", "10000");
        command
    }

    /// Runs a command to its end; it must succeed.
    pub async fn run(&self, arguments: &[&str]) -> String {
        let output = self.patient(arguments).output().await.unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        stdout(&output)
    }

    /// Runs a command that wants a credential; it must succeed.
    pub async fn run_with_credential(&self, arguments: &[&str], access_key_id: &str, secret: &str) -> String {
        let secret_file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret_file.path(), format!("{secret}\n")).unwrap();
        let credential = ["--access-key-id", access_key_id, "--secret-file", secret_file.path().to_str().unwrap()];
        self.run(&[arguments, &credential].concat()).await
    }

    /// Runs a command to its end; it must fail, and this is what it says.
    pub async fn fail(&self, arguments: &[&str]) -> String {
        let output = self.patient(arguments).output().await.unwrap();
        assert!(!output.status.success(), "{arguments:?} succeeded: {}", stdout(&output));
        stderr(&output)
    }
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A running `serve`.
pub struct Server {
    child: Child,
    pub url: String,
    pub ops_url: String,
    log: tokio::task::JoinHandle<String>,
}

impl Server {
    /// Starts `serve` on free ports and waits until it listens.
    pub async fn start(workbench: &Workbench, settings: &[(&str, &str)]) -> Self {
        Self::start_with(workbench, &[], settings).await
    }

    /// The same, with arguments of `serve`.
    pub async fn start_with(workbench: &Workbench, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let mut command = workbench.command(&["serve"]);
        command.args(arguments);
        command.env("PRESIGN__SERVER__LISTEN", "127.0.0.1:0").env("PRESIGN__SERVER__OPS_LISTEN", "127.0.0.1:0");
        let mut child = command.envs(settings.iter().copied()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (mut log, mut addresses) = (String::new(), None);
        while addresses.is_none() {
            let line = lines.next_line().await.unwrap().unwrap_or_else(|| panic!("serve ended: {log}"));
            let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if event["message"] == "listening" {
                let address = |name: &str| format!("http://{}", event[name].as_str().unwrap());
                addresses = Some((address("public"), address("ops")));
            }
            log.push_str(&line);
        }
        let (url, ops_url) = addresses.unwrap();
        // The pipe must be emptied, or the server would wait for us.
        let log = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                log.push_str(&line);
            }
            log
        });
        Self { child, url, ops_url, log }
    }

    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Memory of the process that is in use.
    pub fn memory_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        send(&self.child, signal);
    }

    /// Waits for the end; the log must hold no secret.
    pub async fn ended(self) -> std::process::ExitStatus {
        self.ended_with_log().await.0
    }

    /// The same, with the log; its lines are not kept apart.
    pub async fn ended_with_log(mut self) -> (std::process::ExitStatus, String) {
        let status = self.child.wait().await.unwrap();
        let log = self.log.await.unwrap();
        assert_eq!(canary::find(&log), None, "a secret in the log of serve");
        (status, log)
    }
}

/// A running `dev`.
pub struct DevStack {
    child: Child,
    pub welcome: String,
    data_dir: PathBuf,
}

impl DevStack {
    /// Starts `dev` on free ports and waits until it is ready.
    pub async fn start(data_dir: &Path) -> Self {
        let mut command = program();
        command.args(["dev", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"]);
        let mut child = command.arg("--data-dir").arg(data_dir).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut welcome = String::new();
        while !welcome.contains("Ctrl-C stops everything") {
            match lines.next_line().await.unwrap() {
                Some(line) => welcome.push_str(&(line + "\n")),
                None => panic!("dev ended: {welcome}{}", rest(&mut child).await),
            }
        }
        Self { child, welcome, data_dir: data_dir.to_owned() }
    }

    /// What `dev.env` says.
    pub fn environment(&self) -> std::collections::HashMap<String, String> {
        let text = std::fs::read_to_string(self.data_dir.join("dev.env")).unwrap();
        text.lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// Sends a signal and waits for the end; the log must hold no secret.
    pub async fn stop(mut self, signal: Signal) -> std::process::ExitStatus {
        send(&self.child, signal);
        let log = rest(&mut self.child).await;
        assert_eq!(canary::find(&log), None, "a secret in the log of dev");
        self.child.wait().await.unwrap()
    }
}

async fn rest(child: &mut Child) -> String {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).await.unwrap();
    text
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().unwrap().cast_signed());
    kill(pid, signal).unwrap();
}
