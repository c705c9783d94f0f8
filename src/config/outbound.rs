//! `[outbound]`: which hosts the gateway may connect to.

use serde::{Deserialize, Deserializer};

use crate::domain::egress::AllowedHosts;

#[derive(Debug, Clone, Deserialize)]
pub struct OutboundConfig {
    #[serde(deserialize_with = "hosts")]
    pub allowed_hosts: AllowedHosts,
}

fn hosts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AllowedHosts, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let parsed = AllowedHosts::parse(texts.iter().map(String::as_str));
    parsed.map_err(|invalid| serde::de::Error::custom(invalid.expected))
}
