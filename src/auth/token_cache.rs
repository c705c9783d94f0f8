//! Tokens that passed every check, remembered: the same token again costs a hash instead of a signature.
//!
//! Never keeps a token, only its SHA-256, and never one that failed. What is remembered is no pass: `Verifier::still_holds`
//! asks at each use for all that may have changed, so that nothing has to be forgotten here when something changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;

use crate::domain::sha256::sha256;
use crate::telemetry::metrics::cache::CacheMetrics;

use super::jwt::{Claimed, Verified};

/// After this a token is checked in full once more, whatever was remembered: expired ones do not stay for long, and nothing
/// that was overlooked lasts.
const MAX_MEMORY: Duration = Duration::from_mins(15);
/// The most bytes of `iss` and `aud` with which a token is remembered: it is tokens' makers who choose how many there are.
const MAX_NAME_BYTES: usize = 512;

/// Which token it was.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(sha256(token.as_bytes()))
    }
}

/// What a check of a token found.
pub struct VerifiedToken {
    /// By which its issuer is found anew.
    pub claimed: Claimed,
    pub verified: Verified,
}

/// The tokens that were accepted of late.
pub struct TokenCache {
    tokens: Cache<TokenDigest, Arc<VerifiedToken>>,
    checked: AtomicU64,
    metrics: CacheMetrics,
}

impl TokenCache {
    /// With `max_tokens` of 0 nothing is remembered.
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

    /// The cache's name, and how many are remembered.
    pub(super) fn size(&self) -> (&'static str, u64) {
        (self.metrics.name, self.count())
    }

    /// Remembers a token that may be let in.
    pub(super) fn insert(&self, digest: TokenDigest, token: Arc<VerifiedToken>) {
        if token.claimed.bytes() <= MAX_NAME_BYTES {
            self.tokens.insert(digest, token);
        }
    }

    pub(super) fn note_check(&self) {
        self.checked.fetch_add(1, Ordering::Relaxed);
    }

    /// How many checks in full there have been so far, of tokens whose issuer is known.
    #[must_use]
    pub fn checked(&self) -> u64 {
        self.checked.load(Ordering::Relaxed)
    }

    /// Takes out what is too old to be believed.
    pub(super) fn evict_expired(&self) {
        self.tokens.run_pending_tasks();
    }

    /// How many are remembered.
    pub fn count(&self) -> u64 {
        self.tokens.run_pending_tasks();
        self.tokens.entry_count()
    }
}
