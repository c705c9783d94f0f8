//! `dev`: the whole stack, as a newcomer starts it.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::process::Command;

use crate::support::binary::{DevStack, Workbench, program, stderr};
use crate::support::stack::TestStack;
use crate::support::{canary, eventually};

/// Runs lines as they were printed.
async fn shell(script: &str) -> String {
    let output = Command::new("sh").args(["-euc", script]).output().await.unwrap();
    assert!(output.status.success(), "{script}\n{}", stderr(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The line that takes the settings into a shell, as it was printed.
fn settings(dev: &DevStack) -> String {
    let printed = dev.welcome.lines().find_map(|line| line.trim().strip_prefix("settings"));
    format!("{};", printed.unwrap().trim())
}

#[tokio::test]
async fn dev_prints_working_curl_lines_and_keeps_its_demo() {
    let folder = tempfile::Builder::new().prefix("presign gateway's test ").tempdir().unwrap();
    let dev = DevStack::start(folder.path()).await;
    let environment = dev.environment();
    for name in [
        "PRESIGN_API_KEY",
        "PRESIGN_API_KEY_BETA",
        "PRESIGN_OPERATOR_KEY",
        "PRESIGN_JWT",
        "PRESIGN_JWT_SECRET",
        "AWS_SECRET_ACCESS_KEY",
    ] {
        canary::watch(&environment[name]);
    }
    let lines: Vec<&str> = dev.welcome.lines().map(str::trim).filter(|line| line.contains("curl -")).collect();
    assert_eq!(lines.len(), 2, "{}", dev.welcome);
    let answer = shell(&lines.join("\n")).await;
    assert!(answer.contains("200 OK"), "{answer}");

    let sourced = settings(&dev);
    let binary = env!("CARGO_BIN_EXE_presign-gateway");
    let listed: Value =
        serde_json::from_str(&shell(&format!("{sourced} '{binary}' tenant list --output json")).await).unwrap();
    assert_eq!((&listed["items"][0]["slug"], &listed["items"][1]["slug"]), (&"alpha".into(), &"beta".into()));
    shell(&format!("{sourced} '{binary}' doctor alpha; '{binary}' doctor beta; '{binary}' config check")).await;
    let by_jwt = shell(&format!(
        "{sourced} curl -sS -H \"Authorization: Bearer $PRESIGN_JWT\" \"$PRESIGN_URL/oss/presign?ext=mp4\""
    ))
    .await;
    assert!(by_jwt.contains("\"code\":0"), "{by_jwt}");

    let stopping = Instant::now();
    assert!(dev.stop(Signal::SIGTERM).await.success());
    assert!(stopping.elapsed() < Duration::from_secs(5));
    assert!(!folder.path().join("postgres/postmaster.pid").exists(), "Postgres is gone");

    // The folder may be renamed in between.
    let renamed = folder.path().with_extension("renamed");
    std::fs::rename(folder.path(), &renamed).unwrap();
    let again = DevStack::start(&renamed).await;
    let after = again.environment();
    for name in [
        "PRESIGN_API_KEY",
        "PRESIGN_API_KEY_BETA",
        "PRESIGN_OPERATOR_KEY",
        "PRESIGN_JWT_SECRET",
        "AWS_SECRET_ACCESS_KEY",
        "BUCKET",
    ] {
        assert_eq!(environment[name], after[name], "{name}");
    }
    let sourced = settings(&again);
    let by_key =
        shell(&format!("{sourced} curl -sS -H \"X-Api-Key: $PRESIGN_API_KEY\" \"$PRESIGN_URL/oss/presign?ext=gif\""))
            .await;
    assert!(by_key.contains("\"code\":0"), "{by_key}");
    assert!(again.stop(Signal::SIGINT).await.success());
    std::fs::remove_dir_all(renamed).unwrap();
}

#[tokio::test]
async fn dev_killed_leaves_no_postgres_and_starts_again() {
    let folder = tempfile::tempdir().unwrap();
    let dev = DevStack::start(folder.path()).await;
    dev.stop(Signal::SIGKILL).await;
    let again = DevStack::start(folder.path()).await;
    assert!(again.stop(Signal::SIGTERM).await.success());
    let gone = || async { (!folder.path().join("postgres/postmaster.pid").exists()).then_some(()) };
    eventually("Postgres is gone", gone).await;
}

#[tokio::test]
async fn a_folder_that_dev_did_not_make_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let precious = folder.path().join("postgres/precious.sql");
    std::fs::create_dir(precious.parent().unwrap()).unwrap();
    std::fs::write(&precious, "mine").unwrap();
    for flags in [&[][..], &["--reset"]] {
        let output = program().args(["dev", "--data-dir"]).arg(folder.path()).args(flags).output().await.unwrap();
        assert!(stderr(&output).contains("nothing was changed"), "{}", stderr(&output));
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "mine");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[tokio::test]
async fn an_interrupted_first_start_is_made_good_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program();
    command.args(["dev", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"]);
    let mut child = command.arg("--data-dir").arg(folder.path()).spawn().unwrap();
    let record = folder.path().join("postgres.json");
    eventually("the cluster is being made", || async { record.exists().then_some(()) }).await;
    child.kill().await.unwrap();
    let dev = DevStack::start(folder.path()).await;
    assert!(dev.stop(Signal::SIGTERM).await.success());
}

/// Whether a process has the folder in its command line.
async fn is_named_by_a_process(folder: &Path) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        // Where there is no /proc, as on macOS, there is pgrep.
        let found = Command::new("pgrep").arg("-f").arg(folder).output().await.unwrap();
        return !found.stdout.is_empty();
    };
    let command_lines = processes.flatten().filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let name = folder.to_str().unwrap();
    command_lines.into_iter().any(|line| String::from_utf8_lossy(&line).contains(name))
}

#[tokio::test]
async fn dev_killed_while_postgres_begins_leaves_no_postgres() {
    let folder = tempfile::tempdir().unwrap();
    DevStack::start(folder.path()).await.stop(Signal::SIGTERM).await;
    let log = folder.path().join("postgres/server.log");
    for _ in 0..3 {
        let mut command = program();
        command.args(["dev", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"]);
        let _ = std::fs::remove_file(&log);
        let mut child = command.arg("--data-dir").arg(folder.path()).spawn().unwrap();
        eventually("Postgres is being started", || async { log.exists().then_some(()) }).await;
        child.kill().await.unwrap();
        let gone = || async { (!is_named_by_a_process(folder.path()).await).then_some(()) };
        eventually("no process of this folder is left", gone).await;
    }
}

#[tokio::test]
async fn dev_stops_within_five_seconds_while_a_client_dawdles() {
    use tokio::io::AsyncWriteExt;

    let folder = tempfile::tempdir().unwrap();
    let dev = DevStack::start(folder.path()).await;
    let environment = dev.environment();
    let mut dawdlers = Vec::new();
    for name in ["PRESIGN_URL", "PRESIGN_OPS_URL", "AWS_ENDPOINT_URL_S3"] {
        let mut stream = tokio::net::TcpStream::connect(environment[name].trim_start_matches("http://")).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n").await.unwrap();
        dawdlers.push(stream);
    }
    let stopping = Instant::now();
    assert!(dev.stop(Signal::SIGINT).await.success());
    assert!(stopping.elapsed() < Duration::from_secs(5), "{:?}", stopping.elapsed());
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_flag_that_moves_it() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    for flag in ["--listen", "--ops-listen", "--s3-listen"] {
        let mut command = program();
        command.arg("dev").arg("--data-dir").arg(folder.path());
        for each in ["--listen", "--ops-listen", "--s3-listen"] {
            command.args([each, if each == flag { &address } else { "127.0.0.1:0" }]);
        }
        let output = command.output().await.unwrap();
        assert!(!output.status.success());
        let said = stderr(&output);
        assert!(said.contains(&address) && said.contains(&format!("with {flag},")), "{said}");
    }
}

#[tokio::test]
async fn second_dev_on_one_folder_fails_and_reset_clears_it() {
    let folder = tempfile::tempdir().unwrap();
    let dev = DevStack::start(folder.path()).await;
    let before = dev.environment();
    let mut second = program();
    second.arg("dev").arg("--data-dir").arg(folder.path()).arg("--reset");
    let said = stderr(&second.output().await.unwrap());
    assert!(said.contains("another `presign-gateway dev` is running"), "{said}");
    dev.stop(Signal::SIGTERM).await;

    let mut reset = program();
    reset.args([
        "dev",
        "--reset",
        "--listen",
        "127.0.0.1:0",
        "--ops-listen",
        "127.0.0.1:0",
        "--s3-listen",
        "127.0.0.1:0",
    ]);
    let mut child = reset.arg("--data-dir").arg(folder.path()).spawn().unwrap();
    let env_file = folder.path().join("dev.env");
    let key =
        || async { std::fs::read_to_string(&env_file).ok().filter(|text| !text.contains(&before["PRESIGN_API_KEY"])) };
    eventually("a new demo", key).await;
    child.kill().await.unwrap();
}

#[tokio::test]
async fn dev_seed_fills_the_ledger_of_a_dev_stack_and_of_no_other() {
    let stack = TestStack::start().await;
    let workbench = Workbench::new(stack.database_url.clone(), stack.sealing_key.expose_secret());
    workbench.run(&["dev", "seed", "--rows", "3000", "--tenants", "3", "--months", "2"]).await;
    assert_eq!(stack.recorded().await, 3000);
    let mut connection = stack.connect().await;
    let kinds = "SELECT count(DISTINCT tenant_id) = 3 AND count(DISTINCT state) = 5 AND count(DISTINCT ext) > 3
        AND bool_and(position(id::text IN object_key) > 0) AND bool_and(id >= upload_id_at(date_trunc('milliseconds', issued_at)))
        AND min(issued_at) < now() - interval '55 days' FROM uploads";
    assert!(sqlx::query_scalar::<_, bool>(kinds).fetch_one(&mut connection).await.unwrap());
    let usage: Value = serde_json::from_str(
        &workbench.run(&["usage", "--from", "2020-01-01", "--to", "2020-01-02", "--output", "json"]).await,
    )
    .unwrap();
    assert_eq!(usage["total"]["uploads"], 0);
    let counted = "SELECT sum(uploads)::bigint FROM usage WHERE dimension = 'total' AND period = 'day'";
    assert_eq!(sqlx::query_scalar::<_, i64>(counted).fetch_one(&mut connection).await.unwrap(), 3000);

    sqlx::query("DELETE FROM jwt_issuers").execute(&mut connection).await.unwrap();
    let refused = workbench.fail(&["dev", "seed", "--rows", "10"]).await;
    assert!(refused.contains("--even-if-not-dev"), "{refused}");
    assert_eq!(stack.recorded().await, 3000);
}
