//! `[auth]`: caches of callers, keys of JWT issuers, and the limit on failed authentication.

use std::num::NonZeroU32;

use serde::Deserialize;

use super::bounded::{Bounded, Count, Seconds, SecondsOrNone};

#[derive(Debug, Clone, Deserialize)]
pub struct AuthConfig {
    pub cache_entries: Count,
    pub cache_seconds: SecondsOrNone,
    pub cache_tokens: Bounded<0, 10_000_000>,
    pub last_used_flush_seconds: Seconds,
    pub jwks_refresh_seconds: SecondsOrNone,
    pub jwks_cooldown_seconds: SecondsOrNone,
    /// Up to thirty days.
    pub jwks_stale_seconds: Bounded<0, 2_592_000>,
    pub failures_per_second: NonZeroU32,
    pub failures_burst: NonZeroU32,
}
