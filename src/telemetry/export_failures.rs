//! Counts failed exports. The SDK counts what its queues drop, but treats everything given to an
//! exporter as delivered.

use std::time::Duration;

use opentelemetry::metrics::BoundCounter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// Wraps an exporter and counts what it failed to export.
#[derive(Debug)]
pub(super) struct CountFailures<E> {
    pub exporter: E,
    pub lost: BoundCounter<u64>,
}

impl<E> CountFailures<E> {
    fn count(&self, exported: OTelSdkResult, items: usize) -> OTelSdkResult {
        exported.inspect_err(|_| self.lost.add(items.try_into().unwrap_or(u64::MAX)))
    }
}

impl<E: SpanExporter> SpanExporter for CountFailures<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.count(self.exporter.export(batch).await, spans)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E: LogExporter> LogExporter for CountFailures<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let records = batch.iter().count();
        self.count(self.exporter.export(batch).await, records)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
