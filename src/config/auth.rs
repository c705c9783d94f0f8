//! `[auth]`: caches of callers, and the limit on failed authentications.

use std::num::NonZeroU32;

use serde::Deserialize;

use super::bounded::{Count, Seconds, SecondsOrNone};

#[derive(Debug, Clone, Deserialize)]
pub struct AuthConfig {
    pub cache_entries: Count,
    pub cache_seconds: SecondsOrNone,
    pub last_used_flush_seconds: Seconds,
    pub failures_per_second: NonZeroU32,
    pub failures_burst: NonZeroU32,
}
