//! Fields of a `PATCH` that may be taken away: left out, `null`, or a value (RFC 7396).

use serde::{Deserialize, Deserializer};

/// For `#[serde(default, deserialize_with = "nullable")]`: a field that is there is `Some`, whatever it holds.
pub(super) fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
