//! How a store reaches Postgres.

use std::time::Duration;

use secrecy::SecretString;

use crate::config::database::DatabaseConfig;

/// How to reach Postgres, and how long to try.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// A `postgres://` URL, of one host or of several ([`crate::domain::database_url`]); it holds a password and must not be printed.
    pub url: SecretString,
    pub max_connections: u32,
    pub acquire_timeout: Duration,
    /// How long a read on the way of a request may take.
    pub read_timeout: Duration,
}

impl From<&DatabaseConfig> for StoreOptions {
    fn from(config: &DatabaseConfig) -> Self {
        Self {
            url: config.url.clone(),
            max_connections: config.max_connections.as_u32(),
            acquire_timeout: config.acquire_timeout_ms.as_milliseconds(),
            read_timeout: config.read_timeout_ms.as_milliseconds(),
        }
    }
}
