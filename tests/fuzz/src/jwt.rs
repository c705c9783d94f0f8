//! Tokens, against an issuer with a secret. The first byte says whether the rest is a token, or header and claims that are signed
//! here, so that fuzzing gets past the signature.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use presign_gateway::auth::jwt::claims::MAX_SUBJECT_BYTES;
use presign_gateway::auth::jwt::diagnose::{ExpectedClaims, diagnose};
use presign_gateway::auth::jwt::keys::{KeyMaterial, Keys};
use presign_gateway::auth::jwt::{Claimed, KeySource, MAX_TOKEN_BYTES, Verifier, is_name};
use presign_gateway::auth::{AuthError, Refusal};
use presign_gateway::domain::caller::Scopes;
use presign_gateway::domain::ids::{JwtIssuerId, TenantId};
use presign_gateway::domain::jwt_issuer::{JwtAlgorithm, JwtIssuer, Verification};
use secrecy::SecretString;
use serde_json::{Map, Value};
use uuid::Uuid;

const SECRET: &str = "an-hmac-secret-of-at-least-32-bytes";
const NOW: i64 = 1_795_000_000;

struct Fixture {
    issuer: JwtIssuer,
    verifier: Verifier,
    keys: Result<Keys, String>,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let at = now();
    let issuer = JwtIssuer {
        id: JwtIssuerId::from(Uuid::from_u128(1)),
        tenant_id: TenantId::from(Uuid::from_u128(2)),
        issuer: "https://a.example".to_owned(),
        audience: "app".to_owned(),
        algorithm: JwtAlgorithm::Hs256,
        verification: Verification::SealedHmacSecret { sealing_key_id: String::new(), sealed: Vec::new(), version: 1 },
        leeway_seconds: 10,
        scopes: Scopes::default_scopes(),
        scopes_claim: "scope".to_owned(),
        created_at: at,
        updated_at: at,
        archived_at: None,
        revision: 1,
    };
    let secret = SecretString::from(SECRET);
    let keys = || Keys::new(JwtAlgorithm::Hs256, &KeyMaterial::HmacSecret(&secret));
    Fixture {
        verifier: Verifier::new(&issuer, KeySource::Row(keys().unwrap())),
        keys: keys().map_err(|error| error.to_string()),
        issuer,
    }
});

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(NOW, 0).unwrap()
}

pub fn judge(data: &[u8]) {
    match data.split_first() {
        Some((0, rest)) => {
            if let Ok(token) = str::from_utf8(rest) {
                check(token);
            }
        }
        Some((_, rest)) => check(&signed(rest)),
        None => {}
    }
}

/// The first line is the header, the rest the claims.
fn signed(data: &[u8]) -> String {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (header, claims) = data.split_at(end);
    let claims = claims.strip_prefix(b"\n").unwrap_or_default();
    let body = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    format!("{body}.{}", signature(&body))
}

fn signature(body: &str) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::crypto::sign(body.as_bytes(), &key, jsonwebtoken::Algorithm::HS256).unwrap()
}

fn check(token: &str) {
    let claimed = Claimed::read(token);
    if let Some(claimed) = &claimed {
        assert!(token.len() <= MAX_TOKEN_BYTES);
        assert!(is_name(&claimed.issuer) && claimed.audiences.iter().all(|audience| is_name(audience)));
        assert!(claimed.audiences.len() <= 8 && claimed.audiences.is_sorted());
    }
    let fixture = &*FIXTURE;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let verified = runtime.block_on(fixture.verifier.verify(token, now(), &|| false));
    let checks =
        diagnose(token, &ExpectedClaims { issuer: &fixture.issuer, keys: &fixture.keys, also_named: None, now: now() });
    for check in &checks {
        assert!(!check.found.chars().any(char::is_control) && check.found.chars().count() <= 300, "{check:?}");
    }
    match verified {
        Err(error) => assert!(matches!(error, AuthError::Refused(Refusal::InvalidToken)), "{error:?}"),
        Ok(verified) => {
            // All that stands between a stranger and a tenant, told once more in another way.
            let (body, found) = token.rsplit_once('.').unwrap();
            assert_eq!(found, signature(body));
            let part = |text: &str| -> Map<String, Value> {
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
            };
            let (header, claims) = body.split_once('.').unwrap();
            let (header, claims) = (part(header), part(claims));
            assert!(header["alg"] == "HS256" && !header.contains_key("crit"), "{header:?}");
            let is_app = |value: &Value| value == "app";
            assert!(is_app(&claims["aud"]) || claims["aud"].as_array().unwrap().iter().any(is_app), "{claims:?}");
            assert_eq!(claims["iss"], "https://a.example");
            let (exp, now) = (claims["exp"].as_f64().unwrap(), 1_795_000_000.0);
            assert!(exp + 10.0 > now, "{claims:?}");
            for begin in ["nbf", "iat"].iter().filter_map(|name| claims.get(*name)) {
                assert!(begin.as_f64().unwrap() < now + 11.0, "{claims:?}");
            }
            let subject = claims["sub"].as_str().unwrap();
            assert!(*subject == *verified.subject && (1..=MAX_SUBJECT_BYTES).contains(&subject.len()));
            assert!(!subject.chars().any(char::is_control));
            assert_eq!(verified.scopes.and(Scopes::default_scopes()), verified.scopes, "no more than is granted");
            let wrong: Vec<_> = checks.iter().filter(|check| !check.passed && check.check != "scopes").collect();
            assert!(wrong.is_empty() || token.len() > MAX_TOKEN_BYTES || claimed.is_none(), "{wrong:?}");
        }
    }
}
