//! `[uploads]`: the recorder, exports, calls of buckets, the sweeper, and how the ledger is kept.

use serde::Deserialize;

use super::bounded::{Bounded, Count, Milliseconds, Seconds, SecondsOrNone};

#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Raw")]
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

#[derive(Deserialize)]
struct Raw {
    recorder_queue: Count,
    recorder_writers: Bounded<1, 64>,
    recorder_max_batch: Bounded<1, 10_000>,
    commit_timeout_ms: Milliseconds,
    max_exports: Bounded<1, 1_000>,
    usage_fold_seconds: Seconds,
    retention_months: Bounded<0, 1200>,
    bucket_timeout_ms: Bounded<1, 60_000>,
    sweep_seconds: SecondsOrNone,
    sweep_concurrency: Bounded<1, 256>,
    sweep_per_second: Bounded<1, 10_000>,
    sweep_lease_seconds: Bounded<1, 86_400>,
}

impl TryFrom<Raw> for UploadsConfig {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        // A claim must outlast a call, or another instance asks for the same.
        if raw.sweep_lease_seconds.as_seconds() < raw.bucket_timeout_ms.as_milliseconds() * 2 {
            return Err("uploads.sweep_lease_seconds must be at least twice uploads.bucket_timeout_ms".to_owned());
        }
        Ok(Self {
            recorder_queue: raw.recorder_queue,
            recorder_writers: raw.recorder_writers,
            recorder_max_batch: raw.recorder_max_batch,
            commit_timeout_ms: raw.commit_timeout_ms,
            max_exports: raw.max_exports,
            usage_fold_seconds: raw.usage_fold_seconds,
            retention_months: raw.retention_months,
            bucket_timeout_ms: raw.bucket_timeout_ms,
            sweep_seconds: raw.sweep_seconds,
            sweep_concurrency: raw.sweep_concurrency,
            sweep_per_second: raw.sweep_per_second,
            sweep_lease_seconds: raw.sweep_lease_seconds,
        })
    }
}
