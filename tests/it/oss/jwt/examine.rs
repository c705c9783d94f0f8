//! What an operator hears of a token.

use presign_gateway::admin::{NewJwtIssuer, NewVerification};
use presign_gateway::auth::jwt::diagnose::TokenCheck;
use presign_gateway::domain::jwt_issuer::{JwtAlgorithm, JwtIssuer};
use serde_json::{Value, json};

use super::published::at;
use super::{SECRET, add, issuer, secret_issuer};
use crate::support::jwks_server::{Publish, Publisher};
use crate::support::stack::TestStack;
use crate::support::tokens::{IssuerKey, by_hand, claims, claims_with, hs256, now};

const ALL: [&str; 13] = [
    "form",
    "crit",
    "algorithm",
    "kid",
    "signature",
    "issuer",
    "audience",
    "sub",
    "exp",
    "nbf",
    "iat",
    "scopes",
    "tenant",
];

async fn examine(stack: &TestStack, issuer: &JwtIssuer, token: &str) -> Vec<TokenCheck> {
    let token = token.into();
    stack.tenants.test_jwt_issuer(&stack.alpha(), issuer.id, &token, &stack.keyring).await.unwrap()
}

fn failed(checks: &[TokenCheck]) -> Vec<&str> {
    checks.iter().filter(|check| !check.passed).map(|check| check.check).collect()
}

#[tokio::test]
async fn every_check_is_made_and_each_that_fails_is_told() {
    let stack = TestStack::start().await;
    let issuer = add(&stack, &stack.alpha(), secret_issuer()).await.unwrap();
    let all_wrong =
        json!({ "iss": "x", "aud": 7, "sub": "", "exp": 1, "nbf": now() + 60, "iat": "now", "scope": "none" });
    let forged = by_hand(&json!({ "alg": "none", "crit": ["exp"] }), &all_wrong, "c2lnbmF0dXJl");
    let with = |name, value: Value| hs256(SECRET, &claims_with(name, value));
    for (token, expected) in [
        (hs256(SECRET, &claims()), &[][..]),
        (forged, &["crit", "algorithm", "signature", "issuer", "audience", "sub", "exp", "nbf", "iat", "scopes"]),
        (hs256("another secret of thirty-two bytes or more", &claims()), &["signature"]),
        (with("exp", json!(now() - 31)), &["exp"]),
        (with("exp", json!(now() - 20)), &[]),
        (with("nbf", json!(now() + 60)), &["nbf"]),
        (with("iat", Value::Null), &[]),
        (with("aud", json!(["x", "y"])), &["audience"]),
        (with("scope", json!("uploads:read")), &["scopes"]),
    ] {
        let checks = examine(&stack, &issuer, &token).await;
        assert_eq!(failed(&checks), expected, "{checks:#?}");
        assert_eq!(checks.iter().map(|check| check.check).collect::<Vec<_>>(), ALL);
        // What it tells is what the gateway does.
        let accepted = stack.presign_as(&token).await.status.is_success();
        assert_eq!(accepted, expected.is_empty(), "{checks:#?}");
    }
    for token in ["", "a.b", "a.b.c", "e30.e30", "e30.e30.x.y", &"x".repeat(9000)] {
        assert_eq!(failed(&examine(&stack, &issuer, token).await), ["form"], "{token}");
    }
}

#[tokio::test]
async fn what_is_told_holds_neither_the_token_nor_control_characters() {
    let stack = TestStack::start().await;
    let issuer = add(&stack, &stack.alpha(), secret_issuer()).await.unwrap();
    let long = "x".repeat(1000);
    let token = hs256(SECRET, &claims_with("sub", json!(format!("\u{1b}[31m\u{9b}31m{long}"))));
    let said = format!("{:?}", examine(&stack, &issuer, &token).await);
    for part in token.split('.') {
        assert!(!said.contains(part), "{said}");
    }
    assert!(!said.contains(SECRET) && !said.contains(&long), "{said}");
    let checks = examine(&stack, &issuer, &token).await;
    assert!(!checks.iter().any(|check| check.found.chars().any(char::is_control)), "{checks:?}");
}

#[tokio::test]
async fn the_known_kids_are_told_and_why_keys_are_not_fetched() {
    let stack = TestStack::start().await;
    let key = IssuerKey::ps256();
    let publisher = Publisher::start(Publish::Text(key.jwks())).await;
    let issuer = add(&stack, &stack.alpha(), issuer(JwtAlgorithm::Ps256, at(&publisher))).await.unwrap();
    assert!(failed(&examine(&stack, &issuer, &key.token(Some("first"), &claims())).await).is_empty());
    let checks = examine(&stack, &issuer, &key.token(Some("second"), &claims())).await;
    assert_eq!(failed(&checks), ["kid", "signature"]);
    assert!(checks[3].expected.contains("first"), "{checks:#?}");
    publisher.set(Publish::Status(500));
    let checks = examine(&stack, &issuer, &key.token(Some("first"), &claims())).await;
    assert_eq!(failed(&checks), ["kid", "signature"]);
    assert!(checks[3].found.contains("HTTP status 500") && checks[3].found.contains("127.0.0.1"), "{checks:#?}");
}

#[tokio::test]
async fn a_token_that_names_a_second_issuer_is_told_so() {
    let stack = TestStack::start().await;
    let ours = add(&stack, &stack.alpha(), secret_issuer()).await.unwrap();
    let verification = NewVerification::HmacSecret(SECRET.into());
    let other = NewJwtIssuer { audience: "other".to_owned(), ..issuer(JwtAlgorithm::Hs256, verification) };
    add(&stack, &stack.beta(), other).await.unwrap();
    let both = hs256(SECRET, &claims_with("aud", json!([super::AUDIENCE, "other"])));
    assert_eq!(failed(&examine(&stack, &ours, &both).await), ["audience"]);
    stack.presign_as(&both).await.assert_error(401, "unauthenticated");
}

#[tokio::test]
async fn a_suspended_tenant_is_told() {
    let stack = TestStack::start().await;
    let issuer = add(&stack, &stack.alpha(), secret_issuer()).await.unwrap();
    stack.set_alphas_status(presign_gateway::domain::tenant::TenantStatus::Suspended).await;
    assert_eq!(failed(&examine(&stack, &issuer, &hs256(SECRET, &claims())).await), ["tenant"]);
}
