//! The rules for claims, one function each. A request requires all of them; the diagnosis reports
//! each one.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::domain::caller::Scopes;

/// Maximum length of `sub` in bytes, because each upload records it.
pub const MAX_SUBJECT_BYTES: usize = 255;

/// The claims of a token.
pub type Claims = Map<String, Value>;

/// The current time, and the tolerated clock skew of the issuer.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    seconds: u64,
    leeway_seconds: u64,
}

impl Now {
    #[must_use]
    pub fn new(now: DateTime<Utc>, leeway_seconds: u32) -> Self {
        Self { seconds: now.timestamp().try_into().unwrap_or(0), leeway_seconds: leeway_seconds.into() }
    }

    /// `exp` is required: the token is invalid from that time on (RFC 7519, section 4.1.4).
    #[must_use]
    pub fn is_before_expiry(self, claims: &Claims) -> bool {
        time(claims, "exp").is_some_and(|expiry| self.is_before(expiry))
    }

    /// `nbf` or `iat`: optional, but not in the future.
    #[must_use]
    pub fn is_not_before(self, claims: &Claims, name: &str) -> bool {
        begin(claims, name).is_some_and(|begin| self.is_after(begin))
    }

    /// Whether all three hold.
    #[must_use]
    pub const fn is_within(self, lifetime: &Lifetime) -> bool {
        self.is_before(lifetime.expiry) && self.is_after(lifetime.begin)
    }

    const fn is_before(self, expiry: u64) -> bool {
        self.seconds < expiry.saturating_add(self.leeway_seconds)
    }

    const fn is_after(self, begin: u64) -> bool {
        begin <= self.seconds.saturating_add(self.leeway_seconds)
    }
}

/// `exp`, `nbf` and `iat`, kept for repeated checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    expiry: u64,
    /// The later of both.
    begin: u64,
}

impl Lifetime {
    /// `None` if one of them is not a time, or `exp` is missing.
    #[must_use]
    pub fn of(claims: &Claims) -> Option<Self> {
        Some(Self { expiry: time(claims, "exp")?, begin: begin(claims, "nbf")?.max(begin(claims, "iat")?) })
    }
}

/// A time before which a token is invalid; in the past if it is missing.
fn begin(claims: &Claims, name: &str) -> Option<u64> {
    if claims.contains_key(name) { time(claims, name) } else { Some(0) }
}

/// A time in seconds; `None` if it is missing, not a number, or before 1970.
#[must_use]
pub fn time(claims: &Claims, name: &str) -> Option<u64> {
    let value = claims.get(name)?;
    value.as_u64().or_else(|| Some(Duration::try_from_secs_f64(value.as_f64()?).ok()?.as_secs()))
}

/// `aud`: one string or several; `None` if it is missing or anything else.
#[must_use]
pub fn audiences(claims: &Claims) -> Option<Vec<&str>> {
    strings(claims.get("aud")?, |one| vec![one])
}

/// `sub`; `None` if it is missing, not a string, or cannot be recorded and logged.
#[must_use]
pub fn subject(claims: &Claims) -> Option<&str> {
    let subject = claims.get("sub")?.as_str()?;
    let fits = (1..=MAX_SUBJECT_BYTES).contains(&subject.len()) && !subject.chars().any(char::is_control);
    fits.then_some(subject)
}

/// The scopes of the token: those of the issuer, restricted by the claim of this name if the token
/// has it. The claim is a string with spaces (RFC 8693, section 4.2) or a list; otherwise `None`.
#[must_use]
pub fn scopes(claims: &Claims, name: &str, granted: Scopes) -> Option<Scopes> {
    let Some(value) = claims.get(name) else { return Some(granted) };
    let texts = strings(value, |one| one.split(' ').collect())?;
    Some(Scopes::known_among(texts).and(granted))
}

fn strings<'a>(value: &'a Value, one: impl Fn(&'a str) -> Vec<&'a str>) -> Option<Vec<&'a str>> {
    match value {
        Value::String(text) => Some(one(text)),
        Value::Array(items) => items.iter().map(Value::as_str).collect(),
        _ => None,
    }
}
