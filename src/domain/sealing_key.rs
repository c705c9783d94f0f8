//! A sealing key, written `id:base64`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::Invalid;
use super::randomness::Randomness;

/// The length of a sealing key in bytes.
pub const SEALING_KEY_BYTES: usize = 32;

/// A symmetric key with a name. It is zeroed on drop and never printed.
#[derive(Clone)]
pub struct SealingKey {
    pub id: String,
    pub bytes: Zeroizing<[u8; SEALING_KEY_BYTES]>,
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealingKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl SealingKey {
    /// Parses `id:base64`.
    ///
    /// # Errors
    /// The text has another form. The error never contains the key.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let invalid = |expected: String| Invalid::new("a sealing key", expected);
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let (id, key) =
            text.split_once(':').filter(|(id, _)| (1..=32).contains(&id.len()) && id.bytes().all(allowed)).ok_or_else(
                || invalid("must be written id:key, the id of 1 to 32 letters, digits, '-', '_' and '.'".to_owned()),
            )?;
        let decoded = Zeroizing::new(STANDARD.decode(key.trim()).unwrap_or_default());
        let bytes = decoded.as_slice().try_into().map_err(|_| {
            invalid(format!("must be {SEALING_KEY_BYTES} bytes in base64, as `presign-gateway keyring generate` makes it; the one with the id {id} is not"))
        })?;
        Ok(Self { id: id.to_owned(), bytes: Zeroizing::new(bytes) })
    }

    /// Generates a key, in the form that [`Self::parse`] reads.
    #[must_use]
    pub fn generate(id: &str, randomness: &Randomness) -> SecretString {
        let key = Zeroizing::new(randomness.bytes::<SEALING_KEY_BYTES>());
        SecretString::from(format!("{id}:{}", STANDARD.encode(key.as_slice())))
    }
}
