//! The JSON form of policy values: text and lists, parsed on reading.

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

use super::Invalid;
use super::binding::{Binding, BindingSet};
use super::extension::ExtensionSet;
use super::object_key::Prefix;
use super::tenant::{TimeZone, parse_time_zone};

/// Reports what was expected, like serde; serde adds the field.
fn expected<E: Error>(invalid: &Invalid) -> E {
    let text = invalid.expected.strip_prefix("must be ").unwrap_or(&invalid.expected);
    E::custom(format!("expected {text}"))
}

fn parse_text<'de, T, D: Deserializer<'de>>(
    deserializer: D,
    parse: impl FnOnce(&str) -> Result<T, Invalid>,
) -> Result<T, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(|invalid| expected(&invalid))
}

impl<'de> Deserialize<'de> for ExtensionSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        Self::parse(texts.iter().map(String::as_str)).map_err(|invalid| expected(&invalid))
    }
}

impl Serialize for ExtensionSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.texts())
    }
}

impl<'de> Deserialize<'de> for BindingSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let set = Self::parse("bindings", &Binding::ALL, texts.iter().map(String::as_str));
        set.map_err(|invalid| expected(&invalid))
    }
}

impl Serialize for BindingSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.texts())
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_text(deserializer, Self::parse)
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for TimeZone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_text(deserializer, parse_time_zone)
    }
}

impl Serialize for TimeZone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}
