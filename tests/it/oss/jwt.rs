//! JWTs: one token for each way of being wrong.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use presign_gateway::domain::caller::{Scope, Scopes};
use presign_gateway::domain::jwt_issuer::JwtAlgorithm;
use presign_gateway::domain::tenant::Slug;
use presign_gateway::tenants::{ManageError, NewJwtIssuer, NewVerification};
use serde_json::{Value, json};

use super::api_keys::anonymized;
use crate::support::canary;
use crate::support::stack::{Setup, TestStack};
use crate::support::tokens::{self, AUDIENCE, ISSUER, IssuerKey, by_hand, claims, claims_with, hs256};

const SECRET: &str = "a secret of thirty-two bytes or more, for tests";

fn issuer(algorithm: JwtAlgorithm, verification: NewVerification) -> NewJwtIssuer {
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

async fn add(stack: &TestStack, slug: &Slug, new: NewJwtIssuer) -> Result<(), ManageError> {
    stack.tenants.add_jwt_issuer(slug, new, &stack.keyring).await.map(drop)
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
async fn every_algorithm_works_from_a_pem_and_from_a_jwks() {
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
    }
}

#[tokio::test]
async fn every_wrong_token_hears_the_same_body() {
    let stack = with(secret_issuer()).await;
    let expected = anonymized(&stack.get("/oss/presign?ext=jpg").send().await);
    let now = tokens::now();
    let tenth = |text: &str| format!("{text}{text}{text}{text}{text}{text}{text}{text}{text}{text}");
    let wrong_claims = [
        ("no iss", claims_with("iss", Value::Null)),
        ("an iss with a NUL", claims_with("iss", json!("a\0b"))),
        ("too long an iss", claims_with("iss", json!("x".repeat(501)))),
        ("an aud with a NUL", claims_with("aud", json!([AUDIENCE, "a\0b"]))),
        ("another iss", claims_with("iss", json!("https://other.example"))),
        ("a mistyped iss", claims_with("iss", json!(7))),
        ("no aud", claims_with("aud", Value::Null)),
        ("another aud", claims_with("aud", json!("downloads"))),
        ("a mistyped aud", claims_with("aud", json!({ "uploads": true }))),
        ("an empty aud", claims_with("aud", json!([]))),
        ("too many aud", claims_with("aud", json!(vec![AUDIENCE; 9]))),
        ("no exp", claims_with("exp", Value::Null)),
        ("expired", claims_with("exp", json!(now - 31))),
        ("a mistyped exp", claims_with("exp", json!("tomorrow"))),
        ("a negative exp", claims_with("exp", json!(-1))),
        ("not yet", claims_with("nbf", json!(now + 60))),
        ("no sub", claims_with("sub", Value::Null)),
        ("an empty sub", claims_with("sub", json!(""))),
        ("a mistyped sub", claims_with("sub", json!(["user-1"]))),
        ("a sub with a NUL", claims_with("sub", json!("user\0"))),
        ("too long a sub", claims_with("sub", json!(tenth(&tenth("sub"))))),
    ];
    let mut wrong: Vec<(&str, String)> =
        wrong_claims.into_iter().map(|(what, claims)| (what, hs256(SECRET, &claims))).collect();
    let good = hs256(SECRET, &claims());
    let (unsigned, signature) = good.rsplit_once('.').unwrap();
    wrong.extend([
        ("another secret", hs256("another secret of thirty-two bytes or more", &claims())),
        ("no signature", format!("{unsigned}.")),
        ("no signature part", unsigned.to_owned()),
        ("alg none", by_hand(&json!({ "alg": "none", "typ": "JWT" }), &claims(), "")),
        ("alg None", by_hand(&json!({ "alg": "None" }), &claims(), signature)),
        (
            "another alg",
            tokens::sign(&Header::new(Algorithm::HS512), &claims(), &EncodingKey::from_secret(SECRET.as_bytes())),
        ),
        (
            "claims of another token",
            by_hand(&json!({ "alg": "HS256" }), &claims_with("sub", json!("admin")), signature),
        ),
        ("too long", hs256(SECRET, &claims_with("pad", json!("x".repeat(9000))))),
        ("two dots", "..".to_owned()),
        ("no base64", "!.!.!".to_owned()),
    ]);
    for (what, token) in wrong {
        let answer = stack.presign_as(&token).await;
        answer.assert_error(401, "unauthenticated");
        assert_eq!(anonymized(&answer), expected, "{what}");
    }
    assert_eq!(stack.recorded().await, 0);
}

#[tokio::test]
async fn a_public_key_is_never_taken_for_a_secret() {
    let key = IssuerKey::rs256();
    let stack = with(issuer(JwtAlgorithm::Rs256, NewVerification::PublicKeyPem(key.public_pem.clone()))).await;
    stack.presign_as(&hs256(&key.public_pem, &claims())).await.assert_error(401, "unauthenticated");
    stack.presign_as(&key.token(None, &claims())).await.url();
}

#[tokio::test]
async fn keys_that_a_token_brings_along_or_points_to_are_ignored() {
    let key = IssuerKey::es256();
    let stack = with(issuer(JwtAlgorithm::Es256, NewVerification::Jwks(key.jwks()))).await;
    let attacker = IssuerKey::es256();
    let forged = Header {
        kid: Some("first".to_owned()),
        jwk: Some(attacker.jwk.clone()),
        jku: Some("https://evil.example/jwks.json".to_owned()),
        x5u: Some("https://evil.example/cert.pem".to_owned()),
        ..Header::new(Algorithm::ES256)
    };
    let token = tokens::sign(&forged, &claims(), &attacker.signing);
    stack.presign_as(&token).await.assert_error(401, "unauthenticated");
}

#[tokio::test]
async fn clocks_may_differ_by_the_leeway() {
    let stack = with(secret_issuer()).await;
    let now = tokens::now();
    stack.presign_as(&hs256(SECRET, &claims_with("exp", json!(now - 20)))).await.url();
    stack.presign_as(&hs256(SECRET, &claims_with("nbf", json!(now + 20)))).await.url();
}

#[tokio::test]
async fn a_scope_claim_narrows_what_the_issuer_grants_and_never_widens_it() {
    let stack = with(secret_issuer()).await;
    let with_scope = |scope: Value| hs256(SECRET, &claims_with("scope", scope));
    stack.presign_as(&with_scope(json!("openid uploads:issue"))).await.url();
    stack.presign_as(&with_scope(json!(["uploads:issue"]))).await.url();
    stack.presign_as(&with_scope(json!("uploads:read"))).await.assert_error(403, "scope_missing");
    stack.presign_as(&with_scope(json!(""))).await.assert_error(403, "scope_missing");
}

#[tokio::test]
async fn issuer_and_audience_together_name_one_tenant() {
    let stack = with(secret_issuer()).await;
    let taken = add(&stack, &stack.beta(), secret_issuer()).await;
    assert!(matches!(taken, Err(ManageError::Taken { .. })), "{taken:?}");

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
async fn an_issuer_with_unfit_key_material_is_refused_when_it_is_added() {
    let stack = TestStack::start().await;
    let rsa = IssuerKey::rs256();
    let twice = json!({ "keys": [rsa.jwk, rsa.jwk] }).to_string();
    for (what, new) in [
        ("a short secret", issuer(JwtAlgorithm::Hs256, NewVerification::HmacSecret("short".into()))),
        ("a secret for RS256", issuer(JwtAlgorithm::Rs256, NewVerification::HmacSecret(SECRET.into()))),
        ("a public key for HS256", issuer(JwtAlgorithm::Hs256, NewVerification::PublicKeyPem(rsa.public_pem.clone()))),
        ("an RSA key for ES256", issuer(JwtAlgorithm::Es256, NewVerification::PublicKeyPem(rsa.public_pem.clone()))),
        ("an RSA JWKS for ES256", issuer(JwtAlgorithm::Es256, NewVerification::Jwks(rsa.jwks()))),
        ("one kid twice", issuer(JwtAlgorithm::Rs256, NewVerification::Jwks(twice))),
        ("no JWKS", issuer(JwtAlgorithm::Rs256, NewVerification::Jwks("{}".to_owned()))),
        ("no PEM", issuer(JwtAlgorithm::Rs256, NewVerification::PublicKeyPem("-----BEGIN".to_owned()))),
        ("no issuer", NewJwtIssuer { issuer: String::new(), ..secret_issuer() }),
    ] {
        let added = add(&stack, &stack.alpha(), new).await;
        assert!(matches!(added, Err(ManageError::Invalid(_))), "{what}: {added:?}");
    }
}
