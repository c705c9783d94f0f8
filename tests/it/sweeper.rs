//! The sweeper: its results, how instances share the work, and failing buckets.

mod faults;
mod share;

use presign_gateway::admin::{PolicyChanges, TenantChanges};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Row;

use crate::support::binary::Workbench;
use crate::support::eventually;
use crate::support::faulty_store::FaultyStore;
use crate::support::stack::{Setup, TestStack};
use crate::v1::{complete, id_in, issue, promise, state};
use secrecy::ExposeSecret;

/// Makes uploads due: their URL ran out ten minutes ago.
const DUE: &str = "issued_at = now() - interval '1 hour', url_expires_at = now() - interval '10 minutes',
                   check_at = now() - interval '5 minutes'";

/// A stack whose gateway sweeps every second.
async fn sweeping() -> TestStack {
    sweeping_setup().start().await
}

fn sweeping_setup() -> Setup {
    Setup::new().set("UPLOADS__SWEEP_SECONDS", "1").set("UPLOADS__SWEEP_PER_SECOND", "500")
}

/// Uploads of a tenant's, all due; every second one has arrived.
async fn due_uploads(stack: &TestStack, api_key: &str, count: usize) -> Vec<String> {
    let mut object_keys = Vec::new();
    for place in 0..count {
        let issued = stack.presign_as(api_key).await;
        if place % 2 == 0 {
            assert_eq!(stack.client.put(issued.url()).body("x").send().await.unwrap().status(), 200);
        }
        object_keys.push(issued.object_key().to_owned());
    }
    make_due(stack, "state = 'issued'").await;
    object_keys
}

async fn make_due(stack: &TestStack, condition: &str) {
    let statement = format!("UPDATE uploads SET {DUE} WHERE {condition}");
    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut stack.connect().await).await.unwrap();
}

/// How many uploads of a tenant there are of each state, and how many still wait for the sweeper.
async fn states(stack: &TestStack, tenant: &str) -> (Vec<(String, i64)>, i64) {
    let rows = sqlx::query(
        "SELECT state, count(*), count(check_at) FROM uploads JOIN tenants ON tenants.id = tenant_id WHERE slug = $1 GROUP BY 1 ORDER BY 1",
    );
    let rows = rows.bind(tenant).fetch_all(&mut stack.connect().await).await.unwrap();
    (rows.iter().map(|row| (row.get(0), row.get(1))).collect(), rows.iter().map(|row| row.get::<i64, _>(2)).sum())
}

/// Waits until nothing of a tenant's waits for the sweeper.
async fn settled(stack: &TestStack, tenant: &str) -> Vec<(String, i64)> {
    eventually("all is settled", async || {
        let (states, waiting) = states(stack, tenant).await;
        (waiting == 0).then_some(states)
    })
    .await
}

/// What the operators' route says.
async fn status(stack: &TestStack) -> Value {
    stack.admin(Method::GET, "/sweeper").send().await.data(200).clone()
}

#[tokio::test]
async fn what_arrived_what_did_not_and_what_is_wrong_are_told_apart() {
    let stack = sweeping().await;
    let (arrived, url) = issue(&stack).await;
    stack.client.put(&url).body("x").send().await.unwrap();
    let (wrong, url) = issue(&stack).await;
    stack.client.put(&url).body("x").send().await.unwrap();
    promise(&stack, &wrong, "declared_size_bytes = 2").await;
    let (missing, _) = issue(&stack).await;
    let (living, _) = issue(&stack).await;
    make_due(&stack, &format!("id <> '{living}'")).await;
    settled(&stack, "alpha").await;
    for (id, expected) in
        [(arrived, "uploaded"), (wrong.clone(), "mismatched"), (missing, "expired"), (living, "issued")]
    {
        assert_eq!(state(&stack, &id).await, expected);
    }
    let shown = stack.get(&format!("/v1/uploads/{wrong}")).bearer(&stack.demo.alpha.api_key).send().await;
    assert_eq!(shown.data(200)["mismatches"], json!([{ "field": "size", "promised": "2", "found": "1" }]));
    let status = status(&stack).await;
    assert_eq!((&status["backlog"]["due"], &status["every_seconds"]), (&json!(0), &json!(1)));
}

#[tokio::test]
async fn policy_change_leaves_earlier_uploads_alone() {
    let stack = TestStack::start().await;
    let (before, _) = issue(&stack).await;
    let policy = PolicyChanges { verify_arrival: Some(true), ..PolicyChanges::default() };
    stack.change_alpha(TenantChanges { policy, ..TenantChanges::default() }).await;
    let (after, _) = issue(&stack).await;
    let looks = async |id: &str| {
        let query = "SELECT check_at = url_expires_at + interval '5 minutes' FROM uploads WHERE id = $1::uuid";
        let query = sqlx::query_scalar::<_, Option<bool>>(query).bind(id.to_owned());
        query.fetch_one(&mut stack.connect().await).await.unwrap()
    };
    assert_eq!((looks(&before).await, looks(&after).await), (None, Some(true)));
    // As long as its URL lives, it may be put anew, whatever it is; once that has run out, it need not be looked for any more.
    let url = stack.presign("ext=png").await;
    let id = id_in(url.object_key());
    promise(&stack, &id, "declared_size_bytes = 2").await;
    stack.client.put(url.url()).body("x").send().await.unwrap();
    assert_eq!(complete(&stack, &id, &json!({})).await.data(200)["state"], "mismatched");
    assert_eq!(looks(&id).await, Some(true));
    promise(&stack, &id, "declared_size_bytes = 1").await;
    assert_eq!(complete(&stack, &id, &json!({})).await.data(200)["state"], "uploaded");
    assert_eq!(looks(&id).await, Some(true));
    promise(&stack, &id, "write_once = true, state = 'issued'").await;
    assert_eq!(complete(&stack, &id, &json!({})).await.data(200)["state"], "uploaded");
    assert_eq!(looks(&id).await, None);
}

#[tokio::test]
async fn put_after_complete_is_seen_once_the_url_expires() {
    let stack = sweeping().await;
    let policy = PolicyChanges { verify_arrival: Some(true), ..PolicyChanges::default() };
    stack.change_alpha(TenantChanges { policy, ..TenantChanges::default() }).await;
    let (id, url) = issue(&stack).await;
    for body in ["short", "rather longer"] {
        assert_eq!(stack.client.put(&url).body(body).send().await.unwrap().status(), 200);
        if body == "short" {
            assert_eq!(complete(&stack, &id, &json!({})).await.data(200)["state"], "uploaded");
        }
    }
    let due = format!("id = '{id}' AND check_at IS NOT NULL");
    make_due(&stack, &due).await;
    settled(&stack, "alpha").await;
    let shown = stack.get(&format!("/v1/uploads/{id}")).bearer(&stack.demo.alpha.api_key).send().await;
    assert_eq!((&shown.data(200)["state"], &shown.data(200)["seen"]["size"]), (&json!("uploaded"), &json!(13)));
}

#[tokio::test]
async fn deleted_upload_that_reappears_is_deleted_again() {
    let stack = sweeping().await;
    let issued = stack.presign("ext=png").await;
    let id = id_in(issued.object_key());
    let file = stack.files.path().join("buckets").join(&stack.demo.alpha.bucket).join(issued.object_key());
    let url = format!("{}/v1/uploads/{id}", stack.url);
    let deleted = stack.call(Method::DELETE, url).bearer(&stack.demo.alpha.api_key).send().await;
    assert_eq!(deleted.data(200)["state"], "deleted");
    assert_eq!(stack.client.put(issued.url()).body("x").send().await.unwrap().status(), 200);
    assert!(file.exists());
    make_due(&stack, "state = 'deleted'").await;
    settled(&stack, "alpha").await;
    assert!(!file.exists());
    assert_eq!(state(&stack, &id).await, "deleted");
}

#[tokio::test]
async fn re_signed_upload_is_checked_after_its_new_expiry() {
    let stack = sweeping().await;
    let store = FaultyStore::before_alpha(&stack).await;
    let (id, _) = issue(&stack).await;
    promise(&stack, &id, "check_at = now() - interval '1 minute'").await;
    eventually("it is put off", async || {
        let query = "SELECT check_at = url_expires_at + interval '5 minutes' FROM uploads";
        sqlx::query_scalar::<_, bool>(query).fetch_one(&mut stack.connect().await).await.unwrap().then_some(())
    })
    .await;
    assert_eq!((store.count(&Method::HEAD), state(&stack, &id).await.as_str()), (0, "issued"));
}

#[tokio::test]
async fn archived_bucket_and_suspended_tenant_are_swept() {
    let stack = sweeping().await;
    due_uploads(&stack, &stack.demo.alpha.api_key, 2).await;
    let statements =
        ["UPDATE buckets SET is_default = false, archived_at = now()", "UPDATE tenants SET status = 'suspended'"];
    for statement in statements {
        sqlx::query(statement).execute(&mut stack.connect().await).await.unwrap();
    }
    assert_eq!(settled(&stack, "alpha").await, [("expired".to_owned(), 1), ("uploaded".to_owned(), 1)]);
}

#[tokio::test]
async fn off_is_off() {
    let stack = Setup::new().set("UPLOADS__SWEEP_SECONDS", "0").start().await;
    due_uploads(&stack, &stack.demo.alpha.api_key, 2).await;
    let status = status(&stack).await;
    assert_eq!((&status["every_seconds"], &status["backlog"]["due"]), (&Value::Null, &json!(2)));
    let lag = status["backlog"]["lag_seconds"].as_i64().unwrap();
    assert!((300..360).contains(&lag), "{lag}");
    assert_eq!(status["backlog"]["buckets"][0]["tenant"], "alpha");
}

fn workbench(stack: &TestStack) -> Workbench {
    Workbench::new(stack.database_url.clone(), stack.sealing_key.expose_secret())
}

#[tokio::test]
async fn the_command_line_tells_the_backlog_and_verifies_what_matches() {
    let stack = Setup::new().set("UPLOADS__SWEEP_SECONDS", "0").start().await;
    let object_keys = due_uploads(&stack, &stack.demo.alpha.api_key, 5).await;
    let workbench = workbench(&stack);
    let shown = workbench.run(&["sweeper", "status"]).await;
    assert!(shown.contains("alpha") && shown.contains("5 due"), "{shown}");
    let one = ["uploads", "verify", &id_in(&object_keys[0]), "--output", "json"];
    let report: Value = serde_json::from_str(&workbench.run(&one).await).unwrap();
    assert_eq!((&report["verified"], &report["uploaded"]), (&json!(1), &json!(1)));

    promise(&stack, &id_in(&object_keys[2]), "declared_size_bytes = 9").await;
    let all = ["uploads", "verify", "--tenant", "alpha", "--output", "json"];
    let output = workbench.command(&all).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1), "one is mismatched");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let counts =
        ["verified", "uploaded", "mismatched", "not_arrived", "failed"].map(|name| report[name].as_i64().unwrap());
    assert_eq!(counts, [4, 1, 1, 2, 0], "the first was settled before");
    assert_eq!(report["faults"][0]["mismatches"], json!([{ "field": "size", "promised": "9", "found": "1" }]));
    assert_eq!(states(&stack, "alpha").await.0.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [2, 1, 2]);
    // What was there and has gone.
    let file = stack.files.path().join("buckets").join(&stack.demo.alpha.bucket).join(&object_keys[0]);
    std::fs::remove_file(file).unwrap();
    let uploaded = ["uploads", "verify", "--tenant", "alpha", "--state", "uploaded"];
    let output = workbench.command(&uploaded).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(1) && text.contains("1 gone"), "{text}");
    let none = ["uploads", "verify", "--tenant", "alpha", "--to", "2026-01-01"];
    assert!(workbench.run(&none).await.contains("0 checked"));
    assert!(workbench.fail(&["uploads", "verify"]).await.contains("--tenant"));
    assert!(
        workbench.fail(&["uploads", "verify", "--tenant", "alpha", "--state", "deleted"]).await.contains("must be")
    );
}
