//! `[oss]`: the route `GET /oss/presign`.

use std::num::NonZeroU32;

use serde::{Deserialize, Deserializer};

use crate::domain::tenant::Slug;

#[derive(Debug, Clone, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the fields are named as the settings are")]
pub struct OssConfig {
    /// The tenant of calls without any credential.
    #[serde(deserialize_with = "slug_or_empty")]
    pub anonymous_tenant: Option<Slug>,
    pub anonymous_per_second: NonZeroU32,
    pub anonymous_burst: NonZeroU32,
}

fn slug_or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Slug>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    Slug::parse(&text).map(Some).map_err(|invalid| serde::de::Error::custom(invalid.expected))
}
