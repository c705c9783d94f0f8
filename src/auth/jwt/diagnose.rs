//! Diagnoses a rejected token for an operator: every check on its own, with what was found and what
//! was expected.
//!
//! Uses the functions of `Verifier`, but does not stop at the first failure. Shows claims, never
//! the token or its signature.

use chrono::{DateTime, SecondsFormat, Utc};
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::Value;

use crate::domain::caller::Scopes;
use crate::domain::jwt_issuer::JwtIssuer;

use super::claims::{self, Claims, MAX_SUBJECT_BYTES, Now};
use super::keys::{Keys, library_algorithm};
use super::{Header, MAX_AUDIENCES, MAX_TOKEN_BYTES, is_name};

/// Maximum characters shown of a claim.
const MAX_SHOWN_CHARS: usize = 200;

/// One check of a token.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TokenCheck {
    pub check: &'static str,
    pub passed: bool,
    pub found: String,
    pub expected: String,
}

/// The issuer that a token is checked against.
pub struct ExpectedClaims<'a> {
    pub issuer: &'a JwtIssuer,
    /// The issuer's keys, or why there are none.
    pub keys: &'a Result<Keys, String>,
    /// Another audience of the token, if with it the token names another issuer as well.
    pub also_named: Option<&'a str>,
    pub now: DateTime<Utc>,
}

/// Runs every check that is possible.
#[must_use]
pub fn diagnose(token: &str, against: &ExpectedClaims<'_>) -> Vec<TokenCheck> {
    let parts = token.split('.').count();
    let read = || Some((Header::read(token)?, jsonwebtoken::dangerous::insecure_decode_claims::<Claims>(token).ok()?));
    let fits = parts == 3 && token.len() <= MAX_TOKEN_BYTES;
    let read = read().filter(|_| fits);
    let form = check(
        "form",
        read.is_some(),
        format!("{} bytes, parts: {parts}", token.len()),
        format!("at most {MAX_TOKEN_BYTES} bytes; JSON header, JSON claims, signature, in base64url with dots between"),
    );
    let Some((header, claims)) = read else { return vec![form] };
    let mut checks = vec![form];
    checks.extend(of_header(token, &header, against));
    checks.extend(of_names(&claims, against));
    checks.extend(of_times(&claims, against));
    checks.push(of_scopes(&claims, against.issuer));
    checks
}

fn of_header(token: &str, header: &Header, against: &ExpectedClaims<'_>) -> [TokenCheck; 4] {
    let algorithm = against.issuer.algorithm;
    let is_of = header.is_of(algorithm);
    let key = against.keys.as_ref().map(|keys| keys.find(header.kid()));
    let (found, expected) = match against.keys {
        Err(why) => (format!("{}; {why}", shown(header.0.get("kid"))), "keys that can be used".to_owned()),
        Ok(Keys::Single(_)) => (shown(header.0.get("kid")), "any kid: the issuer has one key".to_owned()),
        Ok(Keys::Set(keys)) => {
            let mut kids: Vec<&str> = keys.kids().collect();
            kids.sort_unstable();
            (shown(header.0.get("kid")), clipped(&format!("one of: {}", kids.join(", "))))
        }
    };
    let signature = match key {
        Ok(Some(key)) if is_of => is_signed(token, key, against.issuer).then_some("right").ok_or("wrong"),
        Ok(Some(_)) => Err("not checked: the algorithm differs"),
        _ => Err("not checked: no key matches"),
    };
    [
        check(
            "crit",
            !header.is_critical(),
            shown(header.0.get("crit")),
            "missing: no extensions are supported".to_owned(),
        ),
        check("algorithm", is_of, shown(header.0.get("alg")), quoted(algorithm.as_str())),
        check("kid", matches!(key, Ok(Some(_))), found, expected),
        check(
            "signature",
            signature.is_ok(),
            signature.unwrap_or_else(|why| why).to_owned(),
            "valid for the issuer's key".to_owned(),
        ),
    ]
}

/// Whether the signature is valid, whatever the claims.
fn is_signed(token: &str, key: &DecodingKey, issuer: &JwtIssuer) -> bool {
    let mut validation = Validation::new(library_algorithm(issuer.algorithm));
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    jsonwebtoken::decode::<Claims>(token, key, &validation).is_ok()
}

fn of_names(claims: &Claims, against: &ExpectedClaims<'_>) -> [TokenCheck; 3] {
    let issuer = against.issuer;
    let is_issuer = claims.get("iss").and_then(Value::as_str) == Some(&issuer.issuer);
    let audiences = claims::audiences(claims).filter(|audiences| audiences.iter().all(|name| is_name(name)));
    let is_audience = audiences
        .is_some_and(|audiences| audiences.len() <= MAX_AUDIENCES && audiences.contains(&issuer.audience.as_str()));
    let audience = match against.also_named {
        Some(other) => check(
            "audience",
            false,
            shown(claims.get("aud")),
            format!("no other issuer's audience, such as {}: a token names one tenant", quoted(other)),
        ),
        None => check(
            "audience",
            is_audience,
            shown(claims.get("aud")),
            format!("{}, alone or in a list of at most {MAX_AUDIENCES} strings", quoted(&issuer.audience)),
        ),
    };
    [
        check("issuer", is_issuer, shown(claims.get("iss")), quoted(&issuer.issuer)),
        audience,
        check(
            "sub",
            claims::subject(claims).is_some(),
            shown(claims.get("sub")),
            format!("a string of 1 to {MAX_SUBJECT_BYTES} bytes without control characters"),
        ),
    ]
}

fn of_times(claims: &Claims, against: &ExpectedClaims<'_>) -> [TokenCheck; 3] {
    let leeway = against.issuer.leeway_seconds;
    let now = Now::new(against.now, leeway);
    let moment = against.now.to_rfc3339_opts(SecondsFormat::Secs, true);
    let begin = |name| {
        let expected = format!("missing, or a number not after {moment}, by more than {leeway} s");
        check(name, now.is_not_before(claims, name), shown_time(claims, name), expected)
    };
    let expected = format!("a number after {moment}, or less than {leeway} s before");
    [check("exp", now.is_before_expiry(claims), shown_time(claims, "exp"), expected), begin("nbf"), begin("iat")]
}

fn of_scopes(claims: &Claims, issuer: &JwtIssuer) -> TokenCheck {
    let claim = &issuer.scopes_claim;
    let allowed = claims::scopes(claims, claim, issuer.scopes);
    let words = issuer.scopes.texts().join(" ");
    check(
        "scopes",
        allowed.is_some_and(|scopes| scopes != Scopes::default()),
        shown(claims.get(claim)),
        format!("the claim {} missing, or a string or list with one or more of: {words}", quoted(claim)),
    )
}

const fn check(check: &'static str, passed: bool, found: String, expected: String) -> TokenCheck {
    TokenCheck { check, passed, found, expected }
}

fn shown_time(claims: &Claims, name: &str) -> String {
    let moment = claims::time(claims, name).and_then(|seconds| DateTime::from_timestamp(seconds.try_into().ok()?, 0));
    let number = shown(claims.get(name));
    moment.map_or_else(
        || number.clone(),
        |moment| format!("{number} ({})", moment.to_rfc3339_opts(SecondsFormat::Secs, true)),
    )
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "missing".to_owned(), |value| clipped(&value.to_string()))
}

fn quoted(text: &str) -> String {
    clipped(&Value::from(text).to_string())
}

/// A text that is safe for a terminal: short, and without control characters, some of which JSON
/// keeps.
fn clipped(text: &str) -> String {
    let mut clipped = String::new();
    for character in text.chars().take(MAX_SHOWN_CHARS) {
        if character.is_control() {
            clipped.extend(character.escape_unicode());
        } else {
            clipped.push(character);
        }
    }
    if text.chars().nth(MAX_SHOWN_CHARS).is_some() {
        clipped.push('…');
    }
    clipped
}
