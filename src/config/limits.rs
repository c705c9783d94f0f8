//! `[limits]`: bounds of the limiters themselves; a tenant's limit stands in its row.

use serde::Deserialize;

use super::bounded::Count;

#[derive(Debug, Clone, Deserialize)]
pub struct LimitsConfig {
    pub max_addresses: Count,
}
