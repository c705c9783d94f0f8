//! Buckets that fail.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use super::{due_uploads, settled, states, status, sweeping_setup};
use crate::support::faulty::{Fault, FaultyStore, redirect};
use crate::support::publisher::{Publish, Publisher};
use crate::support::stack::TestStack;
use crate::support::{eventually, within};

/// How alpha's bucket fails, as the operators' route tells.
async fn failing(stack: &TestStack) -> Option<Value> {
    let status = status(stack).await;
    let buckets = status["backlog"]["buckets"].as_array().unwrap();
    let alpha = buckets.iter().find(|bucket| bucket["tenant"] == "alpha")?;
    Some(alpha["failing"].clone()).filter(|failing| !failing.is_null())
}

#[tokio::test]
async fn a_bucket_that_fails_is_left_alone_for_longer_and_longer_and_holds_up_no_other() {
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
    for (publish, reason) in [(Publish::Status(403), "GetObject"), (Publish::Hang, "no answer in time")] {
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
async fn a_credential_that_does_not_open_is_a_fault_of_its_bucket_only() {
    let stack = sweeping_setup().start().await;
    due_uploads(&stack, &stack.demo.alpha.api_key, 2).await;
    sqlx::query("UPDATE buckets SET sealed_secret_access_key = '\\x01' FROM tenants WHERE tenants.id = tenant_id AND slug = 'alpha'")
        .execute(&mut stack.connect().await)
        .await
        .unwrap();
    due_uploads(&stack, &stack.demo.beta.api_key, 2).await;
    settled(&stack, "beta").await;
    let told = eventually("it is told", async || failing(&stack).await).await;
    assert!(told["reason"].as_str().unwrap().contains("does not open"));
}

#[tokio::test]
async fn one_object_that_cannot_be_asked_for_does_not_stand_in_front_of_the_others() {
    let stack = sweeping_setup().set("UPLOADS__SWEEP_CONCURRENCY", "2").start().await;
    let store = FaultyStore::before_alpha(&stack).await;
    let issued = stack.presign("ext=png").await;
    store.break_object(issued.object_key());
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
