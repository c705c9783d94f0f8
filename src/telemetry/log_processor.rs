//! Adds the id of the request to exported log records.

use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry::logs::{LogRecord, Severity};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord};

use super::correlation;

/// Adds the request's ids to a record, on the thread that created it.
#[derive(Debug)]
pub(super) struct WithRequest<P>(pub P);

impl<P: LogProcessor> LogProcessor for WithRequest<P> {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        correlation::current(|request| {
            record.add_attribute("presign_gateway.request_id", request.request_id().to_owned());
            if let Some(trace) = request.trace() {
                record.set_trace_context(trace.trace_id, trace.span_id, None);
            }
        });
        self.0.emit(record, scope);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn event_enabled(&self, level: Severity, target: &str, name: Option<&str>) -> bool {
        self.0.event_enabled(level, target, name)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}
