//! `[limits]`: bounds of the rate limiters. A tenant's own limit is in its row.

use serde::Deserialize;

use super::bounded::Count;

#[derive(Debug, Clone, Deserialize)]
pub struct LimitsConfig {
    pub max_addresses: Count,
}
