//! JSON Web Tokens (RFC 7519), verified by the rules of RFC 8725.
//!
//! The pair (issuer, audience) identifies one tenant. Algorithm and keys come only from the
//! issuer's row. The token never influences how it is verified: keys that it contains or points to
//! are ignored.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::{DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::caller::Scopes;
use crate::domain::jwt_issuer::{JwtAlgorithm, JwtIssuer};

use super::fingerprint::Fingerprint;
use super::jwks::PublishedKeys;
use super::{AuthError, Refusal};

use self::claims::{Claims, Lifetime, Now};
use self::keys::{Keys, library_algorithm};

pub mod claims;
pub mod diagnose;
pub mod keys;

/// Maximum length of a token in bytes.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// Maximum number of audiences of one token that are looked up.
const MAX_AUDIENCES: usize = 8;
/// Maximum length of `iss` or `aud` in bytes.
pub const MAX_NAME_BYTES: usize = 500;

/// The issuers that a token claims. Not trusted before the signature is verified.
#[derive(Debug, PartialEq, Eq)]
pub struct Claimed {
    pub issuer: String,
    pub audiences: Vec<String>,
}

/// Whether a text can be an issuer or audience. Other texts are neither looked up nor cached.
#[must_use]
pub fn is_name(text: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}

impl Claimed {
    /// Reads `iss` and `aud`; `None` if the text is not a JWT or lacks either.
    #[must_use]
    pub fn read(token: &str) -> Option<Self> {
        /// One string, or several.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum OneOrMany {
            One(String),
            Many(Vec<String>),
        }
        #[derive(Deserialize)]
        struct UnverifiedClaims {
            iss: String,
            aud: OneOrMany,
        }
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let claims: UnverifiedClaims = jsonwebtoken::dangerous::insecure_decode_claims(token).ok()?;
        let mut audiences = match claims.aud {
            OneOrMany::One(audience) => vec![audience],
            OneOrMany::Many(audiences) => audiences,
        };
        let known_form = std::iter::once(&claims.iss).chain(&audiences).all(|name| is_name(name));
        if !known_form || audiences.len() > MAX_AUDIENCES {
            return None;
        }
        // One that is there twice is one.
        audiences.sort_unstable();
        audiences.dedup();
        Some(Self { issuer: claims.iss, audiences })
    }

    /// The total length of the names in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.audiences.iter().map(String::len).sum::<usize>() + self.issuer.len()
    }
}

/// What a token says about its verification. It selects one of the issuer's keys, nothing else.
struct Header(Map<String, Value>);

impl Header {
    /// `None` if the text is not JSON in base64.
    fn read(token: &str) -> Option<Self> {
        let (header, _) = token.split_once('.')?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok().map(Self)
    }

    fn kid(&self) -> Option<&str> {
        self.0.get("kid")?.as_str()
    }

    fn is_of(&self, algorithm: JwtAlgorithm) -> bool {
        self.0.get("alg").and_then(Value::as_str) == Some(algorithm.as_str())
    }

    /// Whether it lists critical extensions (RFC 7515, section 4.1.11). None is supported here.
    fn is_critical(&self) -> bool {
        self.0.contains_key("crit")
    }
}

/// The content of a verified token, and what verified it.
#[derive(Debug)]
pub struct Verified {
    pub subject: Arc<str>,
    /// What it may do.
    pub scopes: Scopes,
    lifetime: Lifetime,
    /// Of the issuer's row.
    row: Fingerprint,
    /// Of the issuer's published keys.
    published: Option<Fingerprint>,
}

/// The source of an issuer's keys.
pub enum KeySource {
    /// Its row.
    Row(Keys),
    /// A URL.
    Published(Arc<PublishedKeys>),
}

/// Verifies tokens of one issuer for one audience.
pub struct Verifier {
    keys: KeySource,
    validation: Validation,
    algorithm: JwtAlgorithm,
    leeway_seconds: u32,
    scopes_claim: String,
    granted: Scopes,
    row: Fingerprint,
}

impl Verifier {
    #[must_use]
    pub fn new(row: &JwtIssuer, keys: KeySource) -> Self {
        Self {
            keys,
            validation: validation(row),
            algorithm: row.algorithm,
            leeway_seconds: row.leeway_seconds,
            scopes_claim: row.scopes_claim.clone(),
            granted: row.scopes,
            row: Fingerprint::of(row),
        }
    }

    /// Verifies signature and claims. Keys are fetched only if `may_look_up` allows.
    ///
    /// # Errors
    /// [`AuthError::Refused`] if the token is invalid; [`AuthError::IssuerUnavailable`] if its keys
    /// are unavailable.
    pub async fn verify(
        &self,
        token: &str,
        now: DateTime<Utc>,
        may_look_up: &impl Fn() -> bool,
    ) -> Result<Verified, AuthError> {
        let invalid = || AuthError::Refused(Refusal::InvalidToken);
        // Before anything is fetched on behalf of a token that could not be right.
        let header = Header::read(token).ok_or_else(invalid)?;
        if header.is_critical() || !header.is_of(self.algorithm) {
            return Err(invalid());
        }
        let verified = match &self.keys {
            KeySource::Row(keys) => keys.find(header.kid()).and_then(|key| self.check(token, key, now, None)),
            KeySource::Published(published) => {
                let kid = header.kid().ok_or_else(invalid)?;
                let keys = published.get(kid, may_look_up).await?;
                keys.find(kid).and_then(|key| self.check(token, key, now, Some(keys.fingerprint())))
            }
        };
        verified.ok_or_else(invalid)
    }

    fn check(
        &self,
        token: &str,
        key: &DecodingKey,
        now: DateTime<Utc>,
        published: Option<Fingerprint>,
    ) -> Option<Verified> {
        let claims = jsonwebtoken::decode::<Claims>(token, key, &self.validation).ok()?.claims;
        let lifetime = Lifetime::of(&claims)?;
        let subject = claims::subject(&claims)?.into();
        let scopes = claims::scopes(&claims, &self.scopes_claim, self.granted)?;
        let verified = Verified { subject, scopes, lifetime, row: self.row, published };
        Now::new(now, self.leeway_seconds).is_within(&verified.lifetime).then_some(verified)
    }

    /// Whether a token that was verified before is still valid with the same result. This depends
    /// on the row, the published keys and the time.
    #[must_use]
    pub fn still_holds(&self, verified: &Verified, now: DateTime<Utc>) -> bool {
        let keys_are_the_same = || match (&self.keys, verified.published) {
            (KeySource::Row(_), None) => true,
            (KeySource::Published(keys), Some(then)) => keys.are_still(then),
            _ => false,
        };
        verified.row == self.row
            && Now::new(now, self.leeway_seconds).is_within(&verified.lifetime)
            && keys_are_the_same()
    }
}

/// The checks of the library: the signature, with this algorithm only, and the audience. [`claims`]
/// checks times against our clock.
fn validation(row: &JwtIssuer) -> Validation {
    let mut validation = Validation::new(library_algorithm(row.algorithm));
    validation.set_issuer(&[&row.issuer]);
    validation.set_audience(&[&row.audience]);
    // Setting an expected value does not make the claim required.
    validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation
}
