//! API keys: who is let in, and that all others hear the same.

use chrono::{DateTime, TimeDelta, Utc};
use presign_gateway::admin::{Admin, NewApiKey};
use presign_gateway::auth::api_key::{self, PresentedApiKey};
use presign_gateway::domain::caller::{Scope, Scopes};
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::page::PageRequest;
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::tenant::{Slug, TenantStatus};
use secrecy::ExposeSecret;

use crate::support::canary;
use crate::support::eventually;
use crate::support::stack::{Answer, Setup, TestStack};

/// The body without what differs from request to request.
pub fn anonymized(answer: &Answer) -> String {
    answer.text.replace(answer.header("x-request-id").unwrap(), "ID")
}

fn new_key(stack: &TestStack, scopes: Scopes, expires_at: Option<DateTime<Utc>>) -> NewApiKey {
    NewApiKey { tenant: Some(stack.alpha()), label: "test".to_owned(), scopes, expires_at }
}

async fn create(stack: &TestStack, scopes: Scopes, expires_at: Option<DateTime<Utc>>) -> (String, String) {
    let (key, text) = stack.tenants.create_api_key(new_key(stack, scopes, expires_at)).await.unwrap();
    canary::watch(text.expose_secret());
    (text.expose_secret().to_owned(), key.public_id)
}

fn issue() -> Scopes {
    Scopes::default().with(Scope::UploadsIssue)
}

#[tokio::test]
async fn a_key_is_taken_from_either_header_but_not_from_both() {
    let stack = TestStack::start().await;
    let key = &stack.demo.alpha.api_key;
    let call = || stack.get("/oss/presign?ext=jpg");
    for accepted in [
        call().bearer(key),
        call().header("x-api-key", key),
        call().header("authorization", &format!("bearer {key}")),
        call().header("authorization", &format!("BEARER   {key} ")),
    ] {
        accepted.send().await.url();
    }
    for refused in [
        call().bearer(key).header("x-api-key", key),
        call().bearer(key).bearer(key),
        call().header("authorization", key),
        call().header("authorization", &format!("Basic {key}")),
        call().header("x-api-key", &stack.token),
    ] {
        refused.send().await.assert_error(401, "unauthenticated");
    }
    assert_eq!(stack.recorded().await, 4);
}

#[tokio::test]
async fn every_key_that_is_not_let_in_hears_the_same_body() {
    let stack = TestStack::start().await;
    let (expired, expired_id) = create(&stack, issue(), None).await;
    sqlx::query("UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE public_id = $1")
        .bind(expired_id)
        .execute(&mut stack.connect().await)
        .await
        .unwrap();
    let (revoked, public_id) = create(&stack, issue(), None).await;
    stack.tenants.revoke_api_key(&public_id).await.unwrap();
    let unknown = api_key::generate(&Randomness::System).text.expose_secret().to_owned();
    let good = stack.demo.alpha.api_key.clone();
    let mistyped = format!("{}x", &good[..good.len() - 1]);
    // A right public id with somebody else's secret, and a checksum that fits.
    let mixed = with_secret_of(&good, &unknown);

    let missing = stack.get("/oss/presign?ext=jpg").send().await;
    missing.assert_error(401, "unauthenticated");
    assert!(missing.header("www-authenticate").is_some());
    for wrong in [&expired, &revoked, &unknown, &mistyped, &mixed, "pgw_", "nonsense", ""] {
        let answer = stack.presign_as(wrong).await;
        answer.assert_error(401, "unauthenticated");
        assert_eq!(anonymized(&answer), anonymized(&missing), "{wrong}");
        assert_eq!(answer.header("ratelimit"), None, "a stranger learns nothing of a tenant's limit");
    }
    assert_eq!(stack.recorded().await, 0);
}

/// The public id of one key, the secret of another.
fn with_secret_of(key: &str, other: &str) -> String {
    let public_id = key.split('_').nth(1).unwrap();
    let secret = &other.split('_').nth(2).unwrap()[..32];
    let body = format!("pgw_{public_id}_{secret}");
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut checksum = Vec::new();
    for _ in 0..6 {
        checksum.insert(0, char::from(digits[(rest % 62) as usize]));
        rest /= 62;
    }
    let mixed = format!("{body}{}", checksum.into_iter().collect::<String>());
    assert!(PresentedApiKey::parse(&mixed).is_some(), "the checksum fits");
    mixed
}

/// The format is fixed: keys that were given to clients stay valid.
#[test]
fn keys_made_by_earlier_builds_are_well_formed() {
    // Their checksums have 6, 5, 4 and 3 digits, and zeros before them.
    for key in [
        "pgw_000000000000_000000000000000000000000000000001M9yso",
        "pgw_000000000002_000000000000000000000000000158380ct7Jh",
        "pgw_000000000115_0000000000000000000000000091068500Br9c",
        "pgw_000000002754_00000000000000000000000021808926000nHN",
    ] {
        assert!(PresentedApiKey::parse(key).is_some(), "{key}");
        let (body, checksum) = key.split_at(key.len() - 6);
        let unpadded = format!("{body}{}", checksum.trim_start_matches('0'));
        assert!(unpadded == key || PresentedApiKey::parse(&unpadded).is_none(), "{unpadded}");
    }
}

#[tokio::test]
async fn a_mistyped_key_is_refused_without_asking_the_database() {
    let stack = Setup::new().start().await;
    let good = stack.demo.alpha.api_key.clone();
    let mistyped = good.replacen(&good[10..12], if &good[10..12] == "zz" { "yy" } else { "zz" }, 1);
    // With the table gone, any question to it would be a 503.
    sqlx::query("ALTER TABLE api_keys RENAME TO gone").execute(&mut stack.connect().await).await.unwrap();
    stack.presign_as(&mistyped).await.assert_error(401, "unauthenticated");
    stack.presign_as(&good).await.assert_error(503, "unavailable");
}

#[tokio::test]
async fn a_key_works_until_it_expires_or_is_revoked() {
    let stack = TestStack::start().await;
    let (expiring, _) = create(&stack, issue(), Some(Clock::System.now() + TimeDelta::hours(1))).await;
    stack.presign_as(&expiring).await.url();
    let (revoked, public_id) = create(&stack, issue(), None).await;
    stack.presign_as(&revoked).await.url();
    stack.tenants.revoke_api_key(&public_id).await.unwrap();
    stack.presign_as(&revoked).await.assert_error(401, "unauthenticated");
}

#[tokio::test]
async fn a_key_without_the_scope_is_forbidden() {
    let stack = TestStack::start().await;
    let (reader, _) = create(&stack, Scopes::default().with(Scope::UploadsRead), None).await;
    let answer = stack.presign_as(&reader).await;
    answer.assert_error(403, "scope_missing");
    assert!(answer.message().contains("uploads:issue"));
    assert_eq!(stack.recorded().await, 0);
}

#[tokio::test]
async fn a_suspended_tenants_callers_are_forbidden_and_others_are_not() {
    let stack = TestStack::start().await;
    stack.set_alphas_status(TenantStatus::Suspended).await;
    stack.presign_as(&stack.demo.alpha.api_key).await.assert_error(403, "tenant_suspended");
    stack.presign_as(&stack.token).await.assert_error(403, "tenant_suspended");
    stack.presign_as(&stack.demo.beta.api_key).await.url();
    stack.set_alphas_status(TenantStatus::Archived).await;
    stack.presign_as(&stack.demo.alpha.api_key).await.assert_error(403, "tenant_suspended");
    stack.set_alphas_status(TenantStatus::Active).await;
    stack.presign_as(&stack.demo.alpha.api_key).await.url();
}

/// When a tenant's only key was last used.
async fn last_use(tenants: &Admin, tenant: Slug) -> Option<DateTime<Utc>> {
    tenants.list_api_keys(Some(&tenant), &PageRequest::default()).await.unwrap().items[0].last_used_at
}

#[tokio::test]
async fn the_time_of_last_use_is_written_down_later() {
    let stack = Setup::new().set("AUTH__LAST_USED_FLUSH_SECONDS", "1").start().await;
    let last_used = || last_use(&stack.tenants, stack.alpha());
    assert_eq!(last_used().await, None);
    let before = Clock::System.now() - TimeDelta::seconds(1);
    stack.presign("ext=jpg").await.url();
    let used = eventually("last use on record", last_used).await;
    assert!(used >= before);
}

#[tokio::test]
async fn stopping_writes_down_the_last_uses_that_were_still_in_memory() {
    let stack = Setup::new().set("AUTH__LAST_USED_FLUSH_SECONDS", "3600").start().await;
    stack.presign("ext=jpg").await.url();
    let (tenants, alpha) = (stack.tenants.clone(), stack.alpha());
    stack.stop().await;
    assert!(last_use(&tenants, alpha).await.is_some());
}
