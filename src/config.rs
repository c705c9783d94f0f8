//! The configuration: read and checked once, at start. All problems are reported together.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use self::auth::AuthConfig;
use self::database::DatabaseConfig;
use self::limits::LimitsConfig;
use self::oss::OssConfig;
use self::outbound::OutboundConfig;
use self::server::ServerConfig;
use self::telemetry::TelemetryConfig;
use self::uploads::UploadsConfig;
use self::vault::VaultConfig;

pub(crate) mod auth;
pub(crate) mod bounded;
pub(crate) mod database;
mod layers;
pub(crate) mod limits;
pub(crate) mod oss;
pub(crate) mod outbound;
pub(crate) mod server;
pub mod telemetry;
pub(crate) mod uploads;
pub(crate) mod vault;

/// Every setting, with its default and what it is for.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// Settings whose values are never shown.
const SECRET_SETTINGS: [&str; 3] = ["database.url", "telemetry.otlp_headers", "vault.keys"];

/// Every setting, checked.
#[derive(Debug)]
pub struct Config {
    pub server: ServerConfig,
    pub database: DatabaseConfig,
    pub auth: AuthConfig,
    pub limits: LimitsConfig,
    pub oss: OssConfig,
    pub outbound: OutboundConfig,
    pub vault: VaultConfig,
    pub uploads: UploadsConfig,
    pub telemetry: TelemetryConfig,
    /// Variables of OpenTelemetry's that say something, and that nobody heeds.
    pub ignored_variables: Vec<String>,
    /// Each setting's value, secrets masked, and where it came from.
    pub shown: BTreeMap<String, Shown>,
}

/// A setting as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Shown {
    pub value: String,
    pub from: String,
}

/// Everything that is wrong with the configuration, one line each.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration has {} fault(s):\n  - {}", .0.len(), .0.join("\n  - "))]
pub struct ConfigError(pub Vec<String>);

impl Config {
    /// Reads the defaults, then `file`, then `environment`.
    ///
    /// # Errors
    /// All that is wrong: unknown settings, wrong types, values out of range, files that cannot be read.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let environment: Vec<(String, String)> = environment.into_iter().collect();
        let ignored_variables = environment.iter().filter(|(name, text)| layers::is_ignored(name, text));
        let ignored_variables = ignored_variables.map(|(name, _)| name.clone()).collect();
        let (layers, mut faults) = layers::read(file, environment);
        let config = Self::read(&layers, ignored_variables, &mut faults);
        match config {
            Some(config) if faults.is_empty() => Ok(config),
            _ => Err(ConfigError(faults)),
        }
    }

    fn read(layers: &layers::Layers, ignored_variables: Vec<String>, faults: &mut Vec<String>) -> Option<Self> {
        let server: Option<ServerConfig> = section(layers, "server", faults);
        let database: Option<DatabaseConfig> = section(layers, "database", faults);
        let auth: Option<AuthConfig> = section(layers, "auth", faults);
        let limits: Option<LimitsConfig> = section(layers, "limits", faults);
        let oss: Option<OssConfig> = section(layers, "oss", faults);
        let outbound: Option<OutboundConfig> = section(layers, "outbound", faults);
        let vault: Option<VaultConfig> = section(layers, "vault", faults);
        let uploads: Option<UploadsConfig> = section(layers, "uploads", faults);
        faults.extend(uploads.as_ref().and_then(UploadsConfig::fault));
        let telemetry: Option<TelemetryConfig> = section(layers, "telemetry", faults);
        Some(Self {
            server: server?,
            database: database?,
            auth: auth?,
            limits: limits?,
            oss: oss?,
            outbound: outbound?,
            vault: vault?,
            uploads: uploads?,
            telemetry: telemetry?,
            ignored_variables,
            shown: shown(layers),
        })
    }
}

/// The process's environment. What is no UTF-8 is passed over: none of our settings can be that, and others are not ours.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Reads one section; where that fails, each of its settings is tried alone to say which are at fault.
fn section<T: DeserializeOwned>(layers: &layers::Layers, name: &str, faults: &mut Vec<String>) -> Option<T> {
    let table = |root: &Table| root.get(name).and_then(Value::as_table).cloned().unwrap_or_default();
    let (defaults, merged) = (table(&layers.defaults), table(&layers.merged));
    let whole = match merged.clone().try_into::<T>() {
        Ok(section) => return Some(section),
        Err(error) => error,
    };
    let faults_before = faults.len();
    for (setting, value) in merged {
        let mut alone = defaults.clone();
        alone.insert(setting.clone(), value);
        if let Err(error) = alone.try_into::<T>() {
            let path = format!("{name}.{setting}");
            faults.push(format!("{path} ({}): {}", layers.from(&path), error.message()));
        }
    }
    // Each is fine alone: they do not fit together.
    if faults.len() == faults_before {
        faults.push(format!("[{name}]: {}", whole.message()));
    }
    None
}

fn shown(layers: &layers::Layers) -> BTreeMap<String, Shown> {
    let sections = layers.merged.iter().filter_map(|(name, section)| Some((name, section.as_table()?)));
    let settings = sections
        .flat_map(|(name, section)| section.iter().map(move |(setting, value)| (format!("{name}.{setting}"), value)));
    let show = |(path, value): (String, &Value)| {
        let is_empty = value.as_str().is_some_and(str::is_empty) || value.as_array().is_some_and(Vec::is_empty);
        let is_secret = SECRET_SETTINGS.contains(&path.as_str()) && !is_empty;
        let value = if is_secret { "(hidden)".to_owned() } else { value.to_string() };
        (path.clone(), Shown { value, from: layers.from(&path).to_owned() })
    };
    settings.map(show).collect()
}

/// Reads a secret that stands in a setting or in the file that the setting `…_file` names.
fn secret_or_file(setting: &str, value: String, file: &str) -> Result<String, String> {
    match (value.is_empty(), file.is_empty()) {
        (false, false) => Err(format!("set {setting} or {setting}_file, not both")),
        (_, true) => Ok(value),
        (true, false) => std::fs::read_to_string(file)
            .map(|text| text.trim().to_owned())
            .map_err(|error| format!("{file} cannot be read: {error}")),
    }
}
