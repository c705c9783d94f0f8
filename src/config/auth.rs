//! `[auth]`: caches of callers, and the limit on failed authentications.

use std::num::{NonZeroU32, NonZeroU64};

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
pub struct AuthConfig {
    pub cache_entries: NonZeroU64,
    pub cache_seconds: u64,
    pub last_used_flush_seconds: NonZeroU64,
    pub failures_per_second: NonZeroU32,
    pub failures_burst: NonZeroU32,
}
