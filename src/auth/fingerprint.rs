//! Detects whether content changed, without keeping the old content.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::LazyLock;

/// Of what was read or fetched; equal contents have equal ones, in this process only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The hash is keyed with what nobody knows: contents that differ have the same fingerprint once in 2⁶⁴ changes, and
    /// cannot be made to.
    #[must_use]
    pub fn of(content: &(impl Hash + ?Sized)) -> Self {
        static KEYED: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self(KEYED.hash_one(content))
    }
}
