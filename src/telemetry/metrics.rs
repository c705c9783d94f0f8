//! Every instrument. `/metrics` and the collector read the same set.
//!
//! `docs/metrics.md` lists names and labels. Labels have few values, whatever callers send.
//! Counters of each request are bound to their labels in advance, so a request costs one addition.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundCounter, Histogram, Meter, MeterProvider};
use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use prometheus::{Registry, TextEncoder};

use crate::config::telemetry::TelemetryConfig;

use super::resource::resource;

use self::auth::{AuthMetrics, JwksMetrics};
use self::bucket::BucketMetrics;
use self::cache::CacheMetrics;
use self::database::DatabaseMetrics;
use self::http::{ConnectionMetrics, HttpMetrics};
use self::log::LogMetrics;
use self::rate_limit::LimiterMetrics;
use self::recorder::RecorderMetrics;
use self::sweeper::SweeperMetrics;
use self::uploads::UploadMetrics;

pub(crate) mod auth;
pub(crate) mod bucket;
pub(crate) mod cache;
pub(crate) mod database;
mod gauges;
pub(crate) mod http;
pub(crate) mod log;
pub(crate) mod rate_limit;
pub(crate) mod recorder;
pub(crate) mod sweeper;
pub(crate) mod uploads;

pub use self::gauges::{JwksStats, PoolStats};

/// The media type of [`Metrics::scrape`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Buckets in seconds, from a tenth of a millisecond to some seconds.
const SECONDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// A handle to the instruments of one gateway.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    provider: SdkMeterProvider,
    registry: Registry,
    meter: Meter,
    tenant_labels: usize,
    is_read: bool,
}

impl Metrics {
    /// The instruments and their readers: `/metrics`, and the exporter if there is one.
    #[must_use]
    pub fn new(config: &TelemetryConfig, exporter: Option<MetricExporter>) -> Self {
        let registry = Registry::new();
        let is_read = config.metrics || exporter.is_some();
        let mut provider = SdkMeterProvider::builder().with_resource(resource(config));
        if config.metrics {
            let prometheus = opentelemetry_prometheus::exporter().with_registry(registry.clone());
            match prometheus.scope_info_enabled(false).build() {
                Ok(reader) => provider = provider.with_reader(reader),
                // A new registry has no duplicate names, so this does not happen.
                Err(error) => {
                    tracing::error!(cause = %error, "the Prometheus exporter failed to start: /metrics stays empty");
                }
            }
        }
        if let Some(exporter) = exporter {
            let every = config.otlp_metrics_seconds.as_seconds();
            provider = provider.with_reader(PeriodicReader::builder(exporter).with_interval(every).build());
        }
        Self::of(provider.build(), registry, config.tenant_labels.count(), is_read)
    }

    /// Instruments without a reader.
    #[must_use]
    pub fn off() -> Self {
        Self::of(SdkMeterProvider::default(), Registry::new(), 0, false)
    }

    /// Whether there is a reader.
    #[must_use]
    pub fn are_read(&self) -> bool {
        self.0.is_read
    }

    fn of(provider: SdkMeterProvider, registry: Registry, tenant_labels: usize, is_read: bool) -> Self {
        let meter = provider.meter("presign_gateway");
        let built = meter
            .u64_gauge("presign_gateway.build.info")
            .with_description("Always 1; its label is the version.")
            .build();
        built.record(1, &[KeyValue::new("version", env!("CARGO_PKG_VERSION"))]);
        Self(Arc::new(Inner { provider, registry, meter, tenant_labels, is_read }))
    }

    /// All metrics in Prometheus text format; `None` if metrics are disabled.
    #[must_use]
    pub fn scrape(&self) -> Option<String> {
        let families = Some(self.0.registry.gather()).filter(|families| !families.is_empty())?;
        let encoded = TextEncoder::new().encode_to_string(&families);
        encoded.inspect_err(|error| tracing::error!(cause = %error, "encoding metrics failed")).ok()
    }

    /// Lets OpenTelemetry's own parts count what they drop. For a process with one gateway.
    pub(super) fn count_for_libraries(&self) {
        opentelemetry::global::set_meter_provider(self.0.provider.clone());
    }

    /// Exports everything since the last export.
    pub(super) fn shut_down(&self, timeout: Duration) {
        let _ = self.0.provider.shutdown_with_timeout(timeout);
    }

    #[must_use]
    pub fn http(&self) -> HttpMetrics {
        HttpMetrics::new(self)
    }

    /// Metrics of the listener with this name.
    #[must_use]
    pub fn connections(&self, listener: &'static str) -> ConnectionMetrics {
        ConnectionMetrics::new(self, listener)
    }

    #[must_use]
    pub fn database(&self) -> DatabaseMetrics {
        DatabaseMetrics::new(self)
    }

    #[must_use]
    pub fn uploads(&self) -> UploadMetrics {
        UploadMetrics::new(self)
    }

    #[must_use]
    pub fn recorder(&self) -> RecorderMetrics {
        RecorderMetrics::new(self)
    }

    #[must_use]
    pub fn limiter(&self) -> LimiterMetrics {
        LimiterMetrics::new(self, self.0.tenant_labels)
    }

    #[must_use]
    pub fn auth(&self) -> AuthMetrics {
        AuthMetrics::new(self)
    }

    #[must_use]
    pub fn jwks(&self) -> JwksMetrics {
        JwksMetrics::new(self)
    }

    /// Metrics of the cache with this name.
    #[must_use]
    pub fn cache(&self, name: &'static str) -> CacheMetrics {
        CacheMetrics::new(self, name)
    }

    #[must_use]
    pub fn bucket(&self) -> BucketMetrics {
        BucketMetrics::new(self)
    }

    #[must_use]
    pub fn sweeper(&self) -> SweeperMetrics {
        SweeperMetrics::new(self)
    }

    /// Failed exports of a signal.
    pub(super) fn lost(&self, signal: &'static str) -> BoundCounter<u64> {
        let lost =
            self.counter("presign_gateway.telemetry.lost", "Spans and log records that the collector did not accept.");
        let lost = lost.bind(&[KeyValue::new("signal", signal)]);
        lost.add(0);
        lost
    }

    #[must_use]
    pub fn log(&self) -> LogMetrics {
        LogMetrics::new(self)
    }

    fn seconds(&self, name: &'static str, description: &'static str) -> Histogram<f64> {
        let histogram = self.0.meter.f64_histogram(name).with_unit("s").with_description(description);
        histogram.with_boundaries(SECONDS.to_vec()).build()
    }

    fn counter(&self, name: &'static str, description: &'static str) -> opentelemetry::metrics::Counter<u64> {
        self.0.meter.u64_counter(name).with_description(description).build()
    }
}
