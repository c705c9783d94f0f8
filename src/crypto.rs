//! Seals and opens secrets with the keyring.
//!
//! Does no I/O and does not know what a secret is for.

pub mod cipher;
pub mod keyring;
