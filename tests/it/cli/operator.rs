//! What an operator does all year, from the command line.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::sealing_key::SealingKey;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::support::binary::Workbench;
use crate::support::{eventually, postgres};

async fn workbench() -> Workbench {
    let sealing_key = SealingKey::generate("k1", &Randomness::System);
    let workbench = Workbench::new(postgres::fresh_database().await, sealing_key.expose_secret());
    workbench.run(&["tenant", "create", "app"]).await;
    workbench
}

async fn json(workbench: &Workbench, arguments: &[&str]) -> Value {
    serde_json::from_str(&workbench.run(&[arguments, &["--output", "json"]].concat()).await).unwrap()
}

async fn add_bucket(workbench: &Workbench, alias: &str) {
    let place =
        ["--endpoint", "https://s3.example.com", "--region", "auto", "--bucket", "app-uploads", "--alias", alias];
    let arguments = [&["bucket", "add", "app"][..], &place].concat();
    workbench.run_with_credential(&arguments, "ID", "a-secret-of-no-store").await;
}

#[tokio::test]
async fn tenants_are_shown_changed_archived_and_brought_back() {
    let workbench = workbench().await;
    let update = [
        "tenant",
        "update",
        "app",
        "--prefix",
        "apps/app",
        "--template",
        "{prefix}/{uuid}.{ext}",
        "--max-size",
        "5000",
    ];
    assert_eq!(json(&workbench, &update).await["object_key_prefix"], "apps/app");
    let shown = json(&workbench, &["tenant", "show", "app"]).await;
    assert_eq!((&shown["max_size_bytes"], &shown["revision"]), (&json!(5000), &json!(2)));
    let taken_away = ["tenant", "update", "app", "--prefix", "", "--template", "{uuid}", "--max-size", "0"];
    let shown = json(&workbench, &taken_away).await;
    assert_eq!((&shown["object_key_prefix"], &shown["max_size_bytes"]), (&Value::Null, &Value::Null));

    workbench.run(&["tenant", "archive", "app"]).await;
    assert_eq!(json(&workbench, &["tenant", "list"]).await["items"], json!([]));
    assert_eq!(json(&workbench, &["tenant", "list", "--status", "archived"]).await["items"][0]["slug"], "app");
    assert_eq!(json(&workbench, &["tenant", "resume", "app"]).await["status"], "active");
    let first = json(&workbench, &["tenant", "create", "beta", "--name", "Beta"]).await;
    assert_eq!(first["name"], "Beta");
    let table = workbench.run(&["tenant", "list", "--limit", "1"]).await;
    let cursor = table.split("--cursor ").nth(1).unwrap().trim();
    assert_eq!(json(&workbench, &["tenant", "list", "--cursor", cursor]).await["items"][0]["slug"], "beta");
}

#[tokio::test]
async fn buckets_are_added_chosen_and_archived() {
    let workbench = workbench().await;
    add_bucket(&workbench, "default").await;
    add_bucket(&workbench, "second").await;
    workbench.run(&["bucket", "set-default", "app", "second"]).await;
    workbench.run(&["bucket", "update", "app", "default", "--new-alias", "first", "--region", "eu"]).await;
    assert_eq!(json(&workbench, &["bucket", "show", "app"]).await["alias"], "second", "the default one");
    assert_eq!(json(&workbench, &["bucket", "show", "app", "first"]).await["region"], "eu");
    assert!(workbench.fail(&["bucket", "archive", "app", "second"]).await.contains("default bucket"));
    workbench.run(&["bucket", "archive", "app", "first"]).await;
    let table = workbench.run(&["bucket", "list", "app"]).await;
    assert!(table.contains("second") && !table.contains("first"), "{table}");
}

#[tokio::test]
async fn api_keys_are_rotated_and_an_operators_last_one_stays() {
    let workbench = workbench().await;
    let old = json(&workbench, &["api-key", "create", "app", "--label", "web"]).await;
    let old_id = old["public_id"].as_str().unwrap();
    let new = json(&workbench, &["api-key", "rotate", old_id, "--overlap-hours", "1"]).await;
    assert!(new["api_key"].as_str().unwrap().starts_with("pgw_"));
    assert!(json(&workbench, &["api-key", "show", old_id]).await["expires_at"].is_string());
    let changed = json(&workbench, &["api-key", "update", old_id, "--label", "old web", "--never-expires"]).await;
    assert_eq!((&changed["label"], &changed["expires_at"]), (&json!("old web"), &Value::Null));

    // One character too many: what may be a secret is not repeated.
    let mistyped = format!("{}x", new["api_key"].as_str().unwrap());
    let said = workbench.fail(&["api-key", "revoke", &mistyped]).await;
    assert!(!said.contains(&mistyped) && said.contains("neither a public id"), "{said}");

    let operator = json(&workbench, &["api-key", "create", "--operator", "--label", "alice"]).await;
    let operator_id = operator["public_id"].as_str().unwrap();
    assert!(workbench.fail(&["api-key", "revoke", operator_id]).await.contains("no other operator key"));
    workbench.run(&["api-key", "create", "--operator", "--label", "bob"]).await;
    workbench.run(&["api-key", "revoke", operator_id]).await;
    let listed = json(&workbench, &["api-key", "list", "--operator"]).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_audit_tells_who_did_it_and_on_which_machine() {
    let workbench = workbench().await;
    workbench.run(&["tenant", "update", "app", "--rate", "7"]).await;
    let mut command = workbench.command(&["audit", "list", "--tenant", "app", "--output", "json"]);
    let listed: Value = serde_json::from_slice(&command.output().await.unwrap().stdout).unwrap();
    let newest = &listed["items"][0];
    assert_eq!((&newest["action"], &newest["changed_fields"]), (&json!("tenant.update"), &json!(["rate_per_second"])));
    assert!(newest["actor"].as_str().unwrap().starts_with("cli:"));
    assert!(newest["origin"].is_string());
    let nobody =
        workbench.command(&["tenant", "update", "app", "--rate", "8"]).env("USER", "eve\ninjected").output().await;
    assert!(nobody.unwrap().status.success());
    let named = json(&workbench, &["audit", "list", "--from", "2026-01-01", "--limit", "1"]).await;
    assert!(!named["items"][0]["actor"].as_str().unwrap().contains("eve"), "{named}");
    let table = workbench.run(&["audit", "list", "--action", "tenant.create"]).await;
    assert!(table.contains("tenant.create") && !table.contains("tenant.update"), "{table}");
    assert!(workbench.fail(&["audit", "list", "--from", "yesterday"]).await.contains("--from"));
}

#[tokio::test]
async fn sealing_everything_anew_can_be_killed_and_begun_again() {
    let workbench = workbench().await;
    add_bucket(&workbench, "default").await;
    let mut connection = postgres::connect(&workbench.database_url).await;
    // Copies do not open, since what is sealed is bound to its row; they are counted all the same.
    sqlx::query(
        "INSERT INTO buckets (id, tenant_id, alias, is_default, endpoint, region, bucket, addressing, provider, access_key_id,
                              sealing_key_id, sealed_secret_access_key, credential_version, created_at, updated_at)
         SELECT gen_random_uuid(), tenant_id, 'copy-' || number, false, endpoint, region, bucket, addressing, provider, access_key_id,
                sealing_key_id, sealed_secret_access_key, credential_version, created_at, updated_at
         FROM buckets, generate_series(1, 3) AS number",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let new = SealingKey::generate("k2", &Randomness::System);
    let old = std::fs::read_to_string(&workbench.keys_file).unwrap();
    std::fs::write(&workbench.keys_file, format!("{}\n{old}", new.expose_secret())).unwrap();

    // Held up by a lock on one row, it is killed in the middle of its batch.
    let mut lock = connection.begin().await.unwrap();
    sqlx::query("SELECT id FROM buckets WHERE alias = 'copy-3' FOR UPDATE").fetch_one(&mut *lock).await.unwrap();
    let mut rotating = workbench.command(&["keyring", "rotate"]).spawn().unwrap();
    let waits = || async {
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let mut connection: PgConnection = postgres::connect(&workbench.database_url).await;
        let count: i64 = sqlx::query_scalar(waiting).fetch_one(&mut connection).await.unwrap();
        (count > 0).then_some(())
    };
    eventually("it waits for the row", waits).await;
    kill(Pid::from_raw(rotating.id().unwrap().cast_signed()), Signal::SIGKILL).unwrap();
    rotating.wait().await.unwrap();
    lock.rollback().await.unwrap();

    let again = workbench.command(&["keyring", "rotate", "--output", "json"]).output().await.unwrap();
    assert!(!again.status.success(), "the copies do not open");
    let done: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((&done["resealed"], done["failed"].as_array().unwrap().len()), (&json!(1), 3));
    sqlx::query("DELETE FROM buckets WHERE alias LIKE 'copy-%'").execute(&mut connection).await.unwrap();
    assert!(workbench.run(&["keyring", "rotate"]).await.contains("0 rows re-sealed under k2"));
    let status = json(&workbench, &["keyring", "status"]).await;
    assert_eq!(status["items"][0], json!({ "sealing_key_id": "k2", "seals": true, "present": true, "rows": 1 }));
    assert_eq!(status["items"][1]["rows"], 0);
}

#[tokio::test]
async fn policy_and_enforced_bindings_are_set_by_commands() {
    let workbench = workbench().await;
    let update = ["tenant", "update", "app", "--require", "size, write_once", "--verify-arrival", "true"];
    let shown = json(&workbench, &update).await;
    assert_eq!((&shown["required_bindings"], &shown["verify_arrival"]), (&json!(["size", "write_once"]), &json!(true)));
    let shown = json(&workbench, &["tenant", "update", "app", "--require", "", "--verify-arrival", "false"]).await;
    assert_eq!((&shown["required_bindings"], &shown["verify_arrival"]), (&json!([]), &json!(false)));

    add_bucket(&workbench, "generic").await;
    assert_eq!(json(&workbench, &["bucket", "show", "app"]).await["enforced_bindings"], json!([]));
    let shown =
        json(&workbench, &["bucket", "update", "app", "generic", "--enforced-bindings", "sha256,write_once"]).await;
    assert_eq!(shown["enforced_bindings"], json!(["sha256", "write_once"]));
    let refused = workbench.fail(&["bucket", "update", "app", "generic", "--enforced-bindings", "size"]).await;
    assert!(refused.contains("sha256, write_once"), "{refused}");
}
