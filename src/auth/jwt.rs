//! JSON Web Tokens (RFC 7519), checked by the rules of RFC 8725.
//!
//! The pair (issuer, audience) names one tenant. Algorithm and keys come from that issuer's row only: nothing that the
//! token says about how to check it is believed, and keys that it brings along or points to are ignored.

use std::collections::HashMap;

use jsonwebtoken::jwk::{JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::domain::Invalid;
use crate::domain::caller::Scopes;
use crate::domain::jwt_issuer::JwtAlgorithm;

/// The longest token that is looked at, in bytes.
pub const LONGEST_TOKEN_BYTES: usize = 8 * 1024;
/// The most audiences of one token that are looked up.
const MOST_AUDIENCES: usize = 8;
/// The longest `iss` or `aud` in bytes.
pub const LONGEST_NAME_BYTES: usize = 500;
/// The longest `sub` in bytes: it is recorded with each upload.
const LONGEST_SUBJECT_BYTES: usize = 255;
/// The shortest HMAC secret in bytes: as long as the hash, which RFC 7518 (section 3.2) demands.
pub const SHORTEST_HMAC_SECRET_BYTES: usize = 32;

/// Which issuers a token claims to be of; not believed before the signature is checked.
#[derive(Debug, PartialEq, Eq)]
pub struct Claimed {
    pub issuer: String,
    pub audiences: Vec<String>,
}

/// Whether a text can be an issuer or an audience: no other is taken in, looked up or remembered.
#[must_use]
pub fn is_name(text: &str) -> bool {
    (1..=LONGEST_NAME_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// One string, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Claimed {
    /// Reads `iss` and `aud`; `None` for what is no JWT, or lacks either.
    #[must_use]
    pub fn read(token: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Claims {
            iss: String,
            aud: OneOrMany,
        }
        if token.len() > LONGEST_TOKEN_BYTES {
            return None;
        }
        let claims: Claims = jsonwebtoken::dangerous::insecure_decode_claims(token).ok()?;
        let audiences = match claims.aud {
            OneOrMany::One(audience) => vec![audience],
            OneOrMany::Many(audiences) => audiences,
        };
        let known_form = std::iter::once(&claims.iss).chain(&audiences).all(|name| is_name(name));
        (known_form && audiences.len() <= MOST_AUDIENCES).then_some(Self { issuer: claims.iss, audiences })
    }
}

/// What a checked token says.
#[derive(Debug)]
pub struct Verified {
    pub subject: String,
    /// What the token's own `scope` claim grants; `None` when it has none.
    pub scopes: Option<Scopes>,
}

/// Checks tokens of one issuer for one audience.
pub struct Verifier {
    keys: Keys,
    validation: Validation,
}

enum Keys {
    /// An HMAC secret or a PEM: there is one, whatever the token's `kid` says.
    Single(DecodingKey),
    /// A JWKS: the token's `kid` chooses among these.
    Set(HashMap<String, DecodingKey>),
}

/// The key material of an issuer, opened.
#[derive(Debug)]
pub enum KeyMaterial<'a> {
    HmacSecret(&'a SecretString),
    Jwks(&'a str),
    PublicKeyPem(&'a str),
}

impl Verifier {
    /// # Errors
    /// Key material that does not parse, or does not fit the algorithm.
    pub fn new(
        issuer: &str,
        audience: &str,
        algorithm: JwtAlgorithm,
        leeway_seconds: u32,
        material: &KeyMaterial<'_>,
    ) -> Result<Self, Invalid> {
        let mut validation = Validation::new(library_algorithm(algorithm));
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        // Setting an expected value does not make the claim required.
        validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = leeway_seconds.into();
        Ok(Self { keys: Keys::new(algorithm, material)?, validation })
    }

    /// Checks signature and claims; `None` for whatever is wrong.
    #[must_use]
    pub fn verify(&self, token: &str) -> Option<Verified> {
        #[derive(Deserialize)]
        struct Claims {
            sub: String,
            scope: Option<OneOrMany>,
        }
        let key = match &self.keys {
            Keys::Single(key) => key,
            Keys::Set(keys) => keys.get(&jsonwebtoken::decode_header(token).ok()?.kid?)?,
        };
        let claims = jsonwebtoken::decode::<Claims>(token, key, &self.validation).ok()?.claims;
        let scopes = claims.scope.map(|scope| match scope {
            OneOrMany::One(text) => Scopes::known_among(text.split(' ')),
            OneOrMany::Many(texts) => Scopes::known_among(texts.iter().map(String::as_str)),
        });
        // The subject is recorded and logged: a control character would break either.
        let fit = (1..=LONGEST_SUBJECT_BYTES).contains(&claims.sub.len()) && !claims.sub.chars().any(char::is_control);
        fit.then_some(Verified { subject: claims.sub, scopes })
    }
}

impl Keys {
    fn new(algorithm: JwtAlgorithm, material: &KeyMaterial<'_>) -> Result<Self, Invalid> {
        match (algorithm, material) {
            (JwtAlgorithm::Hs256, KeyMaterial::HmacSecret(secret)) => {
                let secret = secret.expose_secret().as_bytes();
                if secret.len() < SHORTEST_HMAC_SECRET_BYTES {
                    return Err(Invalid::new(
                        "secret",
                        format!("must be {SHORTEST_HMAC_SECRET_BYTES} bytes or longer (RFC 7518, section 3.2)"),
                    ));
                }
                Ok(Self::Single(DecodingKey::from_secret(secret)))
            }
            (JwtAlgorithm::Hs256, _) => Err(Invalid::new("algorithm", "HS256 needs a secret, not a public key")),
            (_, KeyMaterial::HmacSecret(_)) => Err(Invalid::new("algorithm", "must be HS256 for a secret")),
            (_, KeyMaterial::PublicKeyPem(pem)) => public_key(algorithm, pem).map(Self::Single),
            (_, KeyMaterial::Jwks(jwks)) => key_set(algorithm, jwks).map(Self::Set),
        }
    }
}

fn library_algorithm(algorithm: JwtAlgorithm) -> Algorithm {
    match algorithm {
        JwtAlgorithm::Hs256 => Algorithm::HS256,
        JwtAlgorithm::Rs256 => Algorithm::RS256,
        JwtAlgorithm::Ps256 => Algorithm::PS256,
        JwtAlgorithm::Es256 => Algorithm::ES256,
        JwtAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}

fn public_key(algorithm: JwtAlgorithm, pem: &str) -> Result<DecodingKey, Invalid> {
    let read = match algorithm {
        JwtAlgorithm::Es256 => DecodingKey::from_ec_pem,
        JwtAlgorithm::EdDsa => DecodingKey::from_ed_pem,
        JwtAlgorithm::Rs256 | JwtAlgorithm::Ps256 | JwtAlgorithm::Hs256 => DecodingKey::from_rsa_pem,
    };
    read(pem.as_bytes())
        .map_err(|_| Invalid::new("pem", format!("must be a public key in PEM for {}", algorithm.as_str())))
}

/// The keys of a JWKS that have a `kid`, are not for encryption, and are of the algorithm's family.
fn key_set(algorithm: JwtAlgorithm, jwks: &str) -> Result<HashMap<String, DecodingKey>, Invalid> {
    let invalid = |expected: &str| Invalid::new("jwks", expected);
    let set: JwkSet = serde_json::from_str(jwks).map_err(|_| invalid("must be a JSON Web Key Set (RFC 7517)"))?;
    let mut keys = HashMap::new();
    for jwk in &set.keys {
        let for_signatures = jwk.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
        let Some(kid) = jwk.common.key_id.clone().filter(|_| for_signatures) else { continue };
        let key = DecodingKey::from_jwk(jwk).map_err(|_| invalid("must hold valid public keys only"))?;
        if key.family() != library_algorithm(algorithm).family() {
            continue;
        }
        if keys.insert(kid, key).is_some() {
            return Err(invalid("must not hold one kid twice"));
        }
    }
    if keys.is_empty() {
        return Err(invalid(&format!("must hold at least one signature key with a kid for {}", algorithm.as_str())));
    }
    Ok(keys)
}
