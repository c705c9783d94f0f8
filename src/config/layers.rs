//! Merges the sources of the configuration. The defaults name every setting and its type, so names
//! and types in a file or in the environment are checked against them.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

/// What the environment's settings begin with.
const PREFIX: &str = "PRESIGN__";

/// The sources, merged.
pub(super) struct Layers {
    pub defaults: Table,
    pub merged: Table,
    from: BTreeMap<String, String>,
}

impl Layers {
    /// Where a setting's value came from.
    pub fn from(&self, path: &str) -> &str {
        self.from.get(path).map_or("default", String::as_str)
    }

    /// Sets one value, if there is such a setting and it is of that type.
    fn set(&mut self, path: &str, from: &str, value: impl FnOnce(&Value) -> Option<Value>) -> Result<(), String> {
        let (section_name, setting) = path.split_once('.').unwrap_or((path, ""));
        let unknown = |expected: String| format!("{path} ({from}): unknown setting; {expected}");
        let Some(section) = self.merged.get_mut(section_name).and_then(Value::as_table_mut) else {
            return Err(unknown(format!("the sections are {}", names(&self.defaults))));
        };
        let Some(current) = section.get_mut(setting) else {
            return Err(unknown(format!("[{section_name}] has {}", names(section))));
        };
        *current = value(current).ok_or_else(|| format!("{path} ({from}): must be {}", type_name(current)))?;
        self.from.insert(path.to_owned(), from.to_owned());
        Ok(())
    }
}

fn names(table: &Table) -> String {
    table.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Reads every source and says what is wrong with them.
pub(super) fn read(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> (Layers, Vec<String>) {
    let mut faults = Vec::new();
    let defaults: Table = super::DEFAULTS.parse().unwrap_or_else(|error| {
        faults.push(format!("the compiled-in defaults do not parse: {error}"));
        Table::new()
    });
    let mut layers = Layers { merged: defaults.clone(), defaults, from: BTreeMap::new() };
    if let Some(file) = file {
        lay_file(&mut layers, file, &mut faults);
    }
    lay_environment(&mut layers, environment, &mut faults);
    (layers, faults)
}

fn lay_file(layers: &mut Layers, file: &Path, faults: &mut Vec<String>) {
    let from = file.display().to_string();
    let parsed = std::fs::read_to_string(file)
        .map_err(|error| error.to_string())
        .and_then(|text| text.parse::<Table>().map_err(|error| in_words(&text, &error)));
    let table = match parsed {
        Ok(table) => table,
        Err(error) => return faults.push(format!("{from}: {error}")),
    };
    for (name, section) in table {
        let Value::Table(section) = section else {
            faults.push(format!("{name} ({from}): settings belong to sections, such as [server]"));
            continue;
        };
        for (setting, value) in section {
            let result = layers.set(&format!("{name}.{setting}"), &from, |current| match (current, value) {
                // A whole number is a number, too.
                (Value::Float(_), Value::Integer(whole)) => parse_as(current, &whole.to_string()),
                (_, value) => Some(value).filter(|value| value.same_type(current)),
            });
            faults.extend(result.err());
        }
    }
}

/// What is wrong and in which line; not the line itself, which may hold a secret.
fn in_words(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    format!("line {}: {}", before.matches('\n').count() + 1, error.message())
}

fn lay_environment(
    layers: &mut Layers,
    environment: impl IntoIterator<Item = (String, String)>,
    faults: &mut Vec<String>,
) {
    let mut ours: Vec<_> = environment
        .into_iter()
        .filter_map(|(name, value)| {
            let path = match name.strip_prefix(PREFIX) {
                Some(rest) => rest.to_ascii_lowercase().replacen("__", ".", 1),
                None if name == "DATABASE_URL" => "database.url".to_owned(),
                None => return open_telemetry(name, &value),
            };
            Some((name, path, value))
        })
        .collect();
    // DATABASE_URL and OTEL_… sort before PRESIGN__…, which therefore wins. Of one name given twice the later wins.
    ours.sort_by(|(left, ..), (right, ..)| left.cmp(right));
    for (name, path, text) in ours {
        faults.extend(layers.set(&path, &name, |current| parse_as(current, &text)).err());
    }
}

/// What OpenTelemetry calls our settings
/// (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>).
const OPEN_TELEMETRY: [(&str, &str); 13] = [
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp_endpoint"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "otlp_headers"),
    ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "otlp_logs_endpoint"),
    ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "otlp_metrics_endpoint"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "otlp_protocol"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "otlp_timeout_ms"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "otlp_traces_endpoint"),
    ("OTEL_LOGS_EXPORTER", "otlp_logs"),
    ("OTEL_METRICS_EXPORTER", "otlp_metrics"),
    ("OTEL_RESOURCE_ATTRIBUTES", "resource_attributes"),
    ("OTEL_SERVICE_NAME", "service_name"),
    ("OTEL_TRACES_EXPORTER", "otlp_traces"),
    ("OTEL_TRACES_SAMPLER", "sampler"),
];

/// The setting that one of OpenTelemetry's variables stands for, and its value in our terms. An empty one is as good as none.
fn open_telemetry(name: String, text: &str) -> Option<(String, String, String)> {
    let text = Some(text.trim()).filter(|text| !text.is_empty())?;
    let (setting, value) = match name.as_str() {
        "OTEL_SDK_DISABLED" => ("otlp_enabled", (!text.eq_ignore_ascii_case("true")).to_string()),
        "OTEL_TRACES_SAMPLER_ARG" => ("sampler_ratio", text.to_owned()),
        "OTEL_METRIC_EXPORT_INTERVAL" => ("otlp_metrics_seconds", in_seconds(text)),
        _ => (OPEN_TELEMETRY.iter().find(|(known, _)| *known == name)?.1, text.to_owned()),
    };
    Some((name, format!("telemetry.{setting}"), value))
}

/// Variables of OpenTelemetry's that its own parts read.
const READ_BY_OTHERS: [&str; 3] = ["OTEL_BSP_", "OTEL_BLRP_", "OTEL_SPAN_"];
/// The same, for all signals or for one, behind `OTEL_EXPORTER_OTLP_`.
const READ_BY_EXPORTERS: [&str; 3] = ["HEADERS", "COMPRESSION", "METRICS_TEMPORALITY_PREFERENCE"];

/// Whether a variable says something of OpenTelemetry that nobody here heeds.
pub(super) fn is_ignored(name: &str, text: &str) -> bool {
    let of_exporters = |name: &str| READ_BY_EXPORTERS.iter().any(|known| name.ends_with(known));
    let is_read = READ_BY_OTHERS.iter().any(|known| name.starts_with(known))
        || name.strip_prefix("OTEL_EXPORTER_OTLP_").is_some_and(of_exporters);
    name.starts_with("OTEL_") && !text.trim().is_empty() && !is_read && open_telemetry(name.to_owned(), text).is_none()
}

/// Milliseconds as whole seconds, at least one; what is no number stays as it is, to be told of.
fn in_seconds(milliseconds: &str) -> String {
    milliseconds.parse::<u64>().map_or_else(|_| milliseconds.to_owned(), |number| number.div_ceil(1000).to_string())
}

/// Reads text as a value of the same type.
fn parse_as(current: &Value, text: &str) -> Option<Value> {
    match current {
        Value::String(_) => Some(Value::String(text.to_owned())),
        Value::Integer(_) => text.trim().parse().ok().map(Value::Integer),
        Value::Boolean(_) => text.trim().parse().ok().map(Value::Boolean),
        Value::Array(_) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
        Value::Float(_) => text.trim().parse().ok().map(Value::Float),
        Value::Datetime(_) | Value::Table(_) => None,
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "a whole number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list of strings",
        Value::Float(_) => "a number such as 0.01",
        Value::String(_) | Value::Datetime(_) | Value::Table(_) => "a string",
    }
}
