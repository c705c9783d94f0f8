//! A change on one instance takes effect on another, although both cache rows for ten minutes.

use std::time::Duration;

use presign_gateway::admin::{CredentialCheck, TenantChanges};
use presign_gateway::domain::tenant::TenantStatus;
use reqwest::Method;
use serde_json::json;
use sqlx::Executor;

use crate::support::proxy::Proxy;
use crate::support::stack::{Answer, Instance, Setup, TestStack};
use crate::support::{eventually, postgres, within};

/// A second is what is promised; machines that run all tests at once are given more. Well below the time after which a
/// silent connection is checked: an announcement that is lost does not pass for one that is late.
const AT_ONCE: Duration = Duration::from_secs(3);

/// Two gateways on one database.
struct Pair {
    stack: TestStack,
    other: Instance,
}

impl Pair {
    async fn start() -> Self {
        let stack = remembering(Setup::new()).start().await;
        let other = stack.another(&[]).await;
        let pair = Self { stack, other };
        // What is not in memory could not be forgotten.
        for credential in [&pair.stack.demo.alpha.api_key, &pair.stack.token] {
            pair.ask_other(credential).await.url();
            pair.stack.presign_as(credential).await.url();
        }
        pair
    }

    async fn ask_other(&self, credential: &str) -> Answer {
        let url = format!("{}/oss/presign?ext=jpg", self.other.url);
        self.stack.call(Method::GET, url).bearer(credential).send().await
    }

    /// Waits until the other instance answers so; it is told by nothing but Postgres.
    async fn other_answers(&self, credential: &str, status: u16) {
        let answers = || async { (self.ask_other(credential).await.status == status).then_some(()) };
        within(AT_ONCE, "the change reaches the other instance", answers).await;
    }

    async fn admin(&self, method: Method, path: &str) -> Answer {
        self.stack.admin(method, path).json(&json!({})).send().await
    }
}

fn remembering(setup: Setup) -> Setup {
    setup.set("AUTH__CACHE_SECONDS", "600").set("VAULT__CACHE_SECONDS", "600")
}

#[tokio::test]
async fn a_revoked_api_key_is_refused() {
    let pair = Pair::start().await;
    let api_key = pair.stack.demo.alpha.api_key.clone();
    let public_id = api_key.split('_').nth(1).unwrap();
    pair.admin(Method::POST, &format!("/api-keys/{public_id}/revoke")).await.data(200);
    pair.other_answers(&api_key, 401).await;
    pair.ask_other(&pair.stack.token).await.url();
}

#[tokio::test]
async fn a_suspended_tenant_is_served_no_more_and_a_resumed_one_is() {
    let pair = Pair::start().await;
    pair.admin(Method::POST, "/tenants/alpha/suspend").await.data(200);
    pair.other_answers(&pair.stack.demo.alpha.api_key, 403).await;
    pair.admin(Method::POST, "/tenants/alpha/resume").await.data(200);
    pair.other_answers(&pair.stack.demo.alpha.api_key, 200).await;
}

#[tokio::test]
async fn a_lower_limit_limits() {
    let pair = Pair::start().await;
    let limit = TenantChanges { rate_per_second: Some(1), burst: Some(1), ..TenantChanges::default() };
    pair.stack.change_alpha(limit).await;
    pair.other_answers(&pair.stack.demo.alpha.api_key, 429).await;
}

#[tokio::test]
async fn a_rotated_credential_signs() {
    let pair = Pair::start().await;
    let (tenants, alpha) = (&pair.stack.tenants, pair.stack.alpha());
    let alias = presign_gateway::domain::bucket::Alias::default_alias();
    let second = pair.stack.second_credential();
    tenants.rotate_credential(&alpha, &alias, second, CredentialCheck::Skip, None, &pair.stack.keyring).await.unwrap();
    let signs = || async {
        let answer = pair.ask_other(&pair.stack.demo.alpha.api_key).await;
        answer.url().contains("demo-alpha-second").then_some(())
    };
    within(AT_ONCE, "the new credential signs on the other instance", signs).await;
}

#[tokio::test]
async fn an_archived_jwt_issuers_tokens_are_refused() {
    let pair = Pair::start().await;
    let issuers = pair.admin(Method::GET, "/tenants/alpha/jwt-issuers").await;
    let id = issuers.data(200)["items"][0]["id"].as_str().unwrap().to_owned();
    pair.admin(Method::POST, &format!("/tenants/alpha/jwt-issuers/{id}/archive")).await.data(200);
    pair.other_answers(&pair.stack.token, 401).await;
    pair.ask_other(&pair.stack.demo.alpha.api_key).await.url();
}

#[tokio::test]
async fn api_key_tried_before_its_creation_works_once_created() {
    let pair = Pair::start().await;
    let generated = presign_gateway::auth::api_key::generate(&presign_gateway::domain::randomness::Randomness::System);
    let text = secrecy::ExposeSecret::expose_secret(&generated.text).to_owned();
    crate::support::canary::watch(&text);
    pair.ask_other(&text).await.assert_error(401, "unauthenticated");
    let new = presign_gateway::admin::NewApiKey {
        tenant: Some(pair.stack.alpha()),
        label: "late".to_owned(),
        scopes: presign_gateway::domain::caller::Scopes::all(),
        expires_at: None,
    };
    pair.stack.tenants.ensure_api_key(new, &generated.text).await.unwrap();
    pair.other_answers(&text, 200).await;
}

#[tokio::test]
async fn a_change_made_by_hand_counts_too() {
    let pair = Pair::start().await;
    let mut connection = pair.stack.connect().await;
    connection.execute("UPDATE tenants SET status = 'suspended' WHERE slug = 'alpha'").await.unwrap();
    pair.other_answers(&pair.stack.demo.alpha.api_key, 403).await;
    connection.execute("DELETE FROM api_keys WHERE label = 'demo app'").await.unwrap();
    pair.other_answers(&pair.stack.demo.alpha.api_key, 401).await;
}

#[tokio::test]
async fn a_change_that_is_rolled_back_is_none() {
    let pair = Pair::start().await;
    let mut connection = pair.stack.connect().await;
    connection.execute("BEGIN; UPDATE tenants SET status = 'suspended'; ROLLBACK").await.unwrap();
    // Announcements keep their order: once this one has arrived, the other would have.
    pair.stack.tenants.set_tenant_status(&pair.stack.beta(), TenantStatus::Suspended).await.unwrap();
    pair.other_answers(&pair.stack.demo.beta.api_key, 403).await;
    pair.ask_other(&pair.stack.demo.alpha.api_key).await.url();
}

#[tokio::test]
async fn missed_changes_take_effect_after_reconnecting() {
    let direct = postgres::fresh_database().await;
    let proxy = Proxy::to(&direct).await;
    let setup = remembering(Setup::new()).database(&direct, proxy.url(&direct));
    let stack = setup.start().await;
    stack.presign("ext=jpg").await.url();
    proxy.cut();
    stack.set_alphas_status(TenantStatus::Suspended).await;
    proxy.mend();
    let refused = || async { (stack.presign("ext=jpg").await.status == 403).then_some(()) };
    eventually("the missed change is seen", refused).await;
}

#[tokio::test]
async fn using_an_api_key_announces_nothing() {
    let stack = Setup::new().set("AUTH__LAST_USED_FLUSH_SECONDS", "1").start().await;
    let mut listener =
        sqlx::postgres::PgListener::connect(secrecy::ExposeSecret::expose_secret(&stack.database_url)).await.unwrap();
    listener.listen("presign_gateway_changes").await.unwrap();
    stack.presign("ext=jpg").await.url();
    let written = || async {
        let statement = "SELECT count(*) FROM api_keys WHERE last_used_at IS NOT NULL";
        let count: i64 = sqlx::query_scalar(statement).fetch_one(&mut stack.connect().await).await.unwrap();
        (count > 0).then_some(())
    };
    eventually("the use is written down", written).await;
    stack.set_alphas_status(TenantStatus::Suspended).await;
    let first = listener.recv().await.unwrap();
    assert!(first.payload().contains("tenants"), "{}", first.payload());
}

#[tokio::test]
async fn unknown_notification_invalidates_every_cache() {
    let pair = Pair::start().await;
    let mut connection = pair.stack.connect().await;
    // Behind the triggers' back, as a newer version might announce it.
    let statement =
        "SET session_replication_role = replica; UPDATE tenants SET status = 'suspended' WHERE slug = 'alpha'";
    connection.execute(statement).await.unwrap();
    pair.ask_other(&pair.stack.demo.alpha.api_key).await.url();
    connection.execute("NOTIFY presign_gateway_changes, 'something new'").await.unwrap();
    pair.other_answers(&pair.stack.demo.alpha.api_key, 403).await;
}

#[tokio::test]
async fn pooler_without_notifications_is_detected() {
    let direct = postgres::fresh_database().await;
    let proxy = Proxy::to(&direct).await;
    proxy.mute();
    let setup = Setup::new().set("AUTH__CACHE_SECONDS", "1").set("VAULT__CACHE_SECONDS", "1");
    // Its messages have to be read by the proxy.
    let muted = format!("{}?sslmode=disable", secrecy::ExposeSecret::expose_secret(&proxy.url(&direct)));
    let stack = setup.database(&direct, muted.into()).start().await;
    let not_heard = || async {
        let ready = stack.client.get(format!("{}/readyz", stack.ops_url)).send().await.ok()?;
        ready.text().await.ok()?.contains("not listening for changes").then_some(())
    };
    eventually("/readyz tells", not_heard).await;
    stack.presign("ext=jpg").await.url();
    stack.set_alphas_status(TenantStatus::Suspended).await;
    let refused = || async { (stack.presign("ext=jpg").await.status == 403).then_some(()) };
    eventually("the change is seen", refused).await;
    proxy.mend();
    let heard = || async {
        let ready = stack.client.get(format!("{}/readyz", stack.ops_url)).send().await.ok()?;
        (!ready.text().await.ok()?.contains("not listening")).then_some(())
    };
    eventually("announcements arrive once the pool is gone", heard).await;
}
