//! SHA-256, for values that are looked up or compared by their digest.

use aws_lc_rs::digest::{SHA256, digest};

/// The SHA-256 digest of the data.
#[must_use]
pub fn sha256(data: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, data).as_ref());
    bytes
}
