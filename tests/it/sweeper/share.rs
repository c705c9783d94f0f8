//! Several instances, some of which die.

use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::Value;

use super::{due_uploads, settled, states, sweeping_setup, workbench};
use crate::support::binary::Server;
use crate::support::eventually;
use crate::support::faulty_store::{Fault, FaultyStore};
use crate::support::scrape::Scrape;
use crate::support::stack::{Setup, TestStack};
use crate::v1::issue;

#[tokio::test]
async fn two_instances_check_each_object_once() {
    let stack = Setup::new().set("UPLOADS__SWEEP_SECONDS", "0").start().await;
    let store = FaultyStore::before_alpha(&stack).await;
    due_uploads(&stack, &stack.demo.alpha.api_key, 60).await;
    let sweep = [
        ("UPLOADS__SWEEP_SECONDS", "1"),
        ("UPLOADS__SWEEP_PER_SECOND", "100"),
        // A small batch, so that both get some.
        ("UPLOADS__SWEEP_CONCURRENCY", "2"),
        ("UPLOADS__SWEEP_LEASE_SECONDS", "30"),
        ("UPLOADS__BUCKET_TIMEOUT_MS", "5000"),
    ];
    let _instances = [stack.another(&sweep).await, stack.another(&sweep).await];
    assert_eq!(settled(&stack, "alpha").await, [("expired".to_owned(), 30), ("uploaded".to_owned(), 30)]);
    let calls = store.calls(&Method::HEAD);
    assert_eq!((calls.len(), calls.iter().map(|(_, count)| *count).max()), (60, Some(1)));
}

/// A stack with ten uploads due, in front of a bucket that hangs, and a server in a process of its own that has claimed them.
async fn claimed() -> (TestStack, FaultyStore, Server) {
    let stack = Setup::new().set("UPLOADS__SWEEP_SECONDS", "0").start().await;
    let store = FaultyStore::before_alpha(&stack).await;
    due_uploads(&stack, &stack.demo.alpha.api_key, 10).await;
    store.set(Fault::Hang);
    let settings = [
        ("PRESIGN__UPLOADS__SWEEP_SECONDS", "1"),
        ("PRESIGN__UPLOADS__SWEEP_LEASE_SECONDS", "4"),
        ("PRESIGN__UPLOADS__SWEEP_PER_SECOND", "500"),
        ("PRESIGN__UPLOADS__BUCKET_TIMEOUT_MS", "1000"),
    ];
    let server = Server::start(&workbench(&stack), &settings).await;
    eventually("the bucket is asked", async || (store.count(&Method::HEAD) >= 8).then_some(())).await;
    (stack, store, server)
}

async fn due_now(stack: &TestStack) -> i64 {
    let query = "SELECT count(*) FROM uploads WHERE check_at <= now()";
    sqlx::query_scalar(query).fetch_one(&mut stack.connect().await).await.unwrap()
}

#[tokio::test]
async fn what_a_killed_instance_had_claimed_comes_back() {
    let (stack, store, server) = claimed().await;
    server.signal(Signal::SIGKILL);
    server.ended().await;
    assert_eq!(due_now(&stack).await, 0, "claimed, by one that is dead");
    store.set(Fault::None);
    let _heir = stack.another(&[("UPLOADS__SWEEP_SECONDS", "1")]).await;
    assert_eq!(settled(&stack, "alpha").await, [("expired".to_owned(), 5), ("uploaded".to_owned(), 5)]);
}

#[tokio::test]
async fn one_that_is_told_to_stop_gives_up_what_it_has_not_finished() {
    let (stack, _store, server) = claimed().await;
    server.signal(Signal::SIGTERM);
    assert!(server.ended().await.success());
    assert_eq!(due_now(&stack).await, 10, "due again at once");
    assert_eq!(states(&stack, "alpha").await.0, [("issued".to_owned(), 10)]);
}

#[tokio::test]
async fn what_was_settled_while_it_was_claimed_stays_as_it_is() {
    let stack = sweeping_setup().start().await;
    let store = FaultyStore::before_alpha(&stack).await;
    store.set(Fault::Hang);
    due_uploads(&stack, &stack.demo.alpha.api_key, 1).await;
    eventually("the bucket is asked", async || (store.count(&Method::HEAD) > 0).then_some(())).await;
    let before = last_round(&stack).await;
    sqlx::query("UPDATE uploads SET state = 'deleted', check_at = NULL")
        .execute(&mut stack.connect().await)
        .await
        .unwrap();
    store.set(Fault::None);
    assert_eq!(round_behind(&stack, &before).await["uploaded"], 0, "nothing of it was written");
    assert_eq!(states(&stack, "alpha").await.0, [("deleted".to_owned(), 1)]);
    assert_eq!(swept(&stack, &stack.ops_url).await, 0);
}

/// When the stack's own sweeper began the last round that has ended.
async fn last_round(stack: &TestStack) -> Value {
    super::status(stack).await["last_round"]["at"].clone()
}

/// The first round that ends and is another one than that.
async fn round_behind(stack: &TestStack, before: &Value) -> Value {
    eventually("the round ends", async || {
        let round = super::status(stack).await["last_round"].clone();
        (round.is_object() && round["at"] != *before).then_some(round)
    })
    .await
}

/// How many uploads a gateway's sweeper says that it has settled.
async fn swept(stack: &TestStack, ops_url: &str) -> u64 {
    Scrape::at(stack, ops_url).await.count("presign_gateway_uploads_settled_total", &[("by", "sweeper")])
}

/// Signs alpha's upload anew while it is being looked for; gives the last round that had ended by then.
async fn renew_while_asked(stack: &TestStack, store: &FaultyStore, id: &str) -> Value {
    eventually("the bucket is asked", async || (store.count(&Method::HEAD) > 0).then_some(())).await;
    let before = last_round(stack).await;
    let renewed = stack.get(&format!("/v1/uploads/{id}/url")).bearer(&stack.demo.alpha.api_key).send().await;
    renewed.data(200);
    store.set(Fault::None);
    before
}

#[tokio::test]
async fn upload_re_signed_during_a_sweep_does_not_expire() {
    let stack = sweeping_setup().start().await;
    let store = FaultyStore::before_alpha(&stack).await;
    store.set(Fault::Hang);
    let (id, _) = issue(&stack).await;
    super::make_due(&stack, "state = 'issued'").await;
    let before = renew_while_asked(&stack, &store, &id).await;
    assert_eq!(round_behind(&stack, &before).await["expired"], 0, "nothing of it was written");
    assert_eq!(swept(&stack, &stack.ops_url).await, 0);
    assert_eq!(states(&stack, "alpha").await, (vec![("issued".to_owned(), 1)], 1), "and is looked for later");
}

#[tokio::test]
async fn finding_of_two_sweepers_is_counted_once() {
    let stack = Setup::new().set("UPLOADS__SWEEP_SECONDS", "0").start().await;
    let store = FaultyStore::before_alpha(&stack).await;
    due_uploads(&stack, &stack.demo.alpha.api_key, 1).await;
    store.set(Fault::Hang);
    let sweep = [("UPLOADS__SWEEP_SECONDS", "1"), ("UPLOADS__BUCKET_TIMEOUT_MS", "20000")];
    let instances = [stack.another(&sweep).await, stack.another(&sweep).await];
    eventually("one asks", async || (store.count(&Method::HEAD) == 1).then_some(())).await;
    // As if its lease had run out: the other one claims it as well.
    super::make_due(&stack, "state = 'issued'").await;
    eventually("both ask", async || (store.count(&Method::HEAD) == 2).then_some(())).await;
    store.set(Fault::None);
    assert_eq!(settled(&stack, "alpha").await, [("uploaded".to_owned(), 1)]);
    eventually("both have ended a round", async || {
        let mut ended = 0;
        for instance in &instances {
            let url = format!("{}/admin/v1/sweeper", instance.ops_url);
            let status = stack.call(Method::GET, url).bearer(&stack.demo.operator_key).send().await;
            ended += usize::from(status.data(200)["last_round"].is_object());
        }
        (ended == 2).then_some(())
    })
    .await;
    let counted = [swept(&stack, &instances[0].ops_url).await, swept(&stack, &instances[1].ops_url).await];
    assert_eq!(counted.iter().sum::<u64>(), 1, "{counted:?}");
}

#[tokio::test]
async fn upload_re_signed_during_verify_does_not_expire() {
    let stack = Setup::new().set("UPLOADS__SWEEP_SECONDS", "0").start().await;
    let store = FaultyStore::before_alpha(&stack).await;
    store.set(Fault::Hang);
    let (id, _) = issue(&stack).await;
    super::make_due(&stack, "state = 'issued'").await;
    let (workbench, arguments) = (workbench(&stack), ["uploads", "verify", id.as_str()]);
    tokio::join!(workbench.run(&arguments), renew_while_asked(&stack, &store, &id));
    assert_eq!(states(&stack, "alpha").await, (vec![("issued".to_owned(), 1)], 1));
}
