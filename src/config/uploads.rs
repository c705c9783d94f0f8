//! `[uploads]`: recorder, exports, calls to buckets, sweeper and maintenance.

use serde::Deserialize;

use super::bounded::{Bounded, Count, Milliseconds, Seconds, SecondsOrNone};

#[derive(Debug, Clone, Deserialize)]
pub struct UploadsConfig {
    pub recorder_queue: Count,
    pub recorder_writers: Bounded<1, 64>,
    pub recorder_max_batch: Bounded<1, 10_000>,
    pub commit_timeout_ms: Milliseconds,
    pub max_exports: Bounded<1, 1_000>,
    pub export_timeout_seconds: Seconds,
    pub usage_fold_seconds: Seconds,
    pub retention_months: Bounded<0, 1200>,
    pub bucket_timeout_ms: Bounded<1, 60_000>,
    pub sweep_seconds: SecondsOrNone,
    pub sweep_concurrency: Bounded<1, 256>,
    pub sweep_per_second: Bounded<1, 10_000>,
    pub sweep_lease_seconds: Bounded<1, 86_400>,
}

impl UploadsConfig {
    /// What is wrong of settings that are fine alone.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        // A claim must outlast a call, or another instance asks for the same.
        let too_short = self.sweep_lease_seconds.as_seconds() < self.bucket_timeout_ms.as_milliseconds() * 2;
        too_short.then(|| "uploads.sweep_lease_seconds must be at least twice uploads.bucket_timeout_ms".to_owned())
    }
}
