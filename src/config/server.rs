//! `[server]`: listeners and their limits.

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::Error;
use std::net::SocketAddr;

use crate::domain::language::Language;
use crate::domain::origin::WebOrigin;

use super::bounded::{Bounded, Count, Seconds, SecondsOrNone};

#[derive(Debug, Clone, Deserialize)]
pub struct ServerConfig {
    pub listen: SocketAddr,
    pub ops_listen: SocketAddr,
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    #[serde(deserialize_with = "origins")]
    pub cors_origins: Vec<String>,
    pub default_language: Language,
    pub max_connections: Count,
    pub header_timeout_seconds: Seconds,
    pub max_header_bytes: Bounded<8192, 1_048_576>,
    pub request_timeout_seconds: Seconds,
    pub max_query_bytes: Bounded<64, 65_536>,
    pub max_body_bytes: Bounded<0, 1_048_576>,
    pub shutdown_delay_seconds: SecondsOrNone,
    pub shutdown_timeout_seconds: SecondsOrNone,
}

/// Networks such as `10.0.0.0/8`, or single addresses.
pub(super) fn networks<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let parse = |text: &String| {
        text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from)).map_err(|_| text.clone())
    };
    texts
        .iter()
        .map(parse)
        .collect::<Result<_, _>>()
        .map_err(|text| D::Error::custom(format!("{text:?} must be an address or a network such as 10.0.0.0/8")))
}

/// Origins of web pages, or `*` for every origin.
fn origins<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    for text in texts.iter().filter(|text| *text != "*") {
        WebOrigin::parse(text).map_err(|error| D::Error::custom(error.expected))?;
    }
    Ok(texts)
}
