//! `[buckets]`: what a bucket may be.

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
pub struct BucketsConfig {
    pub allow_http: bool,
}
