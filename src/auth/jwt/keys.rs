//! Keys that verify signatures: an HMAC secret, a public key in PEM, or a JSON Web Key Set (RFC
//! 7517).

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::domain::Invalid;
use crate::domain::jwt_issuer::JwtAlgorithm;

use super::super::fingerprint::Fingerprint;

/// Minimum length of an HMAC secret in bytes: that of the hash (RFC 7518, section 3.2).
pub const MIN_HMAC_SECRET_BYTES: usize = 32;
/// Maximum length of an HMAC secret in bytes.
pub const MAX_HMAC_SECRET_BYTES: usize = 4096;
/// Maximum length of a JWKS or PEM in bytes.
pub const MAX_PUBLIC_KEYS_BYTES: usize = 256 * 1024;
/// Maximum number of keys of one JWKS.
const MAX_KEYS: usize = 100;

/// The key material of an issuer, opened.
#[derive(Debug)]
pub enum KeyMaterial<'a> {
    HmacSecret(&'a SecretString),
    Jwks(&'a str),
    PublicKeyPem(&'a str),
}

/// An issuer's keys, ready to verify signatures.
#[derive(Debug)]
pub enum Keys {
    /// An HMAC secret or a PEM: one key, whatever the token's `kid` is.
    Single(DecodingKey),
    /// A JWKS: the token's `kid` selects a key.
    Set(KeySet),
}

impl Keys {
    /// # Errors
    /// The key material does not parse, is too short or too long, or does not match the algorithm.
    pub fn new(algorithm: JwtAlgorithm, material: &KeyMaterial<'_>) -> Result<Self, Invalid> {
        match (algorithm, material) {
            (JwtAlgorithm::Hs256, KeyMaterial::HmacSecret(secret)) => hmac_secret(secret).map(Self::Single),
            (JwtAlgorithm::Hs256, _) => Err(needs_a_secret()),
            (_, KeyMaterial::HmacSecret(_)) => Err(Invalid::new("algorithm", "must be HS256 for a secret")),
            (_, KeyMaterial::PublicKeyPem(pem)) => public_key(algorithm, pem).map(Self::Single),
            (_, KeyMaterial::Jwks(jwks)) => KeySet::parse(algorithm, jwks.as_bytes()).map(Self::Set),
        }
    }

    /// The key for a token with this `kid`.
    #[must_use]
    pub fn find(&self, kid: Option<&str>) -> Option<&DecodingKey> {
        match self {
            Self::Single(key) => Some(key),
            Self::Set(keys) => keys.find(kid?),
        }
    }
}

/// Why HS256 requires a secret.
#[must_use]
pub fn needs_a_secret() -> Invalid {
    Invalid::new("algorithm", "must not be HS256 for public keys: HS256 needs a secret")
}

/// The keys of a JWKS for one algorithm, by their `kid`.
#[derive(Debug)]
pub struct KeySet {
    keys: HashMap<String, DecodingKey>,
    fingerprint: Fingerprint,
}

impl KeySet {
    /// Keeps the keys that have a `kid` and sign with this algorithm. Ignores all others (RFC 7517,
    /// section 5): an issuer may publish keys for other purposes and of unknown types.
    ///
    /// # Errors
    /// The text is not a JWKS, is too long, has no key for the algorithm, or has two keys with one
    /// `kid`.
    pub fn parse(algorithm: JwtAlgorithm, jwks: &[u8]) -> Result<Self, Invalid> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let invalid = |expected: String| Invalid::new("jwks", expected);
        check_length("jwks", jwks.len())?;
        let set: Set =
            serde_json::from_slice(jwks).map_err(|_| invalid("must be a JSON Web Key Set (RFC 7517)".to_owned()))?;
        if set.keys.len() > MAX_KEYS {
            return Err(invalid(format!("must hold at most {MAX_KEYS} keys")));
        }
        if set.keys.iter().any(|jwk| PRIVATE_PARTS.iter().any(|part| jwk.get(part).is_some())) {
            return Err(invalid(
                "must hold only public keys: the issuer must keep the private ones to itself".to_owned(),
            ));
        }
        let mut keys = HashMap::new();
        for (kid, key) in set.keys.into_iter().filter_map(|jwk| usable(algorithm, jwk)) {
            if keys.insert(kid, key).is_some() {
                return Err(invalid("must not hold a kid twice".to_owned()));
            }
        }
        if keys.is_empty() {
            return Err(invalid(format!("must hold at least one signature key with a kid for {}", algorithm.as_str())));
        }
        Ok(Self { keys, fingerprint: Fingerprint::of(jwks) })
    }

    /// The key of this `kid`.
    #[must_use]
    pub fn find(&self, kid: &str) -> Option<&DecodingKey> {
        self.keys.get(kid)
    }

    /// Every `kid`, in no particular order.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// A fingerprint of the whole JWKS.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// A key and its `kid`, if it verifies signatures of this algorithm and declares nothing else.
fn usable(algorithm: JwtAlgorithm, jwk: Value) -> Option<(String, DecodingKey)> {
    let jwk: Jwk = serde_json::from_value(jwk).ok()?;
    let common = &jwk.common;
    let for_signatures = common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
    let verifies = common.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    let of_algorithm = common.key_algorithm.is_none_or(|named| named == library_algorithm(algorithm).into());
    let of_kind = match (algorithm, &jwk.algorithm) {
        (JwtAlgorithm::Rs256 | JwtAlgorithm::Ps256, AlgorithmParameters::RSA(key)) => {
            URL_SAFE_NO_PAD.decode(&key.n).is_ok_and(|modulus| modulus.len() >= MIN_RSA_MODULUS_BYTES)
        }
        (JwtAlgorithm::Es256, AlgorithmParameters::EllipticCurve(key)) => key.curve == EllipticCurve::P256,
        (JwtAlgorithm::EdDsa, AlgorithmParameters::OctetKeyPair(key)) => key.curve == EllipticCurve::Ed25519,
        _ => false,
    };
    if !(for_signatures && verifies && of_algorithm && of_kind) {
        return None;
    }
    Some((common.key_id.clone()?, DecodingKey::from_jwk(&jwk).ok()?))
}

/// The algorithm in the library's type.
pub(super) const fn library_algorithm(algorithm: JwtAlgorithm) -> Algorithm {
    match algorithm {
        JwtAlgorithm::Hs256 => Algorithm::HS256,
        JwtAlgorithm::Rs256 => Algorithm::RS256,
        JwtAlgorithm::Ps256 => Algorithm::PS256,
        JwtAlgorithm::Es256 => Algorithm::ES256,
        JwtAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}

fn hmac_secret(secret: &SecretString) -> Result<DecodingKey, Invalid> {
    let secret = secret.expose_secret().as_bytes();
    if !(MIN_HMAC_SECRET_BYTES..=MAX_HMAC_SECRET_BYTES).contains(&secret.len()) {
        return Err(Invalid::new(
            "hmac_secret",
            format!("must be {MIN_HMAC_SECRET_BYTES} to {MAX_HMAC_SECRET_BYTES} bytes long (RFC 7518, section 3.2)"),
        ));
    }
    Ok(DecodingKey::from_secret(secret))
}

fn public_key(algorithm: JwtAlgorithm, pem: &str) -> Result<DecodingKey, Invalid> {
    check_length("public_key_pem", pem.len())?;
    check_pem(algorithm, pem)?;
    let read = match algorithm {
        JwtAlgorithm::Es256 => DecodingKey::from_ec_pem,
        JwtAlgorithm::EdDsa => DecodingKey::from_ed_pem,
        JwtAlgorithm::Rs256 | JwtAlgorithm::Ps256 | JwtAlgorithm::Hs256 => DecodingKey::from_rsa_pem,
    };
    read(pem.as_bytes())
        .map_err(|_| Invalid::new("public_key_pem", format!("must be a public key in PEM for {}", algorithm.as_str())))
}

/// Whether the text is one block of a public key for the algorithm. A private key must not be
/// stored unsealed.
fn check_pem(algorithm: JwtAlgorithm, pem: &str) -> Result<(), Invalid> {
    let invalid = |expected: &str| Err(Invalid::new("public_key_pem", expected));
    if pem.contains("PRIVATE KEY") {
        return invalid("must be the public key: this is the private one, which the issuer must keep to itself");
    }
    let block = pem.trim().strip_prefix("-----BEGIN ").and_then(|rest| rest.split_once("-----"));
    let body = block.and_then(|(_, rest)| rest.split_once("-----END ")).map_or("", |(body, _)| body);
    let der = STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).unwrap_or_default();
    let is_one = pem.matches("-----BEGIN ").count() == 1 && pem.trim_end().ends_with("-----");
    if der.is_empty() || !is_one {
        return invalid("must be one block of PEM and nothing else");
    }
    match algorithm {
        JwtAlgorithm::Rs256 | JwtAlgorithm::Ps256 if der.len() < MIN_RSA_MODULUS_BYTES => {
            invalid("must be an RSA key of at least 2048 bits (RFC 7518, section 3.3)")
        }
        JwtAlgorithm::Es256 if !der.windows(P256.len()).any(|window| window == P256) => {
            invalid("must be a key on the curve P-256 for ES256")
        }
        _ => Ok(()),
    }
}

/// 2048 bits; a key's DER is a little longer than its modulus.
const MIN_RSA_MODULUS_BYTES: usize = 256;
/// The object identifier of the curve P-256, 1.2.840.10045.3.1.7, in DER.
const P256: [u8; 8] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// Private parameters of a JWK (RFC 7518, sections 6.2.2, 6.3.2 and 6.4.1).
const PRIVATE_PARTS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

fn check_length(field: &'static str, bytes: usize) -> Result<(), Invalid> {
    if bytes > MAX_PUBLIC_KEYS_BYTES {
        return Err(Invalid::new(field, format!("must be at most {MAX_PUBLIC_KEYS_BYTES} bytes long")));
    }
    Ok(())
}
