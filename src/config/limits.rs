//! `[limits]`: bounds of the limiters themselves; a tenant's limit stands in its row.

use std::num::NonZeroUsize;

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
pub struct LimitsConfig {
    pub max_addresses: NonZeroUsize,
}
