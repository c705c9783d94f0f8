//! The promises of ARCHITECTURE.md that no single route holds.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::sealing_key::SealingKey;
use reqwest::StatusCode;
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::support::binary::{Server, Workbench};
use crate::support::stack::TestStack;
use crate::support::{eventually, postgres};

#[tokio::test]
async fn two_tenants_cannot_reach_each_others_buckets() {
    let stack = TestStack::start().await;
    let alphas = stack.presign_as(&stack.demo.alpha.api_key).await;
    let betas = stack.presign_as(&stack.demo.beta.api_key).await;
    assert!(alphas.url().contains("/alpha-uploads/") && alphas.url().contains("demo-alpha"));
    assert!(betas.url().contains("/beta-uploads/") && betas.url().contains("demo-beta"));
    // Alpha's signature on beta's object, and the reverse.
    let swapped =
        alphas.url().replace("/alpha-uploads/", "/beta-uploads/").replace(alphas.object_key(), betas.object_key());
    assert_eq!(stack.client.put(swapped).body("x").send().await.unwrap().status(), StatusCode::FORBIDDEN);
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT tenants.slug, count(*) FROM uploads JOIN tenants ON tenants.id = tenant_id
         JOIN buckets ON buckets.id = bucket_id AND buckets.tenant_id = tenants.id GROUP BY 1 ORDER BY 1",
    )
    .fetch_all(&mut stack.connect().await)
    .await
    .unwrap();
    assert_eq!(rows, [("alpha".to_owned(), 1), ("beta".to_owned(), 1)]);
}

#[tokio::test]
async fn a_presigned_url_cannot_be_made_to_copy_from_elsewhere() {
    let stack = TestStack::start().await;
    let betas = stack.presign_as(&stack.demo.beta.api_key).await;
    assert_eq!(stack.client.put(betas.url()).body("secret").send().await.unwrap().status(), StatusCode::OK);
    let alphas = stack.presign_as(&stack.demo.alpha.api_key).await;
    let source = format!("/beta-uploads/{}", betas.object_key());
    let copied = stack.client.put(alphas.url()).header("x-amz-copy-source", source).send().await.unwrap();
    assert_eq!(copied.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn no_secret_is_in_any_table_in_the_open() {
    let stack = TestStack::start().await;
    stack.presign("ext=jpg").await.url();
    let mut connection = stack.connect().await;
    let mut everything = String::new();
    for table in ["tenants", "buckets", "api_keys", "jwt_issuers", "uploads", "audit_events"] {
        let statement = format!("SELECT coalesce(string_agg(row_to_json(t)::text, ' '), '') FROM {table} t");
        everything +=
            &sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(statement)).fetch_one(&mut connection).await.unwrap();
    }
    let demo = &stack.demo;
    for secret in [&demo.alpha.secret_access_key, &demo.jwt_secret, &demo.operator_key, &demo.alpha.api_key] {
        // A bytea is shown in hexadecimal digits.
        let hex = secret.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        assert!(!everything.contains(secret.as_str()) && !everything.contains(&hex));
    }
    assert!(everything.contains("demo-alpha"), "the access key id is there");
}

#[tokio::test]
async fn every_change_is_audited_in_names_only_and_the_audit_cannot_be_changed() {
    let stack = TestStack::start().await;
    let mut connection = stack.connect().await;
    let actions: Vec<String> = sqlx::query_scalar("SELECT DISTINCT action FROM audit_events ORDER BY 1")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(actions, ["api_key.create", "bucket.add", "jwt_issuer.add", "tenant.create"]);
    for statement in ["UPDATE audit_events SET actor = 'x'", "DELETE FROM audit_events", "TRUNCATE audit_events"] {
        assert!(sqlx::query(statement).execute(&mut connection).await.is_err(), "{statement}");
    }
}

/// Object keys that clients were given.
type Received = Arc<tokio::sync::Mutex<HashSet<String>>>;

async fn presign_until_told(url: String, api_key: String, received: Received, stop: Arc<AtomicBool>) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    while !stop.load(Ordering::Relaxed) {
        let sent = client.get(format!("{url}/oss/presign?ext=jpg")).bearer_auth(&api_key).send().await;
        // Whatever arrives whole counts; the kill may cut an answer short.
        let Ok(response) = sent else { return };
        let Ok(body) = response.text().await else { return };
        let Ok(body) = serde_json::from_str::<Value>(&body) else { return };
        if let Some(object_key) = body["data"]["key"].as_str() {
            received.lock().await.insert(object_key.to_owned());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_restarted_each_object_key_that_was_handed_out_has_its_row() {
    let sealing_key = SealingKey::generate("test", &Randomness::System);
    let workbench = Workbench::new(postgres::fresh_database().await, sealing_key.expose_secret());
    let secret_file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret_file.path(), "a-secret-of-no-store").unwrap();
    workbench.run(&["tenant", "create", "app", "--rate", "1000000", "--burst", "1000000"]).await;
    let bucket =
        ["bucket", "add", "app", "--endpoint", "https://s3.example.com", "--region", "auto", "--bucket", "app-uploads"];
    let credential = ["--access-key-id", "ID", "--secret-file", secret_file.path().to_str().unwrap()];
    workbench.run(&[&bucket[..], &credential[..]].concat()).await;
    let api_key = workbench.run(&["api-key", "create", "app", "--label", "test"]).await.trim().to_owned();

    let received = Received::default();
    for round in 1..=3 {
        let server = Server::start(&workbench, &[("PRESIGN__TELEMETRY__LEVEL", "info")]).await;
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for _ in 0..16 {
            clients.spawn(presign_until_told(
                server.url.clone(),
                api_key.clone(),
                Arc::clone(&received),
                Arc::clone(&stop),
            ));
        }
        eventually("enough presigns", || async { (received.lock().await.len() >= round * 200).then_some(()) }).await;
        server.signal(Signal::SIGKILL);
        server.ended().await;
        stop.store(true, Ordering::Relaxed);
        clients.join_all().await;
    }
    let mut connection = postgres::connect(&workbench.database_url).await;
    let rows: HashSet<String> = sqlx::query_scalar("SELECT object_key FROM uploads")
        .fetch_all(&mut connection)
        .await
        .unwrap()
        .into_iter()
        .collect();
    let received = received.lock().await;
    assert!(received.len() >= 600);
    assert!(
        received.is_subset(&rows),
        "handed out without a row: {:?}",
        received.difference(&rows).collect::<Vec<_>>()
    );
}
