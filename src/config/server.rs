//! `[server]`: listeners and their limits.

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::Error;
use std::net::SocketAddr;

use super::bounded::{Bounded, Count, Seconds, SecondsOrNone};

#[derive(Debug, Clone, Deserialize)]
pub struct ServerConfig {
    pub listen: SocketAddr,
    pub ops_listen: SocketAddr,
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    #[serde(deserialize_with = "origins")]
    pub cors_origins: Vec<String>,
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

/// Origins such as `https://app.example.com`: a scheme, a host, perhaps a port, and no path.
fn origins<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let is_origin = |text: &String| {
        text == "*" || url::Url::parse(text).is_ok_and(|url| url.origin().ascii_serialization() == *text)
    };
    match texts.iter().find(|text| !is_origin(text)) {
        Some(text) => Err(D::Error::custom(format!(
            "{text:?} must be an origin such as https://app.example.com, without a path, or *"
        ))),
        None => Ok(texts),
    }
}
