//! `[telemetry]`: the log.

use serde::Deserialize;

#[derive(Debug, Clone, Copy, Deserialize)]
pub struct TelemetryConfig {
    pub level: Level,
    pub format: Format,
}

/// The least important messages that are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Pretty on a terminal, else JSON.
    Auto,
    Json,
    Pretty,
}
