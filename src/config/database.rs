//! `[database]`: how to connect to Postgres.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::bounded::{Bounded, Milliseconds};
use crate::domain::database_url;

#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Raw")]
pub struct DatabaseConfig {
    /// Empty where no database is named.
    pub url: SecretString,
    pub max_connections: Bounded<1, 1_000>,
    pub acquire_timeout_ms: Milliseconds,
    pub read_timeout_ms: Milliseconds,
}

#[derive(Deserialize)]
struct Raw {
    url: String,
    url_file: String,
    max_connections: Bounded<1, 1_000>,
    acquire_timeout_ms: Milliseconds,
    read_timeout_ms: Milliseconds,
}

impl TryFrom<Raw> for DatabaseConfig {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let url = super::secret_or_file("database.url", raw.url, &raw.url_file)?;
        if !url.is_empty() {
            // Said without the value: it holds a password.
            database_url::hosts(&url).map_err(|invalid| invalid.expected)?;
        }
        Ok(Self {
            url: url.into(),
            max_connections: raw.max_connections,
            acquire_timeout_ms: raw.acquire_timeout_ms,
            read_timeout_ms: raw.read_timeout_ms,
        })
    }
}

impl DatabaseConfig {
    /// Whether a database is named at all.
    #[must_use]
    pub fn is_set(&self) -> bool {
        !self.url.expose_secret().is_empty()
    }
}
