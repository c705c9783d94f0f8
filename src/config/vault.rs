//! `[vault]`: the sealing keys, and the cache of opened credentials.

use serde::Deserialize;

use crate::domain::sealing_key::SealingKey;

use super::bounded::{Count, SecondsOrNone};

#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Raw")]
pub struct VaultConfig {
    /// The first seals, all open. May be empty: commands that touch no secret need none.
    pub keys: Vec<SealingKey>,
    pub cache_entries: Count,
    pub cache_seconds: SecondsOrNone,
}

#[derive(Deserialize)]
struct Raw {
    keys: Vec<String>,
    keys_file: String,
    cache_entries: Count,
    cache_seconds: SecondsOrNone,
}

impl TryFrom<Raw> for VaultConfig {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let text = super::secret_or_file("vault.keys", raw.keys.join("\n"), &raw.keys_file)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys = lines.map(SealingKey::parse).collect::<Result<_, _>>().map_err(|invalid| invalid.to_string())?;
        Ok(Self { keys, cache_entries: raw.cache_entries, cache_seconds: raw.cache_seconds })
    }
}
