//! Buckets that fail.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use super::{due_uploads, settled, states, status, sweeping_setup, workbench};
use crate::support::faulty_store::{Fault, FaultyStore, redirect};
use crate::support::jwks_server::{Publish, Publisher};
use crate::support::stack::{Setup, TestStack};
use crate::support::{eventually, within};
use crate::v1::{id_in, promise, state};

/// How alpha's bucket fails, as the operators' route tells.
async fn failing(stack: &TestStack) -> Option<Value> {
    let status = status(stack).await;
    let buckets = status["backlog"]["buckets"].as_array().unwrap();
    let alpha = buckets.iter().find(|bucket| bucket["tenant"] == "alpha")?;
    Some(alpha["failing"].clone()).filter(|failing| !failing.is_null())
}

#[tokio::test]
async fn failing_bucket_backs_off_and_blocks_no_other() {
    let stack = sweeping_setup().set("UPLOADS__SWEEP_CONCURRENCY", "4").start().await;
    let store = FaultyStore::before_alpha(&stack).await;
    store.set(Fault::Status(503, "SlowDown"));
    due_uploads(&stack, &stack.demo.alpha.api_key, 30).await;
    due_uploads(&stack, &stack.demo.beta.api_key, 10).await;
    assert_eq!(settled(&stack, "beta").await, [("expired".to_owned(), 5), ("uploaded".to_owned(), 5)]);
    let failed = async |times: i64| {
        let often = async || failing(&stack).await.filter(|failing| failing["failures"].as_i64().unwrap() >= times);
        within(Duration::from_secs(20), "it fails again", often).await
    };
    failed(2).await;
    let second = Instant::now();
    let told = failed(4).await;
    // With a round every second, it would have failed twice more within two.
    assert!(second.elapsed() > Duration::from_secs(3), "{:?}", second.elapsed());
    assert_eq!(told["reason"], "HTTP 503");
    let failures = usize::try_from(told["failures"].as_u64().unwrap()).unwrap();
    // No more than were under way at a time, at each attempt.
    assert!(
        store.count(&Method::HEAD) <= 4 * (failures + 1),
        "{} calls, {failures} failures",
        store.count(&Method::HEAD)
    );
    assert_eq!(states(&stack, "alpha").await, (vec![("issued".to_owned(), 30)], 30));
    assert_eq!(status(&stack).await["backlog"]["due"], 30, "nothing is lost, and the lag is seen");
    store.set(Fault::None);
    let all_settled = async || (states(&stack, "alpha").await.1 == 0).then_some(());
    within(Duration::from_secs(20), "it goes on by itself", all_settled).await;
    assert_eq!(failing(&stack).await, None);
}

#[tokio::test]
async fn why_a_bucket_fails_is_told() {
    let stack = sweeping_setup().set("UPLOADS__BUCKET_TIMEOUT_MS", "300").start().await;
    let store = Publisher::start(Publish::Status(403)).await;
    redirect(&stack, "alpha", &format!("http://{}", store.address)).await;
    due_uploads_elsewhere(&stack).await;
    for (publish, reason) in [(Publish::Status(403), "GetObject"), (Publish::Hang, "no response in time")] {
        store.set(publish);
        let told =
            async || failing(&stack).await.filter(|failing| failing["reason"].as_str().unwrap().contains(reason));
        // As often as it failed, so long it is left alone.
        within(Duration::from_secs(40), reason, told).await;
    }
    assert_eq!(states(&stack, "alpha").await, (vec![("issued".to_owned(), 2)], 2));
}

/// Uploads that are due, of which none can arrive.
async fn due_uploads_elsewhere(stack: &TestStack) {
    for _ in 0..2 {
        stack.presign("ext=png").await.url();
    }
    super::make_due(stack, "state = 'issued'").await;
}

#[tokio::test]
async fn undecryptable_credential_fails_only_its_bucket() {
    let stack = sweeping_setup().start().await;
    due_uploads(&stack, &stack.demo.alpha.api_key, 2).await;
    sqlx::query("UPDATE buckets SET sealed_secret_access_key = '\\x01' FROM tenants WHERE tenants.id = tenant_id AND slug = 'alpha'")
        .execute(&mut stack.connect().await)
        .await
        .unwrap();
    due_uploads(&stack, &stack.demo.beta.api_key, 2).await;
    settled(&stack, "beta").await;
    let told = eventually("it is told", async || failing(&stack).await).await;
    assert!(told["reason"].as_str().unwrap().contains("cannot be decrypted"));
}

#[tokio::test]
async fn unreadable_object_does_not_block_the_others() {
    let stack = sweeping_setup().set("UPLOADS__SWEEP_CONCURRENCY", "2").start().await;
    let store = FaultyStore::before_alpha(&stack).await;
    let issued = stack.presign("ext=png").await;
    store.break_object(issued.object_key(), 400);
    due_uploads(&stack, &stack.demo.alpha.api_key, 20).await;
    eventually("all the others are settled", async || {
        let (states, _) = states(&stack, "alpha").await;
        (states == [("expired".to_owned(), 10), ("issued".to_owned(), 1), ("uploaded".to_owned(), 10)]).then_some(())
    })
    .await;
    assert!(store.count(&Method::HEAD) <= 22);
    let later: bool =
        sqlx::query_scalar("SELECT check_at > now() + interval '5 minutes' FROM uploads WHERE check_at IS NOT NULL")
            .fetch_one(&mut stack.connect().await)
            .await
            .unwrap();
    assert!(later);
}

/// The oldest that is due of alpha's: its id.
async fn oldest(stack: &TestStack, store: &FaultyStore, status: u16) -> String {
    let issued = stack.presign("ext=png").await;
    store.break_object(issued.object_key(), status);
    id_in(issued.object_key())
}

/// For how many minutes an upload is left alone; none where it is not looked for again.
async fn minutes_left(stack: &TestStack, id: &str) -> Option<f64> {
    let query = "SELECT (extract(epoch FROM check_at - now()) / 60)::float8 FROM uploads WHERE id = $1::uuid";
    sqlx::query_scalar(query).bind(id).fetch_one(&mut stack.connect().await).await.unwrap()
}

#[tokio::test]
async fn failing_object_does_not_fail_its_bucket() {
    let stack = Setup::new().set("UPLOADS__SWEEP_SECONDS", "0").start().await;
    let store = FaultyStore::before_alpha(&stack).await;
    let poison = oldest(&stack, &store, 500).await;
    due_uploads(&stack, &stack.demo.alpha.api_key, 20).await;
    promise(&stack, &poison, "check_at = now() - interval '20 minutes'").await;
    let sweep =
        [("UPLOADS__SWEEP_SECONDS", "1"), ("UPLOADS__SWEEP_PER_SECOND", "500"), ("UPLOADS__SWEEP_CONCURRENCY", "2")];
    let _instance = stack.another(&sweep).await;
    eventually("all the others are settled", async || {
        (states(&stack, "alpha").await == (sorted([("expired", 10), ("issued", 1), ("uploaded", 10)]), 1)).then_some(())
    })
    .await;
    assert_eq!(store.count(&Method::HEAD), 21, "each is asked for once");
    assert!(minutes_left(&stack, &poison).await.unwrap() > 9.0);
}

fn sorted<const N: usize>(states: [(&str, i64); N]) -> Vec<(String, i64)> {
    states.into_iter().map(|(state, count)| (state.to_owned(), count)).collect()
}

#[tokio::test]
async fn failing_objects_are_rescheduled_and_then_abandoned() {
    // A batch is of two.
    let setup = sweeping_setup().set("UPLOADS__SWEEP_CONCURRENCY", "1").set("UPLOADS__SWEEP_LEASE_SECONDS", "4");
    let stack = setup.set("UPLOADS__BUCKET_TIMEOUT_MS", "1000").start().await;
    let store = FaultyStore::before_alpha(&stack).await;
    let mut refused = Vec::new();
    for _ in 0..4 {
        refused.push(oldest(&stack, &store, 403).await);
    }
    let good = id_in(stack.presign("ext=png").await.object_key());
    let [young, middle, old, ancient] = &refused[..] else { panic!() };
    let statement = format!(
        "UPDATE uploads SET issued_at = now() - interval '40 days', check_at = now() - due, url_expires_at = now() - age
         FROM (VALUES ('{young}'::uuid, interval '6 minutes', interval '4 minutes'), ('{middle}', '3 hours', '4 minutes'),
                      ('{old}', '20 days', '4 minutes'), ('{ancient}', '31 days', '4 minutes'), ('{good}', '6 minutes', '1 minute'))
              AS made (id, age, due)
         WHERE made.id = uploads.id"
    );
    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut stack.connect().await).await.unwrap();
    let settled = async || (state(&stack, &good).await == "expired").then_some(());
    within(Duration::from_secs(20), "what is behind them is settled", settled).await;
    // At least a sixtieth of its age.
    for (id, least) in [(middle, 2.0), (old, 58.0)] {
        let left = minutes_left(&stack, id).await.unwrap();
        assert!(left > least, "{left}");
    }
    assert_eq!(minutes_left(&stack, ancient).await, None, "given up");
    assert_eq!(state(&stack, ancient).await, "issued", "but nothing is said of it that nobody saw");
}

#[tokio::test]
async fn missing_bucket_is_a_fault_and_expires_no_upload() {
    let stack = sweeping_setup().start().await;
    let store = FaultyStore::before_alpha(&stack).await;
    store.set(Fault::NoBucket);
    due_uploads(&stack, &stack.demo.alpha.api_key, 6).await;
    let told = eventually("it is told", async || failing(&stack).await).await;
    assert!(told["reason"].as_str().unwrap().contains("no such bucket"), "{told}");
    assert_eq!(states(&stack, "alpha").await.0, sorted([("issued", 6)]));
    let verify = ["uploads", "verify", "--tenant", "alpha", "--output", "json"];
    let output = workbench(&stack).command(&verify).output().await.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &report["failed"]), (Some(1), &Value::from(6)), "{report}");
    assert_eq!(states(&stack, "alpha").await.0, sorted([("issued", 6)]));
    store.set(Fault::None);
    let all_settled = async || (states(&stack, "alpha").await.1 == 0).then_some(());
    within(Duration::from_secs(20), "it goes on by itself", all_settled).await;
    assert_eq!(states(&stack, "alpha").await.0, sorted([("expired", 3), ("uploaded", 3)]));
}
