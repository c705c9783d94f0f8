//! Metrics of uploads: requested, and state changes.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundCounter, Counter};

use super::Metrics;

/// Failures that an operator must fix. They exist from the start, because alerts would miss the
/// first one otherwise.
const OURS: [&str; 7] = [
    "credential_sealed",
    "credential_unavailable",
    "queue_full",
    "timed_out",
    "closed",
    "not_committed",
    "inconsistent",
];
const KINDS: [&str; 4] = ["thumb", "origin", "video", "none"];

#[derive(Debug)]
pub struct UploadMetrics {
    asked: Counter<u64>,
    /// Issued uploads, by kind.
    issued: [BoundCounter<u64>; KINDS.len()],
    settled: Counter<u64>,
}

impl UploadMetrics {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let asked = metrics.counter("presign_gateway.uploads", "Requested uploads, by outcome.");
        let issued = KINDS.map(|kind| asked.bind(&labels(kind, "issued")));
        for (kind, outcome) in KINDS.iter().flat_map(|kind| OURS.map(|outcome| (*kind, outcome))) {
            asked.add(0, &labels(kind, outcome));
        }
        let settled = metrics
            .counter("presign_gateway.uploads.settled", "Uploads whose state became known, by state and by component.");
        Self { asked, issued, settled }
    }

    /// Counts a recorded upload.
    pub fn issued(&self, kind: Option<&'static str>) {
        let kind = kind.unwrap_or("none");
        if let Some((_, issued)) = KINDS.iter().zip(&self.issued).find(|(known, _)| **known == kind) {
            issued.add(1);
        }
    }

    /// Counts a requested upload that was not recorded; `outcome` says why.
    pub fn not_issued(&self, kind: Option<&'static str>, outcome: &'static str) {
        self.asked.add(1, &labels(kind.unwrap_or("none"), outcome));
    }

    /// Counts uploads that changed to this state.
    pub fn settled(&self, uploads: u32, state: &'static str, by: &'static str) {
        if uploads > 0 {
            self.settled.add(uploads.into(), &[KeyValue::new("state", state), KeyValue::new("by", by)]);
        }
    }
}

fn labels(kind: &'static str, outcome: &'static str) -> [KeyValue; 2] {
    [KeyValue::new("kind", kind), KeyValue::new("outcome", outcome)]
}
