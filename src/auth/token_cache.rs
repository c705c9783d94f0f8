//! A cache of verified tokens: a repeated token costs a hash instead of a signature verification.
//!
//! Stores only the SHA-256 of a token, and only of valid tokens. An entry alone admits nobody: each
//! use calls `Verifier::still_holds`, which checks everything that can have changed, so no change
//! has to invalidate this cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;

use crate::domain::sha256::sha256;
use crate::telemetry::metrics::cache::CacheMetrics;

use super::jwt::{Claimed, Verified};

/// After this time a token is verified again, so that expired tokens do not stay and no mistake
/// lasts.
const MAX_MEMORY: Duration = Duration::from_mins(15);
/// Maximum bytes of `iss` and `aud` of a cached token, because clients choose them.
const MAX_NAME_BYTES: usize = 512;

/// Identifies a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(sha256(token.as_bytes()))
    }
}

/// The result of a verification.
pub struct VerifiedToken {
    /// The names that find its issuer again.
    pub claimed: Claimed,
    pub verified: Verified,
}

/// Tokens that were verified recently.
pub struct TokenCache {
    tokens: Cache<TokenDigest, Arc<VerifiedToken>>,
    checked: AtomicU64,
    metrics: CacheMetrics,
}

impl TokenCache {
    /// With `max_tokens` = 0 nothing is cached.
    #[must_use]
    pub fn new(max_tokens: u64, metrics: CacheMetrics) -> Self {
        let tokens = Cache::builder().max_capacity(max_tokens).time_to_live(MAX_MEMORY).build();
        Self { tokens, checked: AtomicU64::new(0), metrics }
    }

    pub(super) fn get(&self, digest: &TokenDigest) -> Option<Arc<VerifiedToken>> {
        let known = self.tokens.get(digest);
        let counter = if known.is_some() { &self.metrics.hits } else { &self.metrics.misses };
        counter.add(1);
        known
    }

    /// The cache's name, and its number of entries.
    pub(super) fn size(&self) -> (&'static str, u64) {
        (self.metrics.name, self.count())
    }

    /// Caches a verified token.
    pub(super) fn insert(&self, digest: TokenDigest, token: Arc<VerifiedToken>) {
        if token.claimed.bytes() <= MAX_NAME_BYTES {
            self.tokens.insert(digest, token);
        }
    }

    pub(super) fn note_check(&self) {
        self.checked.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of full verifications so far, of tokens with a known issuer.
    #[must_use]
    pub fn checked(&self) -> u64 {
        self.checked.load(Ordering::Relaxed)
    }

    /// Evicts expired entries.
    pub(super) fn evict_expired(&self) {
        self.tokens.run_pending_tasks();
    }

    /// The number of entries.
    pub fn count(&self) -> u64 {
        self.tokens.run_pending_tasks();
        self.tokens.entry_count()
    }
}
