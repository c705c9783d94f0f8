//! `DELETE /v1/uploads/{id}`.

use reqwest::Method;
use serde_json::json;

use super::{complete, issue, state};
use crate::support::eventually;
use crate::support::faulty_store::{Fault, FaultyStore};
use crate::support::jwks_server::{Publish, Publisher};
use crate::support::ledger::ignore_updates;
use crate::support::scrape::Scrape;
use crate::support::stack::{Answer, Setup, TestStack};

async fn delete(stack: &TestStack, id: &str) -> Answer {
    let url = format!("{}/v1/uploads/{id}", stack.url);
    stack.call(Method::DELETE, url).bearer(&stack.demo.alpha.api_key).send().await
}

fn files(stack: &TestStack) -> usize {
    let mut folders = vec![stack.files.path().join("buckets").join(&stack.demo.alpha.bucket)];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files += 1;
            }
        }
    }
    files
}

#[tokio::test]
async fn the_object_goes_and_the_row_stays_and_it_may_be_repeated() {
    let stack = TestStack::start().await;
    let (id, url) = issue(&stack).await;
    stack.client.put(&url).body("x").send().await.unwrap();
    complete(&stack, &id, &json!({})).await.data(200);
    assert_eq!(files(&stack), 1);
    for _ in 0..2 {
        assert_eq!(delete(&stack, &id).await.data(200)["state"], "deleted");
        assert_eq!(files(&stack), 0);
    }
    assert_eq!(state(&stack, &id).await, "deleted");
    complete(&stack, &id, &json!({})).await.assert_error(409, "upload_deleted");
    let looks: bool = sqlx::query_scalar("SELECT check_at = url_expires_at + interval '5 minutes' FROM uploads")
        .fetch_one(&mut stack.connect().await)
        .await
        .unwrap();
    assert!(looks, "its URL still lives: the sweeper looks when it does not");
}

#[tokio::test]
async fn missing_upload_can_be_deleted_and_is_not_checked_later() {
    let stack = TestStack::start().await;
    let (id, _) = issue(&stack).await;
    super::promise(&stack, &id, "issued_at = now() - interval '2 hours', url_expires_at = now() - interval '1 hour'")
        .await;
    delete(&stack, &id).await.data(200);
    let looks: bool = sqlx::query_scalar("SELECT check_at IS NOT NULL FROM uploads")
        .fetch_one(&mut stack.connect().await)
        .await
        .unwrap();
    assert!(!looks);
}

#[tokio::test]
async fn upload_re_signed_during_delete_is_checked_after_expiry() {
    let stack = TestStack::start().await;
    let store = FaultyStore::before_alpha(&stack).await;
    let (id, _) = issue(&stack).await;
    super::promise(&stack, &id, "issued_at = now() - interval '2 hours', url_expires_at = now() - interval '1 hour'")
        .await;
    store.set(Fault::Hang);
    let (deleted, ()) = tokio::join!(delete(&stack, &id), async {
        eventually("the bucket is asked", async || (store.count(&Method::DELETE) > 0).then_some(())).await;
        stack.get(&format!("/v1/uploads/{id}/url")).bearer(&stack.demo.alpha.api_key).send().await.data(200);
        store.set(Fault::None);
    });
    assert_eq!(deleted.data(200)["state"], "deleted");
    let looks: Option<bool> =
        sqlx::query_scalar("SELECT check_at = url_expires_at + interval '5 minutes' FROM uploads")
            .fetch_one(&mut stack.connect().await)
            .await
            .unwrap();
    assert_eq!(looks, Some(true));
}

#[tokio::test]
async fn a_bucket_that_does_not_delete_leaves_the_row_as_it_is() {
    let stack = Setup::new().set("UPLOADS__BUCKET_TIMEOUT_MS", "300").start().await;
    let store = FaultyStore::before_alpha(&stack).await;
    let (id, _) = issue(&stack).await;
    for (fault, status, reason) in [
        (Fault::Status(403, "AccessDenied"), 502, "bucket_permission"),
        (Fault::Status(503, "SlowDown"), 503, "bucket_unavailable"),
        (Fault::Status(500, "InternalError"), 503, "bucket_unavailable"),
        (Fault::Status(404, "NoSuchBucket"), 502, "bucket_failed"),
        (Fault::Hang, 503, "bucket_unavailable"),
    ] {
        store.set(fault);
        let answer = delete(&stack, &id).await;
        answer.assert_error(status, reason);
        assert_eq!(answer.message().contains("DeleteObject"), reason == "bucket_permission");
        assert_eq!(state(&stack, &id).await, "issued");
    }
    store.set(Fault::Status(404, "NoSuchKey"));
    assert_eq!(delete(&stack, &id).await.data(200)["state"], "deleted", "not there is as good as deleted");
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let stack = TestStack::start().await;
    let (id, _) = issue(&stack).await;
    let store = Publisher::start(Publish::Endless).await;
    crate::support::faulty_store::redirect(&stack, "alpha", &format!("http://{}", store.address)).await;
    delete(&stack, &id).await.assert_error(502, "bucket_failed");
    store.set(Publish::CutOff);
    assert!(delete(&stack, &id).await.status.is_server_error());
    assert_eq!(state(&stack, &id).await, "issued");
}

#[tokio::test]
async fn delete_that_writes_no_row_fails_and_is_not_counted() {
    let stack = TestStack::start().await;
    let (id, _) = issue(&stack).await;
    ignore_updates(&mut stack.connect().await, "uploads").await;
    delete(&stack, &id).await.assert_error(500, "internal");
    assert_eq!(state(&stack, &id).await, "issued");
    assert_eq!(deletes_counted(&stack).await, 0);
}

#[tokio::test]
async fn two_deletes_at_once_are_counted_once() {
    let stack = TestStack::start().await;
    let store = FaultyStore::before_alpha(&stack).await;
    let (id, _) = issue(&stack).await;
    store.set(Fault::Hang);
    let release = async {
        eventually("both ask", async || (store.count(&Method::DELETE) == 2).then_some(())).await;
        store.set(Fault::None);
    };
    let (first, second, ()) = tokio::join!(delete(&stack, &id), delete(&stack, &id), release);
    assert_eq!((&first.data(200)["state"], &second.data(200)["state"]), (&json!("deleted"), &json!("deleted")));
    assert_eq!(deletes_counted(&stack).await, 1);
}

async fn deletes_counted(stack: &TestStack) -> u64 {
    Scrape::of(stack).await.count("presign_gateway_uploads_settled_total", &[("state", "deleted"), ("by", "delete")])
}
