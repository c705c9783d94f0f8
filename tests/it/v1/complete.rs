//! `POST /v1/uploads/{id}/complete`: what is found in the bucket, compared with what was promised.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use presign_gateway::domain::binding::Sha256;
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::randomness::Randomness;
use reqwest::Method;
use serde_json::{Value, json};

use super::{complete, id_in, issue, promise, put_by_credential, state};
use crate::support::eventually;
use crate::support::faulty_store::{Fault, FaultyStore, redirect};
use crate::support::jwks_server::{Publish, Publisher};
use crate::support::stack::{Setup, TestStack};

const BODY: &str = "sixteen bytes ok";
/// Its URL, and all that could come by it.
const RUN_OUT: &str = "issued_at = now() - interval '2 hours', url_expires_at = now() - interval '1 hour'";

/// PUTs it, and gives the ETag that a store answers with.
async fn put(stack: &TestStack, url: &str, content_type: &str) -> String {
    let answer = stack.client.put(url).header("content-type", content_type).body(BODY).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.headers()["etag"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_arrived_as_promised_is_uploaded_and_asked_for_once_only() {
    let stack = TestStack::start().await;
    let store = FaultyStore::before_alpha(&stack).await;
    let (id, url) = issue(&stack).await;
    promise(&stack, &id, "declared_size_bytes = 16, declared_content_type = 'image/png'").await;
    let etag = put(&stack, &url, "image/PNG; charset=binary").await;
    let answer = complete(&stack, &id, &json!({ "etag": etag })).await;
    let upload = answer.data(200);
    assert_eq!((&upload["state"], &upload["mismatches"]), (&json!("uploaded"), &json!([])));
    assert_eq!((&upload["seen"]["size"], &upload["seen"]["etag"]), (&json!(16), &json!(etag.trim_matches('"'))));
    assert_eq!(store.count(&Method::HEAD), 1);
    // Nothing more can arrive.
    promise(&stack, &id, RUN_OUT).await;
    let shown = stack.get(&format!("/v1/uploads/{id}")).bearer(&stack.demo.alpha.api_key).send().await;
    let upload = shown.data(200);
    for body in [json!({}), json!({ "etag": "another" })] {
        assert_eq!(complete(&stack, &id, &body).await.data(200), upload, "answered from the record");
    }
    assert_eq!(store.count(&Method::HEAD), 1);
}

#[tokio::test]
async fn second_put_is_seen_unless_bound_to_write_once() {
    let stack = TestStack::start().await;
    let store = FaultyStore::before_alpha(&stack).await;
    for (bound, size) in [("write_once = false", 16), ("write_once = true", 5), ("declared_sha256 = '\\x00'", 5)] {
        let (id, url) = issue(&stack).await;
        stack.client.put(&url).body("short").send().await.unwrap();
        let complete = async || complete(&stack, &id, &json!({})).await;
        assert_eq!(complete().await.data(200)["seen"]["size"], 5);
        put(&stack, &url, "image/png").await;
        let bound = bound.replace("\\x00", &format!("\\x{}", "00".repeat(32)));
        promise(&stack, &id, &bound).await;
        let again = complete().await;
        assert_eq!((&again.data(200)["state"], &again.data(200)["seen"]["size"]), (&json!("uploaded"), &json!(size)));
        promise(&stack, &id, "write_once = false, declared_sha256 = NULL, declared_size_bytes = 5").await;
        assert_eq!(complete().await.data(200)["state"], "mismatched", "and is not what was promised any more");
    }
    // What was seen once, and has gone, stays on record.
    let (id, url) = issue(&stack).await;
    put(&stack, &url, "image/png").await;
    let first = complete(&stack, &id, &json!({})).await;
    store.set(Fault::Status(404, "NoSuchKey"));
    assert_eq!(complete(&stack, &id, &json!({})).await.data(200), first.data(200));
}

#[tokio::test]
async fn an_etag_is_of_one_put_and_a_look_without_one_forgets_it() {
    let stack = TestStack::start().await;
    let (id, url) = issue(&stack).await;
    put(&stack, &url, "image/png").await;
    assert_eq!(complete(&stack, &id, &json!({ "etag": "wrong" })).await.data(200)["state"], "mismatched");
    let again = complete(&stack, &id, &json!({})).await;
    assert_eq!((&again.data(200)["state"], &again.data(200)["mismatches"]), (&json!("uploaded"), &json!([])));
    let shown = stack.get(&format!("/v1/uploads/{id}")).bearer(&stack.demo.alpha.api_key).send().await;
    assert_eq!(shown.data(200), again.data(200));
}

#[tokio::test]
async fn missing_bucket_is_distinct_from_a_missing_file() {
    let shift = Arc::new(AtomicI64::new(0));
    let setup = Setup::new().at(Clock::Shifted(Arc::clone(&shift)), Randomness::System);
    let stack = setup.start().await;
    let store = FaultyStore::before_alpha(&stack).await;
    let (id, _) = issue(&stack).await;
    store.set(Fault::NoBucket);
    complete(&stack, &id, &json!({})).await.assert_error(502, "bucket_failed");
    store.set(Fault::None);
    complete(&stack, &id, &json!({})).await.assert_error(409, "not_arrived");
    store.set(Fault::NoBucket);
    shift.store(61, Ordering::SeqCst);
    complete(&stack, &id, &json!({})).await.assert_error(502, "bucket_failed");
    assert_eq!(state(&stack, &id).await, "issued");
}

#[tokio::test]
async fn a_bucket_is_checked_once_a_minute_for_missing_files() {
    let shift = Arc::new(AtomicI64::new(0));
    let setup = Setup::new().at(Clock::Shifted(Arc::clone(&shift)), Randomness::System);
    let stack = setup.start().await;
    let store = FaultyStore::before_alpha(&stack).await;
    let (id, _) = issue(&stack).await;
    let missing = async || complete(&stack, &id, &json!({})).await.assert_error(409, "not_arrived");
    for _ in 0..3 {
        missing().await;
    }
    assert_eq!((store.count(&Method::HEAD), store.bucket_count()), (3, 1));
    shift.store(61, Ordering::SeqCst);
    missing().await;
    missing().await;
    assert_eq!(store.bucket_count(), 2, "a minute later");
    // Another instance's clock, or this one's, was set back.
    shift.store(0, Ordering::SeqCst);
    missing().await;
    assert_eq!(store.bucket_count(), 3, "the clock went back");
}

#[tokio::test]
async fn a_bucket_that_failed_or_changed_is_checked_again() {
    let stack = TestStack::start().await;
    let store = FaultyStore::before_alpha(&stack).await;
    let (id, _) = issue(&stack).await;
    let missing = async || complete(&stack, &id, &json!({})).await.assert_error(409, "not_arrived");
    missing().await;
    store.set(Fault::Status(500, "InternalError"));
    complete(&stack, &id, &json!({})).await.assert_error(503, "bucket_unavailable");
    store.set(Fault::None);
    missing().await;
    assert_eq!(store.bucket_count(), 2, "after a failure");
    let moved = FaultyStore::before_alpha(&stack).await;
    missing().await;
    missing().await;
    assert_eq!((moved.bucket_count(), store.bucket_count()), (1, 2), "after it moved");
    moved.set(Fault::NoBucket);
    store.serve(&stack, "alpha").await;
    missing().await;
    moved.serve(&stack, "alpha").await;
    complete(&stack, &id, &json!({})).await.assert_error(502, "bucket_failed");
}

#[tokio::test]
async fn complete_before_arrival_gets_409_and_changes_nothing() {
    let stack = TestStack::start().await;
    let (id, url) = issue(&stack).await;
    complete(&stack, &id, &json!({})).await.assert_error(409, "not_arrived");
    assert_eq!(state(&stack, &id).await, "issued");
    put(&stack, &url, "image/png").await;
    assert_eq!(complete(&stack, &id, &Value::Null).await.reason(), "invalid_field", "null is no object");
    let bodiless = stack.call(Method::POST, format!("{}/v1/uploads/{id}/complete", stack.url));
    assert_eq!(bodiless.bearer(&stack.demo.alpha.api_key).send().await.data(200)["state"], "uploaded");
}

#[tokio::test]
async fn mismatch_shows_both_values_and_can_be_fixed() {
    let stack = TestStack::start().await;
    let cases = [
        ("size", "declared_size_bytes = 15", json!({}), "15", "16"),
        ("content_type", "declared_content_type = 'image/png'", json!({}), "image/png", "text/html"),
        ("etag", "declared_size_bytes = 16", json!({ "etag": "\"abc\"" }), "abc", ""),
    ];
    for (field, promised, body, wanted, found) in cases {
        let (id, url) = issue(&stack).await;
        promise(&stack, &id, promised).await;
        let etag = put(&stack, &url, "text/html").await;
        let answer = complete(&stack, &id, &body).await;
        let upload = answer.data(200);
        assert_eq!(upload["state"], "mismatched", "{field}");
        let found = if found.is_empty() { etag.trim_matches('"') } else { found };
        assert_eq!(upload["mismatches"], json!([{ "field": field, "promised": wanted, "found": found }]));
        assert_eq!(state(&stack, &id).await, "mismatched");
        // The client tries again, as long as its URL lives.
        promise(&stack, &id, "declared_size_bytes = 16").await;
        let etag = put(&stack, &url, "image/png").await;
        let answer = complete(&stack, &id, &json!({ "etag": etag })).await;
        assert_eq!(answer.data(200)["state"], "uploaded", "{field}");
    }
}

#[tokio::test]
async fn other_bytes_than_those_promised_are_noticed_by_their_digest() {
    let stack = TestStack::start().await;
    let issued = stack.presign("ext=png").await;
    let id = id_in(issued.object_key());
    let promised = Sha256::from([7; 32]);
    promise(&stack, &id, &format!("declared_sha256 = '\\x{}', declared_size_bytes = 16", promised.hex())).await;
    // Bytes of the same length, with their own digest.
    let digest = sha256_of(BODY);
    put_by_credential(&stack, issued.object_key(), BODY, &[("x-amz-checksum-sha256", digest.base64())]).await;
    let upload = complete(&stack, &id, &json!({})).await;
    let mismatch = json!([{ "field": "sha256", "promised": promised.hex(), "found": digest.hex() }]);
    assert_eq!((&upload.data(200)["state"], &upload.data(200)["mismatches"]), (&json!("mismatched"), &mismatch));
    promise(&stack, &id, &format!("declared_sha256 = '\\x{}'", digest.hex())).await;
    assert_eq!(complete(&stack, &id, &json!({})).await.data(200)["state"], "uploaded");
}

fn sha256_of(text: &str) -> Sha256 {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    Sha256::from(<[u8; 32]>::try_from(digest.as_ref()).unwrap())
}

#[tokio::test]
async fn expired_upload_can_be_completed_and_deleted_one_cannot() {
    let stack = TestStack::start().await;
    let store = FaultyStore::before_alpha(&stack).await;
    let (id, url) = issue(&stack).await;
    put(&stack, &url, "image/png").await;
    promise(&stack, &id, "state = 'deleted'").await;
    complete(&stack, &id, &json!({})).await.assert_error(409, "upload_deleted");
    assert_eq!(store.count(&Method::HEAD), 0);
    promise(&stack, &id, "state = 'expired'").await;
    assert_eq!(complete(&stack, &id, &json!({})).await.data(200)["state"], "uploaded");
}

#[tokio::test]
async fn two_at_once_agree() {
    let stack = Arc::new(TestStack::start().await);
    let (id, url) = issue(&stack).await;
    put(&stack, &url, "image/png").await;
    let answers = join_all((0..8).map(|_| async { complete(&stack, &id, &json!({})).await })).await;
    assert!(answers.iter().all(|answer| answer.data(200)["state"] == "uploaded"));
}

#[tokio::test]
async fn what_somebody_else_found_meanwhile_stays() {
    let stack = TestStack::start().await;
    let store = FaultyStore::before_alpha(&stack).await;
    for (meanwhile, expected) in [("deleted", 409), ("uploaded", 200), ("expired", 200)] {
        let (id, url) = issue(&stack).await;
        // A wrong size, so that this one would say mismatched.
        promise(&stack, &id, "declared_size_bytes = 1").await;
        put(&stack, &url, "image/png").await;
        store.set(Fault::Hang);
        let before = store.count(&Method::HEAD);
        let nothing = json!({});
        let (answer, ()) = tokio::join!(complete(&stack, &id, &nothing), async {
            eventually("the bucket is asked", async || (store.count(&Method::HEAD) > before).then_some(())).await;
            promise(&stack, &id, &format!("state = '{meanwhile}'")).await;
            store.set(Fault::None);
        });
        assert_eq!(answer.status.as_u16(), expected, "{meanwhile}: {}", answer.text);
        let stays = if meanwhile == "expired" { "mismatched" } else { meanwhile };
        assert_eq!(state(&stack, &id).await, stays);
    }
}

#[tokio::test]
async fn a_bucket_that_fails_is_told_apart_and_changes_nothing() {
    let stack = TestStack::start().await;
    let store = FaultyStore::before_alpha(&stack).await;
    let (id, url) = issue(&stack).await;
    put(&stack, &url, "image/png").await;
    for (fault, status, reason) in [
        (Fault::Status(403, "AccessDenied"), 502, "bucket_permission"),
        (Fault::Status(401, "Unauthorized"), 502, "bucket_permission"),
        (Fault::Status(404, "NoSuchKey"), 409, "not_arrived"),
        (Fault::Status(400, "InvalidRegionName"), 502, "bucket_failed"),
        (Fault::Status(301, "PermanentRedirect"), 502, "bucket_failed"),
        (Fault::Status(500, "InternalError"), 503, "bucket_unavailable"),
        (Fault::Status(503, "SlowDown"), 503, "bucket_unavailable"),
        (Fault::Status(429, "TooManyRequests"), 503, "bucket_unavailable"),
    ] {
        store.set(fault);
        let answer = complete(&stack, &id, &json!({})).await;
        answer.assert_error(status, reason);
        assert_eq!(answer.header("retry-after").is_some(), status == 503, "{fault:?}");
        assert_eq!(answer.message().contains("GetObject"), reason == "bucket_permission", "{}", answer.text);
    }
    assert_eq!(state(&stack, &id).await, "issued");
    store.set(Fault::None);
    assert_eq!(complete(&stack, &id, &json!({})).await.data(200)["state"], "uploaded");
}

#[tokio::test]
async fn a_bucket_that_hangs_cuts_or_babbles_is_answered_in_time() {
    let stack = Setup::new().set("UPLOADS__BUCKET_TIMEOUT_MS", "300").start().await;
    let (id, _) = issue(&stack).await;
    let store = Publisher::start(Publish::Hang).await;
    redirect(&stack, "alpha", &format!("http://{}", store.address)).await;
    for (fault, status, reason) in [
        (Publish::Hang, 503, "bucket_unavailable"),
        (Publish::Garbage, 503, "bucket_unavailable"),
        (Publish::Status(503), 503, "bucket_unavailable"),
        (Publish::Endless, 502, "bucket_failed"),
        (Publish::Redirect("http://127.0.0.1:1/".to_owned()), 502, "bucket_failed"),
    ] {
        store.set(fault.clone());
        let began = Instant::now();
        let answer = complete(&stack, &id, &json!({})).await;
        answer.assert_error(status, reason);
        assert!(began.elapsed() < Duration::from_secs(5), "{fault:?}");
    }
    redirect(&stack, "alpha", "http://127.0.0.1:1").await;
    complete(&stack, &id, &json!({})).await.assert_error(503, "bucket_unavailable");
    assert_eq!(state(&stack, &id).await, "issued");
}

#[tokio::test]
async fn a_body_that_is_wrong_is_named() {
    let stack = TestStack::start().await;
    let (id, _) = issue(&stack).await;
    for etag in ["", "\"\"", "a b", "ä", &"x".repeat(201)] {
        complete(&stack, &id, &json!({ "etag": etag })).await.assert_field(400, "invalid_field", "etag");
    }
    complete(&stack, &id, &json!({ "etag": 1 })).await.assert_field(400, "invalid_field", "etag");
    complete(&stack, &id, &json!({ "tag": "x" })).await.assert_field(400, "unknown_field", "tag");
}
