//! `[uploads]`: the recorder.

use std::num::{NonZeroU64, NonZeroUsize};

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
pub struct UploadsConfig {
    pub recorder_queue: NonZeroUsize,
    pub recorder_writers: NonZeroUsize,
    pub recorder_max_batch: NonZeroUsize,
    pub commit_timeout_ms: NonZeroU64,
}
