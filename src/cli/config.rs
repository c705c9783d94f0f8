//! `config`: checks and shows the configuration.

use clap::Subcommand;

use crate::app::{self, StartError};
use crate::config::ConfigError;
use crate::crypto::keyring::Keyring;
use crate::telemetry::error_chain::chain;

use super::context::Context;
use super::output;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check whether `serve` would start with these settings, and list every fault.
    Check,
    /// Show each setting with its value (secrets hidden) and its source.
    Show,
}

impl ConfigCommand {
    pub fn run(self, context: &Context) -> anyhow::Result<()> {
        let config = context.config()?;
        match self {
            Self::Check => {
                let faults =
                    [app::check_database(&config).err(), Keyring::new(&config.vault.keys).err().map(StartError::from)];
                let faults: Vec<String> = faults.iter().flatten().map(|fault| chain(fault)).collect();
                anyhow::ensure!(faults.is_empty(), ConfigError(faults));
                output::show_one(context.output, "the configuration is valid", &serde_json::json!({ "valid": true }))
            }
            Self::Show if context.output == output::OutputFormat::Json => {
                output::show_one(context.output, "", &config.shown)
            }
            Self::Show => {
                let rows: Vec<_> = config.shown.into_iter().collect();
                output::show_all(context.output, ["setting", "value", "from"], &rows, |(setting, shown)| {
                    [setting.clone(), shown.value.clone(), shown.from.clone()]
                })
            }
        }
    }
}
