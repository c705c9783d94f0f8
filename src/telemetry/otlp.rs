//! The way to an OpenTelemetry collector, by OTLP (<https://opentelemetry.io/docs/specs/otlp/>).
//!
//! Each signal has a bounded queue and a thread of its own. What does not fit in is dropped and counted; a collector that is
//! slow, away or frozen holds up nobody. The queues' sizes have the customary names (`OTEL_BSP_…`, `OTEL_BLRP_…`).

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
use secrecy::ExposeSecret;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
use tracing_subscriber::registry::LookupSpan;
use url::Url;

use crate::config::telemetry::{Level, OtlpProtocol, TelemetryConfig};

use super::level_filter;
use super::requests::WithRequest;
use super::resource::resource;

/// Why nothing can be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("telemetry.otlp_endpoint cannot be used: {0}")]
    Exporter(#[from] ExporterBuildError),
    #[error("telemetry.otlp_headers: the name or the value of one is no header field's")]
    Header,
}

/// An exporter for each signal that is to be sent.
#[derive(Default)]
pub(super) struct Exports {
    pub traces: Option<SpanExporter>,
    pub metrics: Option<MetricExporter>,
    pub logs: Option<LogExporter>,
}

impl Exports {
    pub fn new(config: &TelemetryConfig) -> Result<Self, ExportError> {
        let Some(endpoint) = config.otlp_endpoint.0.as_ref().filter(|_| config.otlp_enabled) else {
            return Ok(Self::default());
        };
        let way = Way { config, endpoint };
        Ok(Self {
            traces: config.otlp_traces.then(|| way.traces()).transpose()?,
            metrics: (config.otlp_metrics && config.metrics).then(|| way.metrics()).transpose()?,
            logs: config.otlp_logs.then(|| way.logs()).transpose()?,
        })
    }
}

/// How to reach the collector.
#[derive(Clone, Copy)]
struct Way<'a> {
    config: &'a TelemetryConfig,
    endpoint: &'a Url,
}

/// The three builders have these methods each, and no trait in common.
macro_rules! exporter {
    ($way:expr, $exporter:ident, $path:literal) => {{
        let way: Way<'_> = $way;
        let exporter = match way.config.otlp_protocol {
            OtlpProtocol::Grpc => {
                let builder = $exporter::builder().with_tonic().with_endpoint(way.endpoint.as_str());
                let builder = builder.with_timeout(way.timeout()).with_metadata(way.metadata()?);
                if way.endpoint.scheme() == "https" { builder.with_tls_config(tls()) } else { builder }.build()?
            }
            OtlpProtocol::HttpProtobuf => $exporter::builder()
                .with_http()
                .with_protocol(Protocol::HttpBinary)
                .with_endpoint(way.url($path))
                .with_timeout(way.timeout())
                .with_headers(way.headers())
                .build()?,
        };
        Ok(exporter)
    }};
}

impl Way<'_> {
    fn traces(self) -> Result<SpanExporter, ExportError> {
        exporter!(self, SpanExporter, "v1/traces")
    }

    fn metrics(self) -> Result<MetricExporter, ExportError> {
        exporter!(self, MetricExporter, "v1/metrics")
    }

    fn logs(self) -> Result<LogExporter, ExportError> {
        exporter!(self, LogExporter, "v1/logs")
    }

    fn timeout(self) -> std::time::Duration {
        self.config.otlp_timeout_ms.as_milliseconds()
    }

    fn url(self, path: &str) -> String {
        format!("{}/{path}", self.endpoint.as_str().trim_end_matches('/'))
    }

    fn headers(self) -> HashMap<String, String> {
        let headers = self.config.otlp_headers.0.iter();
        headers.map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect()
    }

    fn metadata(self) -> Result<MetadataMap, ExportError> {
        let parse = |(name, value): (String, String)| Some((name.parse().ok()?, value.parse().ok()?));
        let headers: Option<HeaderMap> = self.headers().into_iter().map(parse).collect();
        headers.map(MetadataMap::from_headers).ok_or(ExportError::Header)
    }
}

fn tls() -> ClientTlsConfig {
    ClientTlsConfig::new().with_native_roots()
}

pub(super) fn traces(config: &TelemetryConfig, exporter: SpanExporter) -> SdkTracerProvider {
    let processor = BatchSpanProcessor::builder(exporter).build();
    // Which requests are traced is decided before there is a span.
    let sampler = opentelemetry_sdk::trace::Sampler::AlwaysOn;
    SdkTracerProvider::builder()
        .with_resource(resource(config))
        .with_sampler(sampler)
        .with_span_processor(processor)
        .build()
}

pub(super) fn logs(config: &TelemetryConfig, exporter: LogExporter) -> SdkLoggerProvider {
    let processor = WithRequest(BatchLogProcessor::builder(exporter).build());
    SdkLoggerProvider::builder().with_resource(resource(config)).with_log_processor(processor).build()
}

/// Our own events only: what the exporter says of its own failures must not be exported.
pub(super) fn log_layer<S>(logs: &SdkLoggerProvider, level: Level) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let ours = Targets::new().with_target("presign_gateway", level_filter(level));
    // It has no use for spans; and one that anybody wants is there, which is how others tell whether a request is traced.
    OpenTelemetryTracingBridge::new(logs).with_filter(ours.and(filter_fn(|metadata| metadata.is_event())))
}
