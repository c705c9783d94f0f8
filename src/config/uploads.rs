//! `[uploads]`: the recorder, and exports.

use serde::Deserialize;

use super::bounded::{Bounded, Count, Milliseconds};

#[derive(Debug, Clone, Deserialize)]
pub struct UploadsConfig {
    pub recorder_queue: Count,
    pub recorder_writers: Bounded<1, 64>,
    pub recorder_max_batch: Bounded<1, 10_000>,
    pub commit_timeout_ms: Milliseconds,
    pub max_exports: Bounded<1, 1_000>,
}
