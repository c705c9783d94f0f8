//! `config`.

use clap::Subcommand;

use crate::vault::keyring::Keyring;

use super::context::Context;
use super::output;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Say whether `serve` would start with these settings; if not, everything that is wrong.
    Check,
    /// Show each setting, its value (secrets hidden) and where it came from.
    Show,
}

impl ConfigCommand {
    pub fn run(self, context: &Context) -> anyhow::Result<()> {
        let config = context.config()?;
        match self {
            Self::Check => {
                Keyring::new(&config.vault.keys)?;
                anyhow::ensure!(config.database.is_set(), crate::app::StartError::NoDatabase);
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
