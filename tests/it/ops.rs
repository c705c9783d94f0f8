//! The operators' listener, and shutdown.

use std::sync::Arc;

use sqlx::Connection;

use presign_gateway::app::App;
use presign_gateway::config::Config;
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::sealing_key::SealingKey;
use presign_gateway::telemetry::Signals;
use secrecy::ExposeSecret;

use crate::support::eventually;
use crate::support::postgres;
use crate::support::proxy::Proxy;
use crate::support::stack::{Setup, TestStack};

mod metrics;

async fn status(stack: &TestStack, path: &str) -> (u16, String) {
    let response = stack.client.get(format!("{}{path}", stack.ops_url)).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn livez_answers_on_both_listeners_and_readyz_on_one() {
    let stack = TestStack::start().await;
    let alive = r#"{"code":0,"msg":"success","data":"alive"}"#;
    assert_eq!(status(&stack, "/livez").await, (200, alive.to_owned()));
    assert_eq!(stack.get("/livez").send().await.text, alive);
    assert_eq!(status(&stack, "/readyz").await.0, 200);
    stack.get("/readyz").send().await.assert_error(404, "not_found");
}

#[tokio::test]
async fn unreachable_database_fails_readyz_but_not_livez() {
    let direct = postgres::fresh_database().await;
    let proxy = Proxy::to(&direct).await;
    let setup = Setup::new().set("DATABASE__ACQUIRE_TIMEOUT_MS", "300");
    let stack = setup.database(&direct, proxy.url(&direct)).start().await;
    assert_eq!(status(&stack, "/readyz").await.0, 200);
    proxy.cut();
    let (code, text) = status(&stack, "/readyz").await;
    assert_eq!(code, 503);
    assert!(text.contains("database does not answer"), "{text}");
    assert_eq!(status(&stack, "/livez").await.0, 200);
    proxy.mend();
    eventually("ready again", || async { (status(&stack, "/readyz").await.0 == 200).then_some(()) }).await;
}

#[tokio::test]
async fn readyz_says_that_migrations_are_missing() {
    let stack = TestStack::start().await;
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)")
        .execute(&mut stack.connect().await)
        .await
        .unwrap();
    let (code, text) = status(&stack, "/readyz").await;
    assert_eq!(code, 503);
    assert!(text.contains("presign-gateway migrate"), "{text}");
}

#[tokio::test]
async fn requests_that_were_accepted_are_answered_before_the_end() {
    let stack = TestStack::start().await;
    stack.presign("ext=jpg").await.url();
    // A lock on the table holds the insert up, where everybody can see it.
    let mut locking = stack.connect().await;
    let mut lock = locking.begin().await.unwrap();
    sqlx::query("LOCK TABLE uploads IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let (client, url, ops_url) = (stack.client.clone(), stack.url.clone(), stack.ops_url.clone());
    let request = client.get(format!("{url}/oss/presign?ext=jpg")).bearer_auth(&stack.demo.alpha.api_key);
    let waiting = tokio::spawn(request.send());
    let inserting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let accepted = || async {
        let count: i64 = sqlx::query_scalar(inserting).fetch_one(&mut stack.connect().await).await.unwrap();
        (count > 0).then_some(())
    };
    eventually("the request waits for its row", accepted).await;

    let running = stack.begin_stop();
    let draining = || async {
        let response = client.get(format!("{ops_url}/readyz")).send().await.ok()?;
        (response.status() == 503).then_some(())
    };
    eventually("readyz says that it drains", draining).await;
    lock.rollback().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
    running.await.unwrap();
    assert!(client.get(format!("{url}/livez")).send().await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn sigterm_keeps_serving_until_load_balancers_notice() {
    let stack = Setup::new().set("SERVER__SHUTDOWN_DELAY_SECONDS", "1").start().await;
    let (client, url, ops_url) = (stack.client.clone(), stack.url.clone(), stack.ops_url.clone());
    let api_key = stack.demo.alpha.api_key.clone();
    let running = stack.begin_stop();
    let draining = || async {
        let response = client.get(format!("{ops_url}/readyz")).send().await.ok()?;
        (response.status() == 503).then_some(())
    };
    eventually("readyz says that it drains", draining).await;
    // A connection of its own: who comes now is let in.
    let newcomer = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = newcomer.get(format!("{url}/oss/presign?ext=jpg")).bearer_auth(api_key).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    running.await.unwrap();
    assert!(newcomer.get(format!("{url}/livez")).send().await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn readyz_says_that_nothing_could_be_written_or_opened() {
    let stack = TestStack::start().await;
    let other = SealingKey::generate("other", &Randomness::System);
    let without_key = stack.another(&[("VAULT__KEYS", other.expose_secret())]).await;
    let answer = stack.client.get(format!("{}/readyz", without_key.ops_url)).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 503);
    assert!(answer.text().await.unwrap().contains("vault.keys"));
    let name: String =
        sqlx::query_scalar("SELECT current_database()").fetch_one(&mut stack.connect().await).await.unwrap();
    let read_only = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    sqlx::query(sqlx::AssertSqlSafe(read_only)).execute(&mut stack.connect().await).await.unwrap();
    let fresh = stack.another(&[]).await;
    let answer = stack.client.get(format!("{}/readyz", fresh.ops_url)).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 503);
    assert!(answer.text().await.unwrap().contains("read-only"));
}

#[tokio::test]
async fn readyz_says_that_a_namesake_of_the_sealing_key_opens_nothing() {
    let stack = TestStack::start().await;
    let namesake = SealingKey::generate("test", &Randomness::System);
    let wrong = stack.another(&[("VAULT__KEYS", namesake.expose_secret())]).await;
    let answer = stack.client.get(format!("{}/readyz", wrong.ops_url)).send().await.unwrap();
    let (code, text) = (answer.status().as_u16(), answer.text().await.unwrap());
    assert_eq!(code, 503, "{text}");
    assert!(text.contains("vault.keys has another key with the same id"), "{text}");
    // One row that does not open is one tenant's trouble.
    let broken =
        "UPDATE buckets SET sealed_secret_access_key = '\\x00' FROM tenants WHERE tenants.id = tenant_id AND slug = $1";
    sqlx::query(broken).bind(&stack.demo.alpha.slug).execute(&mut stack.connect().await).await.unwrap();
    assert_eq!(status(&stack, "/readyz").await.0, 200);
    // Buckets that were archived open no more once their key is gone, which does not matter.
    let archived = "UPDATE buckets SET archived_at = now(), is_default = false";
    sqlx::query(archived).execute(&mut stack.connect().await).await.unwrap();
    let answer = stack.client.get(format!("{}/readyz", wrong.ops_url)).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
}

/// A gateway's future that is dropped awaits nothing. Its jobs and its listeners end all the same.
#[tokio::test]
async fn dropped_gateway_stops_its_jobs_and_listeners() {
    let stack = TestStack::start().await;
    let settings = [
        ("PRESIGN__SERVER__LISTEN", "127.0.0.1:0"),
        ("PRESIGN__SERVER__OPS_LISTEN", "127.0.0.1:0"),
        ("PRESIGN__VAULT__KEYS", stack.sealing_key.expose_secret()),
        ("DATABASE_URL", stack.database_url.expose_secret()),
    ];
    let config = Config::load(None, settings.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap();
    let signals = Signals::local(&config.telemetry);
    let app = App::build(&config, signals, Clock::System, Randomness::System).await.unwrap();
    let readyz = format!("http://{}/readyz", app.ops_address().unwrap());
    let (auth, sweeper) = (Arc::downgrade(&app.gateway.auth), Arc::downgrade(&app.gateway.sweeper));
    let running = tokio::spawn(app.run(std::future::pending()));
    // A connection of its own each time: one that is kept would keep the gateway.
    let ask = async || reqwest::Client::builder().no_proxy().build().unwrap().get(&readyz).send().await;
    eventually("the gateway is ready", async || (ask().await.ok()?.status() == 200).then_some(())).await;

    running.abort();
    eventually("nobody listens", async || ask().await.is_err().then_some(())).await;
    eventually("the jobs end", async || (auth.strong_count() + sweeper.strong_count() == 0).then_some(())).await;
}
