//! Keys that an issuer publishes at a URL, over real HTTP.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use presign_gateway::admin::{JwtIssuerChanges, NewJwtIssuer, NewVerification};
use presign_gateway::auth::jwks::{Jwks, JwksTiming};
use presign_gateway::auth::{Auth, AuthError, CacheBounds, Presented, Refusal};
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::egress::AllowedHosts;
use presign_gateway::domain::jwt_issuer::{JwksUrl, JwtAlgorithm};
use presign_gateway::egress::Egress;
use presign_gateway::telemetry::metrics::Metrics;
use serde_json::json;

use super::{add, issuer};
use crate::support::eventually;
use crate::support::jwks_server::{Publish, Publisher};
use crate::support::stack::{Setup, TestStack};
use crate::support::tokens::{IssuerKey, claims, claims_with};

pub fn at(publisher: &Publisher) -> NewVerification {
    NewVerification::JwksUrl(JwksUrl::parse(&publisher.url(), &AllowedHosts::any()).unwrap())
}

/// A gateway whose tenant alpha has an issuer that publishes its keys.
pub async fn stack(algorithm: JwtAlgorithm, publisher: &Publisher, settings: &[(&str, &str)]) -> TestStack {
    let setup = Setup::new().set("AUTH__FAILURES_BURST", "1000").set("OUTBOUND__ALLOWED_HOSTS", "127.0.0.1");
    let setup = settings.iter().fold(setup, |setup, (name, value)| setup.set(name, value));
    let stack = setup.start().await;
    add(&stack, &stack.alpha(), issuer(algorithm, at(publisher))).await.unwrap();
    stack
}

async fn es256(key: &IssuerKey, settings: &[(&str, &str)]) -> (TestStack, Publisher) {
    let publisher = Publisher::start(Publish::Text(key.jwks())).await;
    (stack(JwtAlgorithm::Es256, &publisher, settings).await, publisher)
}

fn token(key: &IssuerKey) -> String {
    key.token(Some("first"), &claims())
}

#[tokio::test]
async fn many_requests_at_once_fetch_the_keys_once() {
    let key = IssuerKey::es256();
    let (stack, publisher) = es256(&key, &[]).await;
    publisher.set(Publish::Hang);
    let token = token(&key);
    let requests = join_all((0..20).map(|_| stack.presign_as(&token)));
    let release = async {
        eventually("the keys are asked for", async || (publisher.requests() > 0).then_some(())).await;
        publisher.set(Publish::Text(key.jwks()));
    };
    for answer in tokio::join!(requests, release).0 {
        answer.url();
    }
    stack.presign_as(&token).await.url();
    assert_eq!(publisher.requests(), 1);
}

#[tokio::test]
async fn unknown_kids_make_the_keys_be_fetched_once_in_a_cooldown() {
    let key = IssuerKey::es256();
    let (stack, publisher) = es256(&key, &[]).await;
    stack.presign_as(&token(&key)).await.url();
    for attempt in 0..10 {
        let unknown = key.token(Some(&format!("unknown-{attempt}")), &claims());
        stack.presign_as(&unknown).await.assert_error(401, "unauthenticated");
    }
    assert_eq!(publisher.requests(), 2);
    stack.presign_as(&key.token(None, &claims())).await.assert_error(401, "unauthenticated");
    stack.presign_as(&token(&key)).await.url();
    assert_eq!(publisher.requests(), 2);
}

#[tokio::test]
async fn a_token_that_could_not_be_right_fetches_nothing() {
    let key = IssuerKey::es256();
    let (stack, publisher) = es256(&key, &[]).await;
    for wrong in [
        IssuerKey::rs256().token(Some("first"), &claims()),
        key.token(None, &claims()),
        key.token(Some("first"), &claims_with("aud", json!("another"))),
    ] {
        stack.presign_as(&wrong).await.assert_error(401, "unauthenticated");
    }
    assert_eq!(publisher.requests(), 0);
}

#[tokio::test]
async fn rotated_jwks_key_works_at_once_and_the_old_one_fails() {
    let (old, mut new) = (IssuerKey::es256(), IssuerKey::es256());
    new.jwk.common.key_id = Some("second".to_owned());
    let (stack, publisher) = es256(&old, &[]).await;
    stack.presign_as(&token(&old)).await.url();
    publisher.set(Publish::Text(new.jwks()));
    stack.presign_as(&new.token(Some("second"), &claims())).await.url();
    stack.presign_as(&token(&old)).await.assert_error(401, "unauthenticated");
    assert_eq!(publisher.requests(), 2);
}

#[tokio::test]
async fn old_keys_are_used_while_new_ones_are_fetched() {
    let (old, new) = (IssuerKey::es256(), IssuerKey::es256());
    let (stack, publisher) = es256(&old, &[("AUTH__JWKS_REFRESH_SECONDS", "0")]).await;
    stack.presign_as(&token(&old)).await.url();
    publisher.set(Publish::Hang);
    stack.presign_as(&token(&old)).await.url();
    stack.presign_as(&token(&old)).await.url();
    eventually("the keys are asked for again", async || (publisher.requests() == 2).then_some(())).await;
    // The same kid, another key.
    publisher.set(Publish::Text(new.jwks()));
    eventually("the new key works", async || stack.presign_as(&token(&new)).await.status.is_success().then_some(()))
        .await;
    stack.presign_as(&token(&old)).await.assert_error(401, "unauthenticated");
}

#[tokio::test]
async fn an_issuer_that_is_down_does_not_stop_its_tokens() {
    let key = IssuerKey::es256();
    let (stack, publisher) = es256(&key, &[("AUTH__JWKS_REFRESH_SECONDS", "0")]).await;
    stack.presign_as(&token(&key)).await.url();
    // What is no key set does not replace one.
    publisher.set(Publish::Text(json!({ "keys": [key.jwk, key.jwk] }).to_string()));
    eventually("a refresh has failed", async || {
        stack.presign_as(&token(&key)).await.url();
        (publisher.requests() == 2).then_some(())
    })
    .await;
    for _ in 0..5 {
        stack.presign_as(&token(&key)).await.url();
    }
    // Whether there is a key of another kid by now, nobody can say.
    eventually("the failure is known", async || {
        let answer = stack.presign_as(&key.token(Some("second"), &claims())).await;
        (answer.status.as_u16() == 503).then_some(())
    })
    .await;
    assert_eq!(publisher.requests(), 2, "not by every request");
}

#[tokio::test]
async fn stale_jwks_gets_503_until_the_issuer_is_back() {
    let key = IssuerKey::es256();
    let settings = [("AUTH__JWKS_REFRESH_SECONDS", "0"), ("AUTH__JWKS_STALE_SECONDS", "0")];
    let (stack, publisher) = es256(&key, &settings).await;
    stack.presign_as(&token(&key)).await.url();
    publisher.set(Publish::Status(500));
    for _ in 0..5 {
        let answer = stack.presign_as(&token(&key)).await;
        answer.assert_error(503, "unavailable");
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(publisher.requests(), 2, "not by every request");
    publisher.set(Publish::Text(key.jwks()));
    eventually("the keys are fetched again", async || {
        stack.presign_as(&token(&key)).await.status.is_success().then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_issuer_that_publishes_no_usable_keys_is_answered_with_503() {
    let key = IssuerKey::es256();
    let elsewhere = Publisher::start(Publish::Text(key.jwks())).await;
    let stack = Setup::new().set("OUTBOUND__ALLOWED_HOSTS", "127.0.0.1").start().await;
    for (number, publish) in [
        Publish::Redirect(elsewhere.url()),
        Publish::Status(404),
        Publish::Garbage,
        Publish::CutOff,
        Publish::Endless,
        Publish::Text("<html>".to_owned()),
        Publish::Text(json!({ "keys": [] }).to_string()),
        Publish::Text(json!({ "keys": [key.jwk, key.jwk] }).to_string()),
        Publish::Text(json!({ "keys": vec![&key.jwk; 101] }).to_string()),
        Publish::Text(IssuerKey::rs256().jwks()),
    ]
    .into_iter()
    .enumerate()
    {
        let what = format!("{publish:?}");
        let publisher = Publisher::start(publish).await;
        let audience = format!("audience-{number}");
        let new = NewJwtIssuer { audience: audience.clone(), ..issuer(JwtAlgorithm::Es256, at(&publisher)) };
        add(&stack, &stack.alpha(), new).await.unwrap();
        let token = key.token(Some("first"), &claims_with("aud", json!(audience)));
        for _ in 0..2 {
            let answer = stack.presign_as(&token).await;
            assert_eq!((answer.status.as_u16(), answer.reason()), (503, "unavailable"), "{what}");
        }
        assert_eq!(publisher.requests(), 1, "{what}");
    }
    assert_eq!(elsewhere.requests(), 0, "a redirect was followed");
}

#[tokio::test]
async fn private_jwks_url_and_plain_http_need_an_allowed_host() {
    let key = IssuerKey::es256();
    let publisher = Publisher::start(Publish::Text(key.jwks())).await;
    for hosts in ["", "localhost", "127.0.0.1:1"] {
        let stack = stack(JwtAlgorithm::Es256, &publisher, &[("OUTBOUND__ALLOWED_HOSTS", hosts)]).await;
        stack.presign_as(&token(&key)).await.assert_error(503, "unavailable");
    }
    assert_eq!(publisher.requests(), 0);
}

#[tokio::test]
async fn a_client_that_failed_too_often_fetches_nothing() {
    let key = IssuerKey::es256();
    let (stack, publisher) = es256(&key, &[]).await;
    let timing = JwksTiming { refresh: Duration::from_mins(15), cooldown: Duration::ZERO, stale: Duration::ZERO };
    let auth = Auth::new(
        stack.store.clone(),
        Arc::clone(&stack.keyring),
        Clock::System,
        CacheBounds { max_entries: 10, max_age: Duration::from_mins(1), max_tokens: 10 },
        Jwks::new(Egress::new(AllowedHosts::any()), timing, Metrics::off().jwks()),
        &Metrics::off(),
    );
    let present = |kid: &str| Presented::Jwt(key.token(Some(kid), &claims()).into());
    // Lets the issuer's row into memory, without its keys.
    let no_kid = Presented::Jwt(key.token(None, &claims()).into());
    let refused = auth.authenticate(&no_kid, || true).await.unwrap_err();
    assert!(matches!(refused, AuthError::Refused(Refusal::InvalidToken)), "{refused}");

    let denied = auth.authenticate(&present("first"), || false).await.unwrap_err();
    assert!(matches!(denied, AuthError::LookupDenied), "{denied}");
    assert_eq!(publisher.requests(), 0);
    auth.authenticate(&present("first"), || true).await.unwrap();
    auth.authenticate(&present("first"), || false).await.unwrap();
    let denied = auth.authenticate(&present("unknown"), || false).await.unwrap_err();
    assert!(matches!(denied, AuthError::LookupDenied), "{denied}");
    assert_eq!(publisher.requests(), 1);
    let unknown = auth.authenticate(&present("unknown"), || true).await.unwrap_err();
    assert!(matches!(unknown, AuthError::Refused(Refusal::InvalidToken)), "{unknown}");
    assert_eq!(publisher.requests(), 2);
}

#[tokio::test]
async fn keys_of_a_former_url_are_forgotten() {
    let (old, new) = (IssuerKey::es256(), IssuerKey::es256());
    let (stack, _publisher) = es256(&old, &[]).await;
    stack.presign_as(&token(&old)).await.url();
    let elsewhere = Publisher::start(Publish::Text(new.jwks())).await;
    let issuers = stack.tenants.list_jwt_issuers(&stack.alpha()).await.unwrap();
    let id = issuers.iter().find(|issuer| issuer.algorithm == JwtAlgorithm::Es256).unwrap().id;
    let changes = JwtIssuerChanges { verification: Some(at(&elsewhere)), ..JwtIssuerChanges::default() };
    stack.tenants.update_jwt_issuer(&stack.alpha(), id, changes, None, &stack.keyring).await.unwrap();
    stack.presign_as(&token(&old)).await.assert_error(401, "unauthenticated");
    stack.presign_as(&token(&new)).await.url();
}
