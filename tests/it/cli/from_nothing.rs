//! From an empty database to a picture in a bucket, by the commands of the README.

use std::time::Duration;

use nix::sys::signal::Signal;
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::sealing_key::SealingKey;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::support::binary::{Server, Workbench, stderr};
use crate::support::eventually;
use crate::support::postgres;
use crate::support::proxy::Proxy;
use crate::support::stack::TestStack;
use crate::support::tokens::{self, IssuerKey};

/// A workbench whose tenant `app` has alpha's bucket on the stack's store.
async fn workbench(store: &TestStack) -> Workbench {
    let sealing_key = SealingKey::generate("k1", &Randomness::System);
    let workbench = Workbench::new(postgres::empty_database().await, sealing_key.expose_secret());
    assert!(workbench.fail(&["migrate"]).await.contains("permission denied for schema public"));
    let owner = Workbench::new(postgres::url_as(&workbench.database_url, postgres::OWNER), "");
    owner.run(&["migrate"]).await;
    postgres::give_rights(&workbench.database_url).await;
    workbench.run(&["tenant", "create", "app"]).await;
    let alpha = &store.demo.alpha;
    let add = ["bucket", "add", "app", "--endpoint", &store.s3_url, "--region", "us-east-1", "--bucket", &alpha.bucket];
    workbench.run_with_credential(&add, &alpha.access_key_id, &alpha.secret_access_key).await;
    workbench
}

async fn presign(server: &Server, credential: &str) -> (u16, Value) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response =
        client.get(format!("{}/oss/presign?ext=png", server.url)).bearer_auth(credential).send().await.unwrap();
    (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

#[tokio::test]
async fn the_commands_lead_from_an_empty_database_to_an_upload() {
    let store = TestStack::start().await;
    let workbench = workbench(&store).await;
    let created: Value =
        serde_json::from_str(&workbench.run(&["api-key", "create", "app", "--label", "me", "--output", "json"]).await)
            .unwrap();
    let api_key = created["api_key"].as_str().unwrap();
    let server = Server::start(&workbench, &[("PRESIGN__AUTH__CACHE_SECONDS", "0")]).await;

    let (status, body) = presign(&server, api_key).await;
    assert_eq!(status, 200, "{body}");
    let put = store.client.put(body["data"]["url"].as_str().unwrap()).body("bytes").send().await.unwrap();
    assert_eq!(put.status(), 200);

    let limited: Value = serde_json::from_str(
        &workbench.run(&["tenant", "update", "app", "--rate", "1", "--burst", "1", "--output", "json"]).await,
    )
    .unwrap();
    assert_eq!(limited["burst"], 1);
    assert_eq!(presign(&server, api_key).await.0, 200);
    assert_eq!(presign(&server, api_key).await.0, 429);

    workbench.run(&["api-key", "revoke", created["public_id"].as_str().unwrap()]).await;
    assert_eq!(presign(&server, api_key).await.0, 401);
    server.signal(Signal::SIGTERM);
    assert!(server.ended().await.success());
}

#[tokio::test]
async fn jwt_issuers_are_added_from_files_and_suspending_stops_them() {
    let store = TestStack::start().await;
    let workbench = workbench(&store).await;
    let key = IssuerKey::es256();
    let pem_file = store.files.path().join("issuer.pem");
    std::fs::write(&pem_file, &key.public_pem).unwrap();
    let issuer = ["--issuer", tokens::ISSUER, "--audience", tokens::AUDIENCE, "--algorithm", "ES256"];
    workbench
        .run(&[&["jwt-issuer", "add", "app"][..], &issuer, &["--pem-file", pem_file.to_str().unwrap()]].concat())
        .await;
    assert!(workbench.run(&["jwt-issuer", "list", "app"]).await.contains("ES256"));
    let server = Server::start(&workbench, &[("PRESIGN__AUTH__CACHE_SECONDS", "0")]).await;
    let token = key.token(None, &tokens::claims());
    assert_eq!(presign(&server, &token).await.0, 200);
    workbench.run(&["tenant", "suspend", "app"]).await;
    assert_eq!(presign(&server, &token).await.0, 403);
    workbench.run(&["tenant", "resume", "app"]).await;
    assert_eq!(presign(&server, &token).await.0, 200);
}

#[tokio::test]
async fn the_doctor_tries_everything_and_leaves_nothing_behind() {
    let store = TestStack::start().await;
    let workbench = workbench(&store).await;
    let findings: Value = serde_json::from_str(&workbench.run(&["doctor", "app", "--output", "json"]).await).unwrap();
    let healths: Vec<&str> =
        findings.as_array().unwrap().iter().map(|finding| finding["health"].as_str().unwrap()).collect();
    // The store enforces more than was claimed, and drops metadata from the query; the doctor says both.
    assert_eq!(healths, ["good", "good", "good", "fair", "fair", "good", "fair", "good", "good"], "{findings:#}");
    let left = std::fs::read_dir(
        store.files.path().join("buckets").join(&store.demo.alpha.bucket).join("presign-gateway-doctor"),
    );
    assert_eq!(left.map_or(0, Iterator::count), 0);
}

#[tokio::test]
async fn doctor_says_how_to_fix_wrong_secret_and_missing_bucket() {
    let store = TestStack::start().await;
    let workbench = workbench(&store).await;
    let rotate = ["bucket", "rotate-credential", "app", "default", "--skip-check"];
    workbench.run_with_credential(&rotate, &store.demo.alpha.access_key_id, "another-secret").await;
    let said = workbench.command(&["doctor", "app", "--output", "json"]).output().await.unwrap();
    assert!(!said.status.success());
    let findings: Value = serde_json::from_slice(&said.stdout).unwrap();
    let bad: Vec<_> = findings.as_array().unwrap().iter().filter(|finding| finding["health"] == "bad").collect();
    assert_eq!(bad.len(), 1, "{findings:#}");
    assert!(bad[0]["found"].as_str().unwrap().contains("SignatureDoesNotMatch"));
    assert!(bad[0]["remedy"].as_str().unwrap().contains("--secret-stdin"));
}

async fn readiness(server: &Server) -> u16 {
    reqwest::get(format!("{}/readyz", server.ops_url)).await.unwrap().status().as_u16()
}

fn empty_workbench(database_url: SecretString) -> Workbench {
    Workbench::new(database_url, SealingKey::generate("k1", &Randomness::System).expose_secret())
}

/// Runs `serve` to its end; it must fail, and this is what it says.
async fn refused(workbench: &Workbench) -> String {
    let mut serve = workbench.command(&["serve"]);
    serve.env("PRESIGN__SERVER__LISTEN", "127.0.0.1:0").env("PRESIGN__SERVER__OPS_LISTEN", "127.0.0.1:0");
    let output = tokio::time::timeout(Duration::from_secs(30), serve.output()).await.unwrap().unwrap();
    assert!(!output.status.success(), "{}", stderr(&output));
    stderr(&output)
}

#[tokio::test]
async fn serve_on_an_unmigrated_database_says_once_what_to_run() {
    let empty = postgres::empty_database().await;
    let older = postgres::fresh_database().await;
    let last = "DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)";
    sqlx::query(last).execute(&mut postgres::connect(&older).await).await.unwrap();
    for url in [postgres::url_as(&empty, postgres::OWNER), older] {
        let said = refused(&empty_workbench(url)).await;
        for command in ["`presign-gateway migrate`", "`presign-gateway serve --migrate`"] {
            assert_eq!(said.matches(command).count(), 1, "{said}");
        }
        assert!(!said.contains("listening") && !said.contains(r#""level":"WARN""#), "{said}");
    }
}

#[tokio::test]
async fn serve_migrates_an_empty_database_without_a_warning() {
    let url = postgres::empty_database().await;
    // The role that creates the tables owns them.
    let workbench = empty_workbench(postgres::url_as(&url, postgres::OWNER));
    let server = Server::start_with(&workbench, &["--migrate"], &[]).await;
    assert_eq!(readiness(&server).await, 200);
    server.signal(Signal::SIGTERM);
    let (status, log) = server.ended_with_log().await;
    assert!(status.success());
    assert!(log.contains("listening") && !log.contains(r#""level":"WARN""#), "{log}");
}

#[tokio::test]
async fn serve_starts_without_its_database_and_sees_it_migrated() {
    let direct = postgres::url_as(&postgres::empty_database().await, postgres::OWNER);
    let proxy = Proxy::to(&direct).await;
    proxy.cut();
    let workbench = empty_workbench(proxy.url(&direct));
    let server = Server::start(&workbench, &[]).await;
    assert_eq!(readiness(&server).await, 503);
    proxy.mend();
    let unmigrated = || async {
        let answer = reqwest::get(format!("{}/readyz", server.ops_url)).await.unwrap();
        answer.text().await.unwrap().contains("`presign-gateway migrate`").then_some(())
    };
    eventually("the database is seen to be empty", unmigrated).await;
    workbench.run(&["migrate"]).await;
    assert_eq!(readiness(&server).await, 200, "it notices");
    server.signal(Signal::SIGTERM);
    assert!(server.ended().await.success());
}

#[tokio::test]
async fn serve_starts_on_a_newer_schema() {
    let url = postgres::fresh_database().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (99999999999999, 'of a newer version', true, '\\x00', 0)";
    sqlx::query(newer).execute(&mut postgres::connect(&url).await).await.unwrap();
    let server = Server::start(&empty_workbench(url), &[]).await;
    assert_eq!(readiness(&server).await, 200);
    server.signal(Signal::SIGTERM);
    assert!(server.ended().await.success());
}

#[tokio::test]
async fn serve_survives_sighup_and_says_what_to_do() {
    let server = Server::start(&empty_workbench(postgres::fresh_database().await), &[]).await;
    for _ in 0..2 {
        server.signal(Signal::SIGHUP);
        assert_eq!(readiness(&server).await, 200);
    }
    server.signal(Signal::SIGTERM);
    let (status, log) = server.ended_with_log().await;
    assert!(status.success(), "{status}");
    assert!(log.contains("SIGHUP is ignored: restart to apply new settings"), "{log}");
}

#[tokio::test]
async fn healthcheck_fails_unless_the_gateway_answers() {
    let workbench = empty_workbench(postgres::fresh_database().await);
    let server = Server::start(&workbench, &[]).await;
    let ops_listen = server.ops_url.replace("http://", "");
    let healthcheck = || {
        let mut command = workbench.command(&["healthcheck"]);
        command.env("PRESIGN__SERVER__OPS_LISTEN", &ops_listen);
        async move { command.output().await.unwrap().status.success() }
    };
    assert!(healthcheck().await);
    server.signal(Signal::SIGTERM);
    server.ended().await;
    assert!(!healthcheck().await);
}
