//! `oss.anonymous_tenant`: the contract's own clients send no credential.

use presign_gateway::domain::tenant::TenantStatus;

use crate::support::stack::Setup;

fn anonymous() -> Setup {
    Setup::new().set("OSS__ANONYMOUS_TENANT", "alpha").set("SERVER__TRUSTED_PROXIES", "127.0.0.1")
}

#[tokio::test]
async fn calls_without_any_credential_are_the_anonymous_tenants() {
    let stack = anonymous().start().await;
    let answer = stack.get("/oss/presign?ext=jpg").send().await;
    assert!(answer.url().contains("/alpha-uploads/"));
    let kind: String =
        sqlx::query_scalar("SELECT caller_kind FROM uploads").fetch_one(&mut stack.connect().await).await.unwrap();
    assert_eq!(kind, "anonymous");
}

#[tokio::test]
async fn a_wrong_credential_is_still_refused() {
    let stack = anonymous().start().await;
    stack.presign_as("pgw_wrong").await.assert_error(401, "unauthenticated");
    stack.get("/oss/presign?ext=jpg").header("authorization", "").send().await.assert_error(401, "unauthenticated");
    stack.presign_as(&stack.demo.beta.api_key).await.url();
    assert_eq!(stack.recorded().await, 1);
}

#[tokio::test]
async fn each_address_has_a_limit_of_its_own() {
    let stack = anonymous().set("OSS__ANONYMOUS_PER_SECOND", "1").set("OSS__ANONYMOUS_BURST", "2").start().await;
    let call = |address: &str| stack.get("/oss/presign?ext=jpg").from(address.parse().unwrap()).send();
    call("203.0.113.1").await.url();
    call("203.0.113.1").await.url();
    let limited = call("203.0.113.1").await;
    limited.assert_error(429, "rate_limited");
    assert!(limited.header("retry-after").is_some());
    call("203.0.113.2").await.url();
    // A whole /64 is one client.
    call("2001:db8::1").await.url();
    call("2001:db8::2").await.url();
    call("2001:db8::3").await.assert_error(429, "rate_limited");
    call("2001:db8:0:1::1").await.url();
}

#[tokio::test]
async fn a_suspended_or_missing_anonymous_tenant_lets_nobody_in() {
    let stack = anonymous().start().await;
    stack.set_alphas_status(TenantStatus::Suspended).await;
    stack.get("/oss/presign?ext=jpg").send().await.assert_error(403, "tenant_suspended");

    let stack = Setup::new().set("OSS__ANONYMOUS_TENANT", "nobody").start().await;
    stack.get("/oss/presign?ext=jpg").send().await.assert_error(503, "tenant_not_ready");
}
