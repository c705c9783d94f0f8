//! Fields of a `PATCH` (RFC 7396): left out, a value, or `null`, which takes a value away where there may be none.

use serde::{Deserialize, Deserializer};

/// For `#[serde(default, deserialize_with = "nullable")]`: a field that is there is `Some`, whatever it holds.
pub(in crate::http) fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// For `#[serde(default, deserialize_with = "not_null")]`: a field that may be left out, but has always a value.
pub(in crate::http) fn not_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
