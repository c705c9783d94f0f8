//! Metrics of the recorder: batches, queue and commits.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::BoundHistogram;

use super::Metrics;

/// Rows per batch.
const ROWS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

#[derive(Debug)]
pub struct RecorderMetrics {
    wait: BoundHistogram<f64>,
    rows: BoundHistogram<u64>,
    committed: BoundHistogram<f64>,
    failed: BoundHistogram<f64>,
}

impl RecorderMetrics {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let meter = &metrics.0.meter;
        let wait = metrics
            .seconds("presign_gateway.recorder.queue.wait", "Queue wait of a batch's first row, which waits longest.");
        let rows = meter
            .u64_histogram("presign_gateway.recorder.batch.size")
            .with_description("Rows per batch.")
            .with_boundaries(ROWS.to_vec())
            .build();
        let commit = metrics.seconds("presign_gateway.recorder.commit.duration", "Commit duration of a batch.");
        let outcome = |outcome| commit.bind(&[KeyValue::new("outcome", outcome)]);
        Self { wait: wait.bind(&[]), rows: rows.bind(&[]), committed: outcome("committed"), failed: outcome("failed") }
    }

    /// Counts a batch that is about to be written.
    pub fn taken(&self, rows: usize, longest_wait: Duration) {
        self.rows.record(rows.try_into().unwrap_or(u64::MAX));
        self.wait.record(longest_wait.as_secs_f64());
    }

    /// Counts an attempt to commit.
    pub fn written(&self, is_committed: bool, took: Duration) {
        let commit = if is_committed { &self.committed } else { &self.failed };
        commit.record(took.as_secs_f64());
    }
}
