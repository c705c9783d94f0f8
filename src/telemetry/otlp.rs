//! Exports to an OpenTelemetry collector over OTLP (<https://opentelemetry.io/docs/specs/otlp/>).
//!
//! Each signal has a bounded queue and its own thread. If the queue is full, the record is dropped
//! and counted. A slow, unreachable or frozen collector delays nobody. The queue sizes have their
//! standard names (`OTEL_BSP_…`, `OTEL_BLRP_…`).

use std::collections::HashMap;

use http::HeaderMap;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
    WithTonicConfig,
};
use opentelemetry_sdk::logs::{BatchLogProcessor, SdkLoggerProvider};
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::ExposeSecret;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
use tracing_subscriber::registry::LookupSpan;

use crate::config::telemetry::{Level, OtlpEndpoint, OtlpProtocol, TelemetryConfig};

use super::export_failures::CountFailures;
use super::log_processor::WithRequest;
use super::metrics::Metrics;
use super::resource::resource;
use super::sampler::ParentSampler;
use super::{is_no_span, level_filter};

/// Why the exporters cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("telemetry.otlp_endpoint cannot be used: {0}")]
    Exporter(#[from] ExporterBuildError),
    #[error("telemetry.otlp_headers: invalid header name or value")]
    Header,
}

/// The three builders have these methods, but no common trait.
macro_rules! exporter {
    ($way:expr, $exporter:ident) => {{
        let way: Way<'_> = $way;
        let exporter = match way.config.otlp_protocol {
            OtlpProtocol::Grpc => {
                let builder = $exporter::builder().with_tonic().with_endpoint(&way.url);
                let builder = builder.with_timeout(way.timeout()).with_metadata(way.metadata()?);
                if way.is_secure { builder.with_tls_config(tls()) } else { builder }.build()?
            }
            OtlpProtocol::HttpProtobuf => $exporter::builder()
                .with_http()
                .with_protocol(Protocol::HttpBinary)
                .with_endpoint(&way.url)
                .with_timeout(way.timeout())
                .with_headers(way.encoded_headers())
                .build()?,
        };
        Ok::<_, ExportError>(exporter)
    }};
}

/// One exporter for each enabled signal.
#[derive(Default)]
pub(super) struct Exports {
    pub traces: Option<SpanExporter>,
    pub metrics: Option<MetricExporter>,
    pub logs: Option<LogExporter>,
}

impl Exports {
    pub fn new(config: &TelemetryConfig) -> Result<Self, ExportError> {
        let way = |is_wanted, own, path| Way::of(config, is_wanted && config.otlp_enabled, own, path);
        let traces = way(config.otlp_traces, &config.otlp_traces_endpoint, "v1/traces");
        let metrics = way(config.otlp_metrics && config.metrics, &config.otlp_metrics_endpoint, "v1/metrics");
        let logs = way(config.otlp_logs, &config.otlp_logs_endpoint, "v1/logs");
        Ok(Self {
            traces: traces.map(|way| exporter!(way, SpanExporter)).transpose()?,
            metrics: metrics.map(|way| exporter!(way, MetricExporter)).transpose()?,
            logs: logs.map(|way| exporter!(way, LogExporter)).transpose()?,
        })
    }
}

/// How a signal reaches its collector.
struct Way<'a> {
    config: &'a TelemetryConfig,
    url: String,
    is_secure: bool,
}

impl<'a> Way<'a> {
    /// `None` if the signal is disabled or has no endpoint of its own or in common.
    fn of(config: &'a TelemetryConfig, is_wanted: bool, own: &OtlpEndpoint, path: &str) -> Option<Self> {
        let endpoint = own.0.as_ref().or(config.otlp_endpoint.0.as_ref()).filter(|_| is_wanted)?;
        let is_whole = own.0.is_some() || config.otlp_protocol == OtlpProtocol::Grpc;
        let base = endpoint.as_str();
        let url = if is_whole { base.to_owned() } else { format!("{}/{path}", base.trim_end_matches('/')) };
        Some(Self { config, url, is_secure: endpoint.scheme() == "https" })
    }

    fn timeout(&self) -> std::time::Duration {
        self.config.otlp_timeout_ms.as_milliseconds()
    }

    fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.config.otlp_headers.0.iter().map(|(name, value)| (name.as_str(), value.expose_secret()))
    }

    /// The same for the HTTP exporter, which expects encoded values.
    fn encoded_headers(&self) -> HashMap<String, String> {
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        self.headers().map(|(name, value)| (name.to_owned(), encoded(value))).collect()
    }

    fn metadata(&self) -> Result<MetadataMap, ExportError> {
        let parse = |(name, value): (&str, &str)| Some((name.parse().ok()?, value.parse().ok()?));
        let headers: Option<HeaderMap> = self.headers().map(parse).collect();
        headers.map(MetadataMap::from_headers).ok_or(ExportError::Header)
    }
}

fn tls() -> ClientTlsConfig {
    ClientTlsConfig::new().with_native_roots()
}

/// Maximum requests that a recorder batch can link to: the largest useful batch.
const MAX_LINKS: u32 = 10_000;

pub(super) fn traces(config: &TelemetryConfig, exporter: SpanExporter, metrics: &Metrics) -> SdkTracerProvider {
    let exporter = CountFailures { exporter, lost: metrics.lost("traces") };
    let processor = BatchSpanProcessor::builder(exporter).build();
    let sampler = ParentSampler::new(config.sampler, config.sampler_ratio);
    SdkTracerProvider::builder()
        .with_resource(resource(config))
        .with_sampler(sampler)
        .with_max_links_per_span(MAX_LINKS)
        .with_span_processor(processor)
        .build()
}

pub(super) fn logs(config: &TelemetryConfig, exporter: LogExporter, metrics: &Metrics) -> SdkLoggerProvider {
    let exporter = CountFailures { exporter, lost: metrics.lost("logs") };
    let processor = WithRequest(BatchLogProcessor::builder(exporter).build());
    SdkLoggerProvider::builder().with_resource(resource(config)).with_log_processor(processor).build()
}

/// Our own events only: errors of the exporter must not be exported.
pub(super) fn log_layer<S>(logs: &SdkLoggerProvider, level: Level) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let ours = Targets::new().with_target("presign_gateway", level_filter(level));
    // A span that it asked for would be made, though no trace has it.
    OpenTelemetryTracingBridge::new(logs).with_filter(ours.and(filter_fn(is_no_span)))
}
