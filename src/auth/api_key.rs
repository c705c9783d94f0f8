//! API keys: `pgw_<public id>_<secret><checksum>`.
//!
//! The public id finds the row and may be logged. The secret has 190 random bits, so it needs no
//! slow hash: only its SHA-256 is stored. The checksum rejects a mistyped key without a lookup, and
//! lets secret scanners recognise a leaked key.

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::domain::Invalid;
use crate::domain::randomness::Randomness;
use crate::domain::sha256::sha256;

/// The prefix of every API key.
pub const PREFIX: &str = "pgw_";
const PUBLIC_ID_CHARS: usize = 12;
const SECRET_CHARS: usize = 32;
const CHECKSUM_CHARS: usize = 6;

/// A new API key. Its text is shown once and never stored.
#[derive(Debug)]
pub struct GeneratedApiKey {
    /// The whole key.
    pub text: SecretString,
    pub public_id: String,
    pub secret_sha256: [u8; 32],
}

/// Generates a new API key.
#[must_use]
pub fn generate(randomness: &Randomness) -> GeneratedApiKey {
    let public_id = randomness.alphanumeric(PUBLIC_ID_CHARS);
    let secret = randomness.alphanumeric(SECRET_CHARS);
    let body = format!("{PREFIX}{public_id}_{secret}");
    let checksum = base62::encode(checksum(&body));
    let text = SecretString::from(format!("{body}{checksum:0>CHECKSUM_CHARS$}"));
    GeneratedApiKey { text, public_id, secret_sha256: sha256(secret.as_bytes()) }
}

/// A well-formed API key, which may or may not exist.
pub struct PresentedApiKey<'a> {
    pub public_id: &'a str,
    secret: &'a str,
}

impl<'a> PresentedApiKey<'a> {
    /// Parses a key; `None` if its form or checksum is wrong.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (body, found) = text.split_at_checked(text.len().checked_sub(CHECKSUM_CHARS)?)?;
        let (public_id, secret) = body.strip_prefix(PREFIX)?.split_once('_')?;
        let lengths = public_id.len() == PUBLIC_ID_CHARS && secret.len() == SECRET_CHARS;
        let characters = public_id.bytes().chain(secret.bytes()).all(|byte| byte.is_ascii_alphanumeric());
        // Six digits, so each checksum is written in one way only.
        let fits = || base62::decode(found) == Ok(checksum(body).into());
        (lengths && characters && fits()).then_some(Self { public_id, secret })
    }

    /// Compares the secret with this hash in constant time.
    #[must_use]
    pub fn matches(&self, secret_sha256: &[u8; 32]) -> bool {
        sha256(self.secret.as_bytes()).ct_eq(secret_sha256).into()
    }
}

/// Returns the public id and the hash of the secret, which the store keeps.
///
/// # Errors
/// The text is not an API key.
pub fn take_apart(text: &SecretString) -> Result<(String, [u8; 32]), Invalid> {
    let presented = PresentedApiKey::parse(text.expose_secret())
        .ok_or_else(|| Invalid::new("an API key", "must be of the form pgw_<public id>_<secret><checksum>"))?;
    Ok((presented.public_id.to_owned(), sha256(presented.secret.as_bytes())))
}

/// CRC-32 (ISO-HDLC) of the preceding text, in six digits of base 62, `0-9 A-Z a-z`.
fn checksum(body: &str) -> u32 {
    crc32fast::hash(body.as_bytes())
}
