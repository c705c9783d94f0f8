//! `[uploads]`: the recorder, exports, and how the ledger is kept.

use serde::Deserialize;

use super::bounded::{Bounded, Count, Milliseconds, Seconds};

#[derive(Debug, Clone, Deserialize)]
pub struct UploadsConfig {
    pub recorder_queue: Count,
    pub recorder_writers: Bounded<1, 64>,
    pub recorder_max_batch: Bounded<1, 10_000>,
    pub commit_timeout_ms: Milliseconds,
    pub max_exports: Bounded<1, 1_000>,
    pub usage_fold_seconds: Seconds,
    pub retention_months: Bounded<0, 1200>,
}
