//! Seals and opens secrets with the keyring. Knows nothing of what a secret is for, and does no I/O.

pub mod cipher;
pub mod keyring;
