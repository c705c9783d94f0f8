//! Tokens that are presented again.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use futures_util::future::join_all;
use presign_gateway::admin::{JwtIssuerChanges, NewJwtIssuer, NewVerification};
use presign_gateway::auth::jwks::{Jwks, JwksTiming};
use presign_gateway::auth::jwt::claims::{Claims, Lifetime, Now};
use presign_gateway::auth::jwt::keys::{KeyMaterial, Keys};
use presign_gateway::auth::jwt::{KeySource, Verifier};
use presign_gateway::auth::{Auth, AuthError, CacheBounds, Presented, Refusal};
use presign_gateway::domain::caller::{Caller, Scope, Scopes};
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::egress::AllowedHosts;
use presign_gateway::domain::jwt_issuer::{JwtAlgorithm, JwtIssuer};
use presign_gateway::domain::tenant::TenantStatus;
use presign_gateway::egress::Egress;
use presign_gateway::store::change_feed::ChangedRow;
use presign_gateway::telemetry::metrics::Metrics;
use proptest::prelude::*;
use reqwest::Method;
use serde_json::{Value, json};

use super::{SECRET, add, issuer, published, secret_issuer, with};
use crate::support::jwks_server::{Publish, Publisher};
use crate::support::stack::TestStack;
use crate::support::tokens::{self, AUDIENCE, ISSUER, IssuerKey, claims, claims_with, hs256};
use crate::support::{canary, eventually, within};

const SECOND: &str = "a second secret of thirty-two bytes or more, for tests";

/// An authentication of its own on the stack's database, which hears of changes only what it is told.
fn auth(stack: &TestStack, max_age: Duration, max_tokens: u64) -> Auth {
    let timing = JwksTiming { refresh: Duration::ZERO, cooldown: Duration::ZERO, stale: Duration::from_mins(1) };
    Auth::new(
        stack.store.clone(),
        Arc::clone(&stack.keyring),
        Clock::System,
        CacheBounds { max_entries: 100, max_age, max_tokens },
        Jwks::new(Egress::new(AllowedHosts::any()), timing, Metrics::off().jwks()),
        &Metrics::off(),
    )
}

const LONG: Duration = Duration::from_mins(10);

async fn present(auth: &Auth, token: &str) -> Result<Caller, AuthError> {
    auth.authenticate(&Presented::Jwt(token.into()), || true).await
}

async fn assert_refused(auth: &Auth, token: &str, expected: Refusal) {
    match present(auth, token).await {
        Err(AuthError::Refused(refusal)) => assert_eq!(refusal, expected),
        other => panic!("{other:?}"),
    }
}

fn announced(issuer: &str, audience: &str) -> ChangedRow {
    ChangedRow::JwtIssuers { issuer: issuer.to_owned(), audience: audience.to_owned() }
}

async fn the_issuer(stack: &TestStack) -> JwtIssuer {
    let issuers = stack.tenants.list_jwt_issuers(&stack.alpha()).await.unwrap();
    issuers.into_iter().find(|issuer| issuer.issuer == ISSUER && issuer.audience == AUDIENCE).unwrap()
}

async fn update(stack: &TestStack, changes: JwtIssuerChanges) {
    let id = the_issuer(stack).await.id;
    stack.tenants.update_jwt_issuer(&stack.alpha(), id, changes, None, &stack.keyring).await.unwrap();
}

#[tokio::test]
async fn a_token_is_checked_once_and_says_the_same_ever_after() {
    let stack = with(secret_issuer()).await;
    for max_age in [LONG, Duration::ZERO] {
        let auth = auth(&stack, max_age, 10);
        let token = hs256(SECRET, &claims_with("scope", json!("uploads:issue uploads:delete")));
        let first = present(&auth, &token).await.unwrap();
        for _ in 0..5 {
            let again = present(&auth, &token).await.unwrap();
            assert_eq!(format!("{again:?}"), format!("{first:?}"));
        }
        assert_eq!(auth.tokens().checked(), 1, "with rows kept for {max_age:?}");
        assert_eq!(first.subject.as_deref(), Some("user-1"));
        assert_eq!(first.scopes, Scopes::default().with(Scope::UploadsIssue));
        assert_eq!(first.tenant.slug, stack.alpha());
    }
}

#[tokio::test]
async fn every_algorithms_tokens_are_checked_once() {
    let stack = TestStack::start().await;
    for key in [IssuerKey::rs256(), IssuerKey::ps256(), IssuerKey::es256(), IssuerKey::eddsa()] {
        let algorithm = format!("{:?}", key.algorithm).parse().unwrap();
        let publisher = Publisher::start(Publish::Text(key.jwks())).await;
        let kinds = [
            NewVerification::PublicKeyPem(key.public_pem.clone()),
            NewVerification::Jwks(key.jwks()),
            published::at(&publisher),
        ];
        for (kind, verification) in kinds.into_iter().enumerate() {
            let audience = format!("{algorithm:?}-{kind}");
            let new = NewJwtIssuer { audience: audience.clone(), ..issuer(algorithm, verification) };
            add(&stack, &stack.alpha(), new).await.unwrap();
            let auth = auth(&stack, LONG, 10);
            let token = key.token(Some("first"), &claims_with("aud", json!(audience)));
            for _ in 0..3 {
                present(&auth, &token).await.unwrap();
            }
            assert_eq!(auth.tokens().checked(), 1, "{audience}");
        }
    }
}

#[tokio::test]
async fn cached_token_is_rejected_once_it_expires() {
    let stack = with(NewJwtIssuer { leeway_seconds: 0, ..secret_issuer() }).await;
    let expiry = tokens::now() + 2;
    let token = hs256(SECRET, &claims_with("exp", json!(expiry)));
    stack.presign_as(&token).await.url();
    let auth = auth(&stack, LONG, 10);
    present(&auth, &token).await.unwrap();
    within(Duration::from_secs(5), "the token expires", async || {
        let before = tokens::now();
        let outcomes = (stack.presign_as(&token).await.status.is_success(), present(&auth, &token).await.is_ok());
        assert!(before < expiry || outcomes == (false, false), "accepted after it had expired");
        assert!(tokens::now() >= expiry || outcomes == (true, true), "refused before it expired");
        (outcomes == (false, false)).then_some(())
    })
    .await;
    assert_refused(&auth, &token, Refusal::InvalidToken).await;
}

#[tokio::test]
async fn cached_check_holds_exactly_while_a_fresh_one_would() {
    let stack = with(secret_issuer()).await;
    let row = the_issuer(&stack).await;
    let keys = || KeySource::Row(Keys::new(JwtAlgorithm::Hs256, &KeyMaterial::HmacSecret(&SECRET.into())).unwrap());
    let verifier = Verifier::new(&row, keys());
    let now = Clock::System.now();
    let at = now.timestamp();
    let claims = json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "user-1", "iat": at, "nbf": at + 20, "exp": at + 100 });
    let token = hs256(SECRET, &claims);
    let checked = verifier.verify(&token, now, &|| true).await.unwrap();
    for offset in [-1000, -31, -30, -11, -10, -9, 0, 99, 129, 130, 131, 10_000] {
        let then = now + TimeDelta::seconds(offset);
        let passes = verifier.verify(&token, then, &|| true).await.is_ok();
        assert_eq!(verifier.still_holds(&checked, then), passes, "{offset} s later");
        assert_eq!(passes, (-10..130).contains(&offset), "{offset} s later");
    }
    let other = JwtIssuer { leeway_seconds: 60, ..row };
    assert!(!Verifier::new(&other, keys()).still_holds(&checked, now), "of a row that has changed");
}

proptest! {
    #[test]
    fn a_lifetime_says_what_the_claims_say(
        now in 0..2000_u64,
        leeway in 0..300_u32,
        times in prop::array::uniform3(prop_oneof![
            Just(None),
            (0..2000_u64).prop_map(|at| Some(json!(at))),
            (0.0..2000.0).prop_map(|at: f64| Some(json!(at))),
            Just(Some(json!(u64::MAX))),
            Just(Some(json!(-1))),
            Just(Some(json!("soon"))),
            Just(Some(Value::Null)),
        ]),
    ) {
        let named = ["exp", "nbf", "iat"].into_iter().zip(times);
        let claims: Claims = named.filter_map(|(name, time)| Some((name.to_owned(), time?))).collect();
        let now = Now::new(DateTime::from_timestamp(now.try_into().unwrap(), 0).unwrap(), leeway);
        let one_by_one =
            now.is_before_expiry(&claims) && now.is_not_before(&claims, "nbf") && now.is_not_before(&claims, "iat");
        prop_assert_eq!(Lifetime::of(&claims).is_some_and(|lifetime| now.is_within(&lifetime)), one_by_one);
    }
}

#[tokio::test]
async fn a_token_is_refused_once_its_issuers_secret_is_another() {
    let stack = with(secret_issuer()).await;
    canary::watch(SECOND);
    let auth = auth(&stack, LONG, 10);
    let (token, new) = (hs256(SECRET, &claims()), hs256(SECOND, &claims()));
    present(&auth, &token).await.unwrap();
    stack.presign_as(&token).await.url();
    let second = JwtIssuerChanges {
        verification: Some(NewVerification::HmacSecret(SECOND.into())),
        ..JwtIssuerChanges::default()
    };
    update(&stack, second).await;
    stack.presign_as(&token).await.assert_error(401, "unauthenticated");
    stack.presign_as(&new).await.url();
    auth.forget(&announced(ISSUER, AUDIENCE));
    assert_refused(&auth, &token, Refusal::InvalidToken).await;
    present(&auth, &new).await.unwrap();
}

#[tokio::test]
async fn a_token_may_do_less_once_its_issuer_grants_less() {
    let stack = with(NewJwtIssuer { scopes: Scopes::all(), ..secret_issuer() }).await;
    let auth = auth(&stack, LONG, 10);
    let token = hs256(SECRET, &claims());
    assert_eq!(present(&auth, &token).await.unwrap().scopes, Scopes::all());
    let fewer = Scopes::default().with(Scope::UploadsRead);
    update(&stack, JwtIssuerChanges { scopes: Some(fewer), ..JwtIssuerChanges::default() }).await;
    auth.forget(&announced(ISSUER, AUDIENCE));
    assert_eq!(present(&auth, &token).await.unwrap().scopes, fewer);
    assert_eq!(auth.tokens().checked(), 2);
    present(&auth, &token).await.unwrap();
    assert_eq!(auth.tokens().checked(), 2, "checked anew, it is remembered anew");
}

#[tokio::test]
async fn token_checked_during_an_issuer_change_is_not_cached() {
    let stack = with(secret_issuer()).await;
    let auth = auth(&stack, LONG, 10);
    let token = hs256(SECRET, &claims());
    // The row is in memory, and changes. Whoever asks now is checked against the old one, and remembered after the change.
    present(&auth, &hs256(SECRET, &claims_with("sub", json!("user-2")))).await.unwrap();
    let id = the_issuer(&stack).await.id;
    stack.tenants.archive_jwt_issuer(&stack.alpha(), id).await.unwrap();
    present(&auth, &token).await.unwrap();
    auth.forget(&announced(ISSUER, AUDIENCE));
    assert_refused(&auth, &token, Refusal::UnknownIssuer).await;
}

#[tokio::test]
async fn token_is_rejected_after_the_ttl_without_notifications() {
    let stack = with(secret_issuer()).await;
    let auth = auth(&stack, LONG, 10);
    let token = hs256(SECRET, &claims());
    present(&auth, &token).await.unwrap();
    let id = the_issuer(&stack).await.id;
    stack.tenants.archive_jwt_issuer(&stack.alpha(), id).await.unwrap();
    present(&auth, &token).await.unwrap();
    // As is done every so often while nothing can be heard.
    auth.invalidate_all();
    assert_refused(&auth, &token, Refusal::UnknownIssuer).await;
}

#[tokio::test]
async fn token_is_rejected_once_it_matches_two_issuers() {
    let stack = with(secret_issuer()).await;
    let auth = auth(&stack, LONG, 10);
    let token = hs256(SECRET, &claims_with("aud", json!(["beta-uploads", AUDIENCE])));
    for _ in 0..2 {
        present(&auth, &token).await.unwrap();
    }
    assert_eq!(auth.tokens().checked(), 1);
    let betas = NewJwtIssuer { audience: "beta-uploads".to_owned(), ..secret_issuer() };
    add(&stack, &stack.beta(), betas).await.unwrap();
    auth.forget(&announced(ISSUER, "beta-uploads"));
    assert_refused(&auth, &token, Refusal::UnknownIssuer).await;
}

#[tokio::test]
async fn a_token_is_refused_while_its_tenant_is_suspended() {
    let stack = with(secret_issuer()).await;
    let auth = auth(&stack, LONG, 10);
    let token = hs256(SECRET, &claims());
    let tenant = present(&auth, &token).await.unwrap().tenant;
    let changed = ChangedRow::Tenants { id: tenant.id, slug: stack.alpha().as_str().to_owned() };
    stack.set_alphas_status(TenantStatus::Suspended).await;
    auth.forget(&changed);
    let error = present(&auth, &token).await.unwrap_err();
    assert!(matches!(error, AuthError::TenantSuspended(_)), "{error}");
    stack.set_alphas_status(TenantStatus::Active).await;
    auth.forget(&changed);
    present(&auth, &token).await.unwrap();
    assert_eq!(auth.tokens().checked(), 1);
}

#[tokio::test]
async fn a_token_is_refused_once_its_key_is_published_no_more() {
    let (old, mut new) = (IssuerKey::es256(), IssuerKey::es256());
    new.jwk.common.key_id = Some("second".to_owned());
    let publisher = Publisher::start(Publish::Text(old.jwks())).await;
    let settings = [("AUTH__JWKS_REFRESH_SECONDS", "1"), ("AUTH__CACHE_SECONDS", "600")];
    let stack = published::stack(JwtAlgorithm::Es256, &publisher, &settings).await;
    let token = old.token(Some("first"), &claims());
    stack.presign_as(&token).await.url();
    publisher.set(Publish::Text(new.jwks()));
    // Nobody but this token asks for the keys.
    eventually("the token is refused", async || (stack.presign_as(&token).await.status == 401).then_some(())).await;
    stack.presign_as(&new.token(Some("second"), &claims())).await.url();
}

#[tokio::test]
async fn cached_token_is_rejected_after_a_fetch_of_new_keys() {
    let (old, mut new) = (IssuerKey::es256(), IssuerKey::es256());
    new.jwk.common.key_id = Some("second".to_owned());
    let publisher = Publisher::start(Publish::Text(old.jwks())).await;
    let stack = published::stack(JwtAlgorithm::Es256, &publisher, &[]).await;
    let token = old.token(Some("first"), &claims());
    for _ in 0..2 {
        stack.presign_as(&token).await.url();
    }
    publisher.set(Publish::Text(new.jwks()));
    stack.presign_as(&new.token(Some("second"), &claims())).await.url();
    // The keys are new: nobody has to wait for a refresh.
    stack.presign_as(&token).await.assert_error(401, "unauthenticated");
}

#[tokio::test]
async fn cached_token_is_rechecked_only_when_keys_change() {
    let (key, mut second) = (IssuerKey::es256(), IssuerKey::es256());
    second.jwk.common.key_id = Some("second".to_owned());
    let publisher = Publisher::start(Publish::Text(key.jwks())).await;
    let stack = published::stack(JwtAlgorithm::Es256, &publisher, &[]).await;
    // Its keys are old at once, so that each use has them fetched.
    let auth = auth(&stack, LONG, 10);
    let token = key.token(Some("first"), &claims());
    let fetched = async |times: usize| {
        eventually("the keys are fetched again", async || {
            present(&auth, &token).await.unwrap();
            (publisher.requests() >= times).then_some(())
        })
        .await;
    };
    fetched(4).await;
    assert_eq!(auth.tokens().checked(), 1);
    publisher.set(Publish::Text(json!({ "keys": [key.jwk, second.jwk] }).to_string()));
    eventually("the token is checked again", async || {
        present(&auth, &token).await.unwrap();
        (auth.tokens().checked() == 2).then_some(())
    })
    .await;
    fetched(publisher.requests() + 3).await;
    assert_eq!(auth.tokens().checked(), 2);
}

#[tokio::test]
async fn cached_token_with_stale_jwks_gets_503() {
    let key = IssuerKey::es256();
    let publisher = Publisher::start(Publish::Text(key.jwks())).await;
    let settings = [("AUTH__JWKS_REFRESH_SECONDS", "0"), ("AUTH__JWKS_STALE_SECONDS", "1")];
    let stack = published::stack(JwtAlgorithm::Es256, &publisher, &settings).await;
    let token = key.token(Some("first"), &claims());
    stack.presign_as(&token).await.url();
    publisher.set(Publish::Status(500));
    eventually("the keys are too old", async || (stack.presign_as(&token).await.status == 503).then_some(())).await;
    publisher.set(Publish::Text(key.jwks()));
    eventually("the keys are back", async || (stack.presign_as(&token).await.status == 200).then_some(())).await;
}

#[tokio::test]
async fn a_token_that_fails_is_never_remembered() {
    let stack = with(secret_issuer()).await;
    let auth = auth(&stack, LONG, 10);
    let expired = hs256(SECRET, &claims_with("exp", json!(tokens::now() - 60)));
    let unsigned = hs256(SECOND, &claims());
    for attempt in 1..=3 {
        assert_refused(&auth, &expired, Refusal::InvalidToken).await;
        assert_refused(&auth, &unsigned, Refusal::InvalidToken).await;
        assert_eq!(auth.tokens().checked(), 2 * attempt);
    }
    assert_refused(&auth, &hs256(SECRET, &claims_with("iss", json!("another"))), Refusal::UnknownIssuer).await;
    assert_refused(&auth, "no token", Refusal::Malformed).await;
    // Right, but of nobody who may be served.
    stack.set_alphas_status(TenantStatus::Suspended).await;
    let error = present(&auth, &hs256(SECRET, &claims())).await.unwrap_err();
    assert!(matches!(error, AuthError::TenantSuspended(_)), "{error}");
    assert_eq!(auth.tokens().count(), 0);
}

#[tokio::test]
async fn cached_claims_with_another_signature_are_rejected() {
    let stack = with(secret_issuer()).await;
    let claims = claims();
    let good = hs256(SECRET, &claims);
    stack.presign_as(&good).await.url();
    let (unsigned, signature) = good.rsplit_once('.').unwrap();
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    for wrong in [
        hs256(SECOND, &claims),
        format!("{unsigned}.{flipped}{}", &signature[1..]),
        format!("{unsigned}."),
        format!("{good}="),
        format!("{good}."),
        unsigned.to_owned(),
    ] {
        stack.presign_as(&wrong).await.assert_error(401, "unauthenticated");
        stack.presign_as(&good).await.url();
    }
}

#[tokio::test]
async fn no_more_tokens_are_remembered_than_the_setting_says() {
    let stack = with(secret_issuer()).await;
    for most in [0, 3] {
        let auth = auth(&stack, LONG, most);
        let tokens: Vec<_> =
            (0..20).map(|number| hs256(SECRET, &claims_with("sub", json!(format!("user-{number}"))))).collect();
        for token in &tokens {
            present(&auth, token).await.unwrap();
            assert!(auth.tokens().count() <= most);
        }
        // Whether it is remembered or not, it is let in.
        for caller in join_all(tokens.iter().map(|token| present(&auth, token))).await {
            caller.unwrap();
        }
        if most == 0 {
            assert_eq!(auth.tokens().checked(), 40);
        }
    }
}

#[tokio::test]
async fn a_token_with_many_names_is_let_in_and_not_remembered() {
    let stack = with(secret_issuer()).await;
    let auth = auth(&stack, LONG, 10);
    let names = [AUDIENCE.to_owned(), "x".repeat(250), "y".repeat(250)];
    let token = hs256(SECRET, &claims_with("aud", json!(names)));
    for _ in 0..2 {
        present(&auth, &token).await.unwrap();
    }
    assert_eq!((auth.tokens().checked(), auth.tokens().count()), (2, 0));
}

#[tokio::test]
async fn failing_address_with_a_cached_token_causes_no_lookup() {
    let stack = with(secret_issuer()).await;
    let auth = auth(&stack, LONG, 10);
    let token = Presented::Jwt(hs256(SECRET, &claims()).into());
    auth.authenticate(&token, || true).await.unwrap();
    auth.authenticate(&token, || false).await.unwrap();
    auth.invalidate_all();
    let denied = auth.authenticate(&token, || false).await.unwrap_err();
    assert!(matches!(denied, AuthError::LookupDenied), "{denied}");
}

#[tokio::test]
async fn issuer_change_reaches_cached_tokens_of_other_instances() {
    let setup =
        crate::support::stack::Setup::new().set("AUTH__CACHE_SECONDS", "600").set("AUTH__FAILURES_BURST", "1000");
    let stack = setup.start().await;
    add(&stack, &stack.alpha(), secret_issuer()).await.unwrap();
    let other = stack.another(&[]).await;
    let token = hs256(SECRET, &claims());
    let ask_other = || async {
        let url = format!("{}/oss/presign?ext=jpg", other.url);
        stack.call(Method::GET, url).bearer(&token).send().await
    };
    for _ in 0..2 {
        stack.presign_as(&token).await.url();
        ask_other().await.url();
    }
    canary::watch(SECOND);
    let second = JwtIssuerChanges {
        verification: Some(NewVerification::HmacSecret(SECOND.into())),
        ..JwtIssuerChanges::default()
    };
    update(&stack, second).await;
    let refused = || async {
        let answers = (stack.presign_as(&token).await.status.as_u16(), ask_other().await.status.as_u16());
        (answers == (401, 401)).then_some(())
    };
    within(Duration::from_secs(3), "the change reaches both instances", refused).await;
}
