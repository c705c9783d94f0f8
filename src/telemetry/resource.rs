//! The OpenTelemetry resource: identifies this process.

use std::sync::OnceLock;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use uuid::Uuid;

use crate::config::telemetry::TelemetryConfig;
use crate::domain::randomness::Randomness;

/// This process, by <https://opentelemetry.io/docs/specs/semconv/resource/service/>. What the configuration says wins.
pub(super) fn resource(config: &TelemetryConfig) -> Resource {
    /// One for all three signals.
    static INSTANCE: OnceLock<Uuid> = OnceLock::new();
    let instance = INSTANCE.get_or_init(|| uuid::Builder::from_random_bytes(Randomness::System.bytes()).into_uuid());
    let own = [
        KeyValue::new("service.name", config.service_name.clone()),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance.to_string()),
    ];
    let configured = config.resource_attributes.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    // OTEL_SERVICE_NAME wins over service.name among the attributes, as the specification has it.
    let is_named = config.service_name != DEFAULT_NAME;
    let configured = configured.filter(|pair| !(is_named && pair.key.as_str() == "service.name"));
    Resource::builder_empty().with_attributes(own).with_attributes(configured).build()
}

const DEFAULT_NAME: &str = "presign-gateway";
