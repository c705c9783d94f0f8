//! `[telemetry]`: log, metrics and traces, and where they are exported to.

use ipnet::IpNet;
use secrecy::SecretString;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use url::Url;

use super::bounded::{Bounded, Milliseconds, Seconds};
use super::server::networks;

#[derive(Debug, Clone, Deserialize)]
pub struct TelemetryConfig {
    pub level: Level,
    pub format: Format,
    /// Lines for requests that went well, and as many for those that a caller got wrong; 0 writes all.
    pub request_lines_per_second: Bounded<0, 1_000_000>,
    pub metrics: bool,
    pub tenant_labels: Bounded<0, 800>,
    pub otlp_enabled: bool,
    pub otlp_endpoint: OtlpEndpoint,
    pub otlp_traces_endpoint: OtlpEndpoint,
    pub otlp_metrics_endpoint: OtlpEndpoint,
    pub otlp_logs_endpoint: OtlpEndpoint,
    pub otlp_protocol: OtlpProtocol,
    pub otlp_headers: OtlpHeaders,
    pub otlp_timeout_ms: Milliseconds,
    pub otlp_metrics_seconds: Seconds,
    #[serde(deserialize_with = "exporter")]
    pub otlp_traces: bool,
    #[serde(deserialize_with = "exporter")]
    pub otlp_metrics: bool,
    #[serde(deserialize_with = "exporter")]
    pub otlp_logs: bool,
    pub sampler: Sampler,
    pub sampler_ratio: Ratio,
    #[serde(deserialize_with = "networks")]
    pub trusted_callers: Vec<IpNet>,
    pub service_name: String,
    #[serde(deserialize_with = "pairs")]
    pub resource_attributes: Vec<(String, String)>,
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

/// Where an OpenTelemetry collector listens; nowhere, where it is empty.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct OtlpEndpoint(pub Option<Url>);

impl TryFrom<String> for OtlpEndpoint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let Some(url) = url else { return Err("must be a URL such as http://localhost:4317".to_owned()) };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not have a user name or password: use telemetry.otlp_headers".to_owned());
        }
        Ok(Self(Some(url)))
    }
}

/// How to speak with the collector (<https://opentelemetry.io/docs/specs/otlp/>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum OtlpProtocol {
    #[serde(rename = "grpc")]
    Grpc,
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

/// Header fields that go with each export, such as a token.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct OtlpHeaders(pub Vec<(String, SecretString)>);

impl TryFrom<Vec<String>> for OtlpHeaders {
    type Error = String;

    fn try_from(texts: Vec<String>) -> Result<Self, String> {
        let parsed = parse_pairs(&texts, "each must be written name=value")?;
        Ok(Self(parsed.into_iter().map(|(name, value)| (name, value.into())).collect()))
    }
}

/// Which traces are kept, in the words of `OTEL_TRACES_SAMPLER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampler {
    AlwaysOn,
    AlwaysOff,
    #[serde(rename = "traceidratio")]
    TraceIdRatio,
    #[serde(rename = "parentbased_always_on")]
    ParentBasedAlwaysOn,
    #[serde(rename = "parentbased_always_off")]
    ParentBasedAlwaysOff,
    #[serde(rename = "parentbased_traceidratio")]
    ParentBasedTraceIdRatio,
}

/// A part of the whole, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Ratio(f64);

impl Ratio {
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Ratio {
    type Error = String;

    fn try_from(number: f64) -> Result<Self, String> {
        if (0.0..=1.0).contains(&number) { Ok(Self(number)) } else { Err(format!("must be 0 to 1, not {number}")) }
    }
}

/// Whether a signal is exported, in the words of `OTEL_TRACES_EXPORTER`.
fn exporter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "otlp" => Ok(true),
        "none" => Ok(false),
        other => Err(D::Error::custom(format!("must be otlp or none, not {other:?}"))),
    }
}

fn pairs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    parse_pairs(&texts, "each must be written name=value, such as deployment.environment.name=production")
        .map_err(D::Error::custom)
}

/// `name=value`, the value percent-encoded where it needs to be, as in W3C Baggage. A text that is wrong is not repeated: it may
/// be a secret.
fn parse_pairs(texts: &[String], expected: &str) -> Result<Vec<(String, String)>, String> {
    let parse = |text: &String| {
        let (name, value) = text.split_once('=')?;
        let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8().ok()?;
        let name = name.trim();
        (!name.is_empty()).then(|| (name.to_owned(), value.into_owned()))
    };
    texts.iter().map(|text| parse(text).ok_or_else(|| expected.to_owned())).collect()
}
