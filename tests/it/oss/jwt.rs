//! JWTs.

use presign_gateway::admin::{AdminError, NewJwtIssuer, NewVerification};
use presign_gateway::domain::caller::{Scope, Scopes};
use presign_gateway::domain::jwt_issuer::{JwtAlgorithm, JwtIssuer};
use presign_gateway::domain::tenant::Slug;
use serde_json::{Value, json};

use crate::support::canary;
use crate::support::jwks_server::{Publish, Publisher};
use crate::support::stack::{Setup, TestStack};
use crate::support::tokens::{self, AUDIENCE, ISSUER, IssuerKey, claims, claims_with, hs256};

mod examine;
mod manage;
pub mod published;
mod verified;
mod wrong;

const SECRET: &str = "a secret of thirty-two bytes or more, for tests";

pub fn issuer(algorithm: JwtAlgorithm, verification: NewVerification) -> NewJwtIssuer {
    let scopes = Scopes::default().with(Scope::UploadsIssue);
    NewJwtIssuer {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        algorithm,
        verification,
        leeway_seconds: 30,
        scopes,
        scopes_claim: "scope".to_owned(),
    }
}

fn secret_issuer() -> NewJwtIssuer {
    issuer(JwtAlgorithm::Hs256, NewVerification::HmacSecret(SECRET.into()))
}

pub async fn add(stack: &TestStack, slug: &Slug, new: NewJwtIssuer) -> Result<JwtIssuer, AdminError> {
    stack.tenants.add_jwt_issuer(slug, new, &stack.keyring).await
}

async fn with(new: NewJwtIssuer) -> TestStack {
    let stack = Setup::new().set("AUTH__FAILURES_BURST", "1000").start().await;
    canary::watch(SECRET);
    add(&stack, &stack.alpha(), new).await.unwrap();
    stack
}

#[tokio::test]
async fn a_token_speaks_for_its_tenant_and_its_subject_is_on_record() {
    let stack = with(secret_issuer()).await;
    let answer = stack.presign_as(&hs256(SECRET, &claims())).await;
    assert!(answer.url().contains("/alpha-uploads/"));
    let (kind, subject): (String, String) = sqlx::query_as("SELECT caller_kind, caller_subject FROM uploads")
        .fetch_one(&mut stack.connect().await)
        .await
        .unwrap();
    assert_eq!((kind.as_str(), subject.as_str()), ("jwt", "user-1"));
}

#[tokio::test]
async fn every_algorithm_works_from_a_pem_from_a_jwks_and_from_a_url() {
    for (algorithm, key) in [
        (JwtAlgorithm::Rs256, IssuerKey::rs256()),
        (JwtAlgorithm::Ps256, IssuerKey::ps256()),
        (JwtAlgorithm::Es256, IssuerKey::es256()),
        (JwtAlgorithm::EdDsa, IssuerKey::eddsa()),
    ] {
        let from_pem = with(issuer(algorithm, NewVerification::PublicKeyPem(key.public_pem.clone()))).await;
        from_pem.presign_as(&key.token(None, &claims())).await.url();
        let from_jwks = with(issuer(algorithm, NewVerification::Jwks(key.jwks()))).await;
        from_jwks.presign_as(&key.token(Some("first"), &claims())).await.url();
        for kid in [None, Some("second")] {
            from_jwks.presign_as(&key.token(kid, &claims())).await.assert_error(401, "unauthenticated");
        }
        let publisher = Publisher::start(Publish::Text(key.jwks())).await;
        let from_url = published::stack(algorithm, &publisher, &[]).await;
        from_url.presign_as(&key.token(Some("first"), &claims())).await.url();
    }
}

#[tokio::test]
async fn an_audience_that_is_there_twice_is_one() {
    let stack = with(secret_issuer()).await;
    stack.presign_as(&hs256(SECRET, &claims_with("aud", json!([AUDIENCE, AUDIENCE])))).await.url();
}

#[tokio::test]
async fn a_public_key_is_never_taken_for_a_secret() {
    let key = IssuerKey::rs256();
    let stack = with(issuer(JwtAlgorithm::Rs256, NewVerification::PublicKeyPem(key.public_pem.clone()))).await;
    stack.presign_as(&hs256(&key.public_pem, &claims())).await.assert_error(401, "unauthenticated");
    stack.presign_as(&key.token(None, &claims())).await.url();
}

#[tokio::test]
async fn clocks_may_differ_by_the_leeway() {
    let stack = with(secret_issuer()).await;
    let now = tokens::now();
    stack.presign_as(&hs256(SECRET, &claims_with("exp", json!(now - 20)))).await.url();
    for name in ["nbf", "iat"] {
        stack.presign_as(&hs256(SECRET, &claims_with(name, json!(now + 20)))).await.url();
        stack.presign_as(&hs256(SECRET, &claims_with(name, Value::Null))).await.url();
    }
    // A fraction is a number too.
    stack
        .presign_as(&hs256(SECRET, &claims_with("exp", serde_json::from_str(&format!("{}.5", now + 60)).unwrap())))
        .await
        .url();
}

#[tokio::test]
async fn scope_claim_only_narrows_the_issuers_scopes() {
    let stack = with(secret_issuer()).await;
    let with_scope = |scope: Value| hs256(SECRET, &claims_with("scope", scope));
    stack.presign_as(&with_scope(json!("openid uploads:issue"))).await.url();
    stack.presign_as(&with_scope(json!(["uploads:issue"]))).await.url();
    stack.presign_as(&with_scope(json!("uploads:read"))).await.assert_error(403, "scope_missing");
    stack.presign_as(&with_scope(json!(""))).await.assert_error(403, "scope_missing");
}

#[tokio::test]
async fn the_scopes_claim_may_have_another_name() {
    let new = NewJwtIssuer { scopes_claim: "https://example.com/rights".to_owned(), ..secret_issuer() };
    let stack = with(new).await;
    let with_rights = |rights: Value| hs256(SECRET, &claims_with("https://example.com/rights", rights));
    stack.presign_as(&with_rights(json!(["uploads:issue"]))).await.url();
    stack.presign_as(&with_rights(json!("uploads:read"))).await.assert_error(403, "scope_missing");
    stack.presign_as(&hs256(SECRET, &claims_with("scope", json!("none of our business")))).await.url();
}

#[tokio::test]
async fn issuer_and_audience_together_name_one_tenant() {
    let stack = with(secret_issuer()).await;
    let taken = add(&stack, &stack.beta(), secret_issuer()).await;
    assert!(matches!(taken, Err(AdminError::Taken { .. })), "{taken:?}");

    let other = NewJwtIssuer { audience: "beta-uploads".to_owned(), ..secret_issuer() };
    add(&stack, &stack.beta(), other).await.unwrap();
    let betas = hs256(SECRET, &claims_with("aud", json!("beta-uploads")));
    assert!(stack.presign_as(&betas).await.url().contains("/beta-uploads/"));
    let known_and_unknown = hs256(SECRET, &claims_with("aud", json!(["elsewhere", AUDIENCE])));
    assert!(stack.presign_as(&known_and_unknown).await.url().contains("/alpha-uploads/"));
    let both = hs256(SECRET, &claims_with("aud", json!([AUDIENCE, "beta-uploads"])));
    stack.presign_as(&both).await.assert_error(401, "unauthenticated");
}

#[tokio::test]
async fn issuer_with_invalid_key_material_is_rejected() {
    let stack = TestStack::start().await;
    let rsa = IssuerKey::rs256();
    let twice = json!({ "keys": [rsa.jwk, rsa.jwk] }).to_string();
    let pem = |algorithm, text: &str| issuer(algorithm, NewVerification::PublicKeyPem(text.to_owned()));
    let with = |name: &str, value: Value| {
        let mut jwk = serde_json::to_value(&rsa.jwk).unwrap();
        jwk[name] = value;
        issuer(JwtAlgorithm::Rs256, NewVerification::Jwks(json!({ "keys": [jwk] }).to_string()))
    };
    for (what, new) in [
        ("a secret for RS256", issuer(JwtAlgorithm::Rs256, NewVerification::HmacSecret(SECRET.into()))),
        ("a public key for HS256", issuer(JwtAlgorithm::Hs256, NewVerification::PublicKeyPem(rsa.public_pem.clone()))),
        ("an RSA key for ES256", issuer(JwtAlgorithm::Es256, NewVerification::PublicKeyPem(rsa.public_pem.clone()))),
        ("an RSA JWKS for ES256", issuer(JwtAlgorithm::Es256, NewVerification::Jwks(rsa.jwks()))),
        ("a kid twice", issuer(JwtAlgorithm::Rs256, NewVerification::Jwks(twice))),
        ("a key of another algorithm", with("alg", json!("PS256"))),
        ("a key of an unknown algorithm", with("alg", json!("RS999"))),
        ("a key for encryption", with("use", json!("enc"))),
        ("a key that does not verify", with("key_ops", json!(["sign", "encrypt"]))),
        ("a key without a kid", with("kid", Value::Null)),
        ("no JWKS", issuer(JwtAlgorithm::Rs256, NewVerification::Jwks("{}".to_owned()))),
        ("a private JWK", with("d", json!("c2VjcmV0"))),
        ("a symmetric JWK", with("k", json!("c2VjcmV0"))),
        ("a private PEM", pem(JwtAlgorithm::Rs256, &rsa.public_pem.replace("PUBLIC KEY", "PRIVATE KEY"))),
        ("two PEMs", pem(JwtAlgorithm::Rs256, &rsa.public_pem.repeat(2))),
        ("a PEM with words around it", pem(JwtAlgorithm::Rs256, &format!("ours:\n{}", rsa.public_pem))),
        ("a short RSA key", pem(JwtAlgorithm::Rs256, include_str!("jwt/keys/rsa1024.pem"))),
        ("a short RSA JWK", with("n", json!("A".repeat(171)))),
        ("a key of another curve", pem(JwtAlgorithm::Es256, include_str!("jwt/keys/p384.pem"))),
        ("no PEM", issuer(JwtAlgorithm::Rs256, NewVerification::PublicKeyPem("-----BEGIN".to_owned()))),
        ("no issuer", NewJwtIssuer { issuer: String::new(), ..secret_issuer() }),
    ] {
        let added = add(&stack, &stack.alpha(), new).await;
        assert!(matches!(added, Err(AdminError::Invalid(_))), "{what}: {added:?}");
    }
    for (what, new) in [
        ("a key for signatures", with("use", json!("sig"))),
        ("a key that verifies", with("key_ops", json!(["verify"]))),
    ] {
        let new = NewJwtIssuer { audience: what.to_owned(), ..new };
        add(&stack, &stack.alpha(), new).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

#[tokio::test]
async fn keys_of_a_jwks_that_are_for_something_else_are_passed_over() {
    let key = IssuerKey::es256();
    let mut for_encryption = serde_json::to_value(&IssuerKey::es256().jwk).unwrap();
    for_encryption["use"] = json!("enc");
    let unheard_of = json!({ "kty": "AKP", "kid": "first", "alg": "ML-DSA-44", "pub": "x" });
    let other_curve = json!({ "kty": "EC", "crv": "P-384", "kid": "first", "x": "AA", "y": "AA" });
    let jwks = json!({ "keys": [for_encryption, unheard_of, other_curve, 7, key.jwk] }).to_string();
    let stack = with(issuer(JwtAlgorithm::Es256, NewVerification::Jwks(jwks))).await;
    stack.presign_as(&key.token(Some("first"), &claims())).await.url();
}
