//! The database away, frozen, or refusing: no URL, and an answer at once.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;

use crate::support::proxy::Proxy;
use crate::support::stack::{Setup, TestStack};
use crate::support::{eventually, postgres};

/// A stack whose gateway reaches its database by way of a proxy, and remembers callers so that only the commit can fail.
async fn behind_proxy() -> (TestStack, Proxy) {
    let direct = postgres::fresh_database().await;
    let proxy = Proxy::to(&direct).await;
    let by_proxy = proxy.url(&direct);
    let setup = Setup::new().set("AUTH__CACHE_SECONDS", "600").set("VAULT__CACHE_SECONDS", "600");
    let setup = setup.set("UPLOADS__COMMIT_TIMEOUT_MS", "500").set("DATABASE__ACQUIRE_TIMEOUT_MS", "300");
    let stack = setup.database(&direct, by_proxy).start().await;
    // The first one opens connections, which on a busy machine may take longer than these short times.
    let issued = || async { Some(stack.presign("ext=jpg").await).filter(|answer| answer.status == 200) };
    eventually("the first presign", issued).await;
    (stack, proxy)
}

#[tokio::test]
async fn unreachable_database_gets_no_url_and_recovery() {
    let (stack, proxy) = behind_proxy().await;
    let before = stack.recorded().await;
    proxy.cut();
    for _ in 0..3 {
        let started = Instant::now();
        let answer = stack.presign("ext=jpg").await;
        answer.assert_error(503, "unavailable");
        assert!(answer.header("retry-after").is_some());
        assert!(!answer.text.contains("X-Amz"));
        assert!(started.elapsed() < Duration::from_secs(5), "an answer at once");
    }
    assert_eq!(stack.recorded().await, before);
    proxy.mend();
    let issued = || async { Some(stack.presign("ext=jpg").await).filter(|answer| answer.status == 200) };
    eventually("presigning goes on", issued).await;
}

#[tokio::test]
async fn frozen_database_times_out_the_commit_and_recovers() {
    let (stack, proxy) = behind_proxy().await;
    proxy.freeze();
    stack.presign("ext=jpg").await.assert_error(503, "unavailable");
    proxy.mend();
    let issued = || async { Some(stack.presign("ext=jpg").await).filter(|answer| answer.status == 200) };
    eventually("presigning goes on", issued).await;
}

/// A stack with room for three rows, one with its only writer and two in the queue, whose database is frozen then.
async fn nearly_full(commit_timeout_ms: &str) -> (TestStack, Proxy) {
    let direct = postgres::fresh_database().await;
    let proxy = Proxy::to(&direct).await;
    let setup = Setup::new().set("AUTH__CACHE_SECONDS", "600").set("VAULT__CACHE_SECONDS", "600");
    let setup = setup.set("UPLOADS__RECORDER_QUEUE", "2").set("UPLOADS__RECORDER_WRITERS", "1");
    let setup = setup.set("UPLOADS__RECORDER_MAX_BATCH", "1").set("UPLOADS__COMMIT_TIMEOUT_MS", commit_timeout_ms);
    let stack = setup.database(&direct, proxy.url(&direct)).start().await;
    stack.presign("ext=jpg").await.url();
    proxy.freeze();
    (stack, proxy)
}

#[tokio::test]
async fn a_full_queue_is_answered_at_once() {
    let (stack, _proxy) = nearly_full("5000").await;
    // Of ten, three find room; each of the rest is told before any of those three times out.
    let started = Instant::now();
    let mut answers = (0..10).map(|_| stack.presign("ext=jpg")).collect::<FuturesUnordered<_>>();
    for _ in 0..7 {
        answers.next().await.unwrap().assert_error(503, "unavailable");
    }
    assert!(started.elapsed() < Duration::from_secs(4), "before the commit could time out");
}

#[tokio::test]
async fn the_time_in_the_queue_counts_against_the_time_for_the_commit() {
    let (stack, _proxy) = nearly_full("1000").await;
    // One by one the three commits would take three seconds to time out.
    let started = Instant::now();
    let answers = join_all((0..3).map(|_| stack.presign("ext=jpg"))).await;
    assert!(started.elapsed() < Duration::from_millis(2500), "{:?}", started.elapsed());
    for answer in answers {
        answer.assert_error(503, "unavailable");
    }
}

#[tokio::test]
async fn a_row_that_postgres_refuses_is_a_503_without_a_url() {
    let stack = TestStack::start().await;
    sqlx::query("ALTER TABLE uploads ADD CONSTRAINT no_gif CHECK (ext <> 'gif')")
        .execute(&mut stack.connect().await)
        .await
        .unwrap();
    stack.presign("ext=gif").await.assert_error(503, "unavailable");
    stack.presign("ext=jpg").await.url();
    assert_eq!(stack.recorded().await, 1);
}

#[tokio::test]
async fn a_tenant_without_a_bucket_is_told_so() {
    let stack = TestStack::start().await;
    sqlx::query("DELETE FROM buckets").execute(&mut stack.connect().await).await.unwrap();
    stack.presign("ext=jpg").await.assert_error(503, "tenant_not_ready");
}

#[tokio::test]
async fn undecryptable_credential_is_a_bare_internal_error() {
    let stack = TestStack::start().await;
    sqlx::query("UPDATE buckets SET sealed_secret_access_key = decode('01', 'hex')")
        .execute(&mut stack.connect().await)
        .await
        .unwrap();
    let answer = stack.presign("ext=jpg").await;
    answer.assert_error(500, "internal");
    assert_eq!(answer.message(), "服务器内部错误");
    assert_eq!(stack.recorded().await, 0);
}
