//! The way to an OpenTelemetry collector, by OTLP (<https://opentelemetry.io/docs/specs/otlp/>).
//!
//! Each signal has a bounded queue and a thread of its own. What does not fit in is dropped and counted; a collector that is
//! slow, away or frozen holds up nobody. The queues' sizes have the customary names (`OTEL_BSP_…`, `OTEL_BLRP_…`).

use std::collections::HashMap;

use crate::config::telemetry::{Level, OtlpEndpoint, OtlpProtocol, TelemetryConfig};
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

use super::decided::Decided;
use super::requests::WithRequest;
use super::resource::resource;
use super::{is_no_span, level_filter};

/// Why nothing can be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("telemetry.otlp_endpoint cannot be used: {0}")]
    Exporter(#[from] ExporterBuildError),
    #[error("telemetry.otlp_headers: the name or the value of one is no header field's")]
    Header,
}

/// The three builders have these methods each, and no trait in common.
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
                .with_headers(way.headers())
                .build()?,
        };
        Ok::<_, ExportError>(exporter)
    }};
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

/// How one signal reaches its collector.
struct Way<'a> {
    config: &'a TelemetryConfig,
    url: String,
    is_secure: bool,
}

impl<'a> Way<'a> {
    /// None, where the signal is not wanted or has no endpoint: its own, or the one of all.
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

    fn headers(&self) -> HashMap<String, String> {
        let headers = self.config.otlp_headers.0.iter();
        headers.map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect()
    }

    fn metadata(&self) -> Result<MetadataMap, ExportError> {
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
    let sampler = Decided::new(config.sampler, config.sampler_ratio);
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
    OpenTelemetryTracingBridge::new(logs).with_filter(ours.and(filter_fn(is_no_span)))
}
