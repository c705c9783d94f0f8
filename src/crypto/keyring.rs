//! The keyring: the first sealing key seals, every one opens. Keys can be rotated while old rows
//! still open.

use secrecy::SecretString;

use crate::domain::sealing_key::SealingKey;

use super::cipher::{AssociatedData, Cipher, CipherError};

/// Why a keyring is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    #[error(
        "no sealing key: set vault.keys_file or PRESIGN__VAULT__KEYS; `presign-gateway keyring generate` creates one"
    )]
    Empty,
    #[error("duplicate sealing key id {0:?}")]
    Repeated(String),
}

/// Sealing keys in order; never empty.
pub struct Keyring {
    sealing: (String, Cipher),
    opening: Vec<(String, Cipher)>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys().map(|(id, _)| id)).finish()
    }
}

impl Keyring {
    /// # Errors
    /// There is no key, or two keys have the same id.
    pub fn new(keys: &[SealingKey]) -> Result<Self, KeyringError> {
        let mut ids = std::collections::HashSet::new();
        if let Some(repeated) = keys.iter().find(|key| !ids.insert(&key.id)) {
            return Err(KeyringError::Repeated(repeated.id.clone()));
        }
        let mut ciphers = keys.iter().map(|key| (key.id.clone(), Cipher::new(&key.bytes)));
        let sealing = ciphers.next().ok_or(KeyringError::Empty)?;
        Ok(Self { sealing, opening: ciphers.collect() })
    }

    /// The id of the key that seals.
    #[must_use]
    pub fn sealing_key_id(&self) -> &str {
        &self.sealing.0
    }

    /// The ids of all keys, starting with the one that seals.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys().map(|(id, _)| id.as_str())
    }

    /// Seals with the first key.
    #[must_use]
    pub fn seal(&self, binding: AssociatedData, secret: &SecretString) -> Vec<u8> {
        self.sealing.1.seal(binding, secret)
    }

    /// Opens a secret that was sealed with the key of this id.
    ///
    /// # Errors
    /// There is no such key, or the secret does not open.
    pub fn open(&self, key_id: &str, binding: AssociatedData, sealed: &[u8]) -> Result<SecretString, CipherError> {
        let (_, cipher) =
            self.keys().find(|(id, _)| id == key_id).ok_or_else(|| CipherError::UnknownKey(key_id.to_owned()))?;
        cipher.open(binding, sealed)
    }

    fn keys(&self) -> impl Iterator<Item = &(String, Cipher)> {
        std::iter::once(&self.sealing).chain(&self.opening)
    }
}
