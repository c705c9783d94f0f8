//! The cipher that seals secrets: AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce.
//!
//! A sealed secret is `1 byte of format version ‖ 12 bytes of nonce ‖ ciphertext ‖ 16 bytes of
//! tag`. The tag also covers the row and column of the secret, so a sealed value that is copied
//! elsewhere does not open.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::domain::sealing_key::SEALING_KEY_BYTES;

const FORMAT: u8 = 1;

/// The row and column that a sealed secret belongs to.
#[derive(Debug, Clone, Copy)]
pub struct AssociatedData {
    pub table: &'static str,
    pub row: Uuid,
    pub column: &'static str,
    /// Number of secrets that the column has held, so that an old one cannot be restored.
    pub version: i32,
}

impl AssociatedData {
    fn associated_data(self) -> Vec<u8> {
        format!("{}\0{}\0{}\0{}", self.table, self.row, self.column, self.version).into_bytes()
    }
}

/// Why a sealed secret does not open. Never contains its content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CipherError {
    #[error("sealed under {0:?}, which is not in vault.keys")]
    UnknownKey(String),
    #[error("unknown format")]
    Format,
    #[error("modified, moved to another row, or sealed under another key with the same id")]
    Refused,
}

/// One symmetric key.
pub struct Cipher(RandomizedNonceKey);

impl Cipher {
    /// Creates a cipher with this key.
    #[must_use]
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "the type says that the key is as long as the cipher wants it, which is all that can be wrong"
    )]
    pub fn new(key: &[u8; SEALING_KEY_BYTES]) -> Self {
        Self(RandomizedNonceKey::new(&AES_256_GCM, key).expect("a key of 32 bytes"))
    }

    /// Seals a secret for its row and column.
    #[must_use]
    pub fn seal(&self, binding: AssociatedData, secret: &SecretString) -> Vec<u8> {
        let mut text = Zeroizing::new(secret.expose_secret().as_bytes().to_vec());
        let aad = Aad::from(binding.associated_data());
        match self.0.seal_in_place_append_tag(aad, &mut *text) {
            Ok(nonce) => [&[FORMAT], nonce.as_ref().as_slice(), &text].concat(),
            // The cipher refuses plaintexts over 64 GiB only; an empty value can never be opened, so nothing is revealed.
            Err(_) => Vec::new(),
        }
    }

    /// Opens a secret that was sealed for this row and column.
    ///
    /// # Errors
    /// It was sealed for another row or column, or it was modified.
    pub fn open(&self, binding: AssociatedData, sealed: &[u8]) -> Result<SecretString, CipherError> {
        let (&[FORMAT], rest) = sealed.split_first_chunk::<1>().ok_or(CipherError::Format)? else {
            return Err(CipherError::Format);
        };
        let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>().ok_or(CipherError::Format)?;
        let mut text = Zeroizing::new(text.to_vec());
        let aad = Aad::from(binding.associated_data());
        let opened = self.0.open_in_place(Nonce::from(nonce), aad, &mut text).map_err(|_| CipherError::Refused)?;
        let opened = std::str::from_utf8(opened).map_err(|_| CipherError::Refused)?;
        Ok(SecretString::from(opened))
    }
}
