//! One token for each way of being wrong.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use presign_gateway::admin::NewVerification;
use presign_gateway::domain::jwt_issuer::JwtAlgorithm;
use serde_json::{Value, json};

use super::super::api_keys::anonymized;
use super::{SECRET, issuer, secret_issuer, with};
use crate::support::tokens::{self, AUDIENCE, IssuerKey, by_hand, claims, claims_with, hs256};

/// Tokens that are signed as they should be, with wrong claims.
fn wrong_claims() -> Vec<(&'static str, String)> {
    let now = tokens::now();
    let tenth = |text: &str| format!("{text}{text}{text}{text}{text}{text}{text}{text}{text}{text}");
    let nulls = ["nbf", "iat", "scope"].map(|name| {
        let mut claims = claims();
        claims[name] = Value::Null;
        ("a claim that is null", hs256(SECRET, &claims))
    });
    [
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
        ("expired this very second", claims_with("exp", json!(now - 30))),
        ("an exp before 1970, in a float", claims_with("exp", json!(-0.5))),
        ("not yet", claims_with("nbf", json!(now + 60))),
        ("a mistyped nbf", claims_with("nbf", json!("yesterday"))),
        ("issued in the future", claims_with("iat", json!(now + 60))),
        ("a mistyped iat", claims_with("iat", json!("yesterday"))),
        ("an iat in a list", claims_with("iat", json!([now]))),
        ("mistyped scopes", claims_with("scope", json!({ "uploads:issue": true }))),
        ("scopes of another type", claims_with("scope", json!(["uploads:issue", 7]))),
        ("no sub", claims_with("sub", Value::Null)),
        ("an empty sub", claims_with("sub", json!(""))),
        ("a mistyped sub", claims_with("sub", json!(["user-1"]))),
        ("a sub with a NUL", claims_with("sub", json!("user\0"))),
        ("too long a sub", claims_with("sub", json!(tenth(&tenth("sub"))))),
    ]
    .into_iter()
    .map(|(what, claims)| (what, hs256(SECRET, &claims)))
    .chain(nulls)
    .collect()
}

/// Tokens whose claims are right, made of a good one.
fn wrong_tokens(good: &str) -> Vec<(&'static str, String)> {
    let critical = |names: &[&str]| {
        let crit = names.iter().map(|name| (*name).to_owned()).collect();
        let header = Header { crit: Some(crit), ..Header::new(Algorithm::HS256) };
        tokens::sign(&header, &claims(), &EncodingKey::from_secret(SECRET.as_bytes()))
    };
    let (unsigned, signature) = good.rsplit_once('.').unwrap();
    vec![
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
        ("critical extensions", critical(&["exp"])),
        ("critical extensions that nobody has", critical(&[])),
        ("no header", good.split_once('.').unwrap().1.to_owned()),
        ("another part", format!("{good}.{signature}")),
        ("too long", hs256(SECRET, &claims_with("pad", json!("x".repeat(9000))))),
        ("two dots", "..".to_owned()),
        ("no base64", "!.!.!".to_owned()),
    ]
}

#[tokio::test]
async fn every_wrong_token_hears_the_same_body() {
    let stack = with(secret_issuer()).await;
    let expected = anonymized(&stack.get("/oss/presign?ext=jpg").send().await);
    let good = hs256(SECRET, &claims());
    stack.presign_as(&good).await.url();
    for (what, token) in wrong_claims().into_iter().chain(wrong_tokens(&good)) {
        let answer = stack.presign_as(&token).await;
        answer.assert_error(401, "unauthenticated");
        assert_eq!(anonymized(&answer), expected, "{what}");
    }
    assert_eq!(stack.recorded().await, 1);
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
        x5c: Some(vec!["MIIB".to_owned()]),
        ..Header::new(Algorithm::ES256)
    };
    let token = tokens::sign(&forged, &claims(), &attacker.signing);
    stack.presign_as(&token).await.assert_error(401, "unauthenticated");
    stack.presign_as(&tokens::sign(&forged, &claims(), &key.signing)).await.url();
}
