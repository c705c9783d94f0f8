//! What every subcommand needs: the configuration, and the use cases on its database.

use std::path::PathBuf;

use crate::app;
use crate::config::{self, Config};
use crate::domain::clock::Clock;
use crate::domain::randomness::Randomness;
use crate::outbound::Outbound;
use crate::tenants::{Actor, Tenants};
use crate::vault::keyring::Keyring;

use super::output::OutputFormat;

/// The options that every subcommand has.
pub(super) struct Context {
    pub config_file: Option<PathBuf>,
    pub output: OutputFormat,
}

impl Context {
    /// Reads the configuration.
    pub fn config(&self) -> anyhow::Result<Config> {
        Ok(Config::load(self.config_file.as_deref(), config::environment())?)
    }

    /// The operator's use cases, in the name of whoever runs this.
    pub fn tenants(&self) -> anyhow::Result<Tenants> {
        Ok(tenants_of(&self.config()?)?)
    }

    /// The same, with the keyring, for what seals a secret.
    pub fn tenants_and_keyring(&self) -> anyhow::Result<(Tenants, Keyring, Config)> {
        let config = self.config()?;
        let keyring = Keyring::new(&config.vault.keys)?;
        Ok((tenants_of(&config)?, keyring, config))
    }
}

fn tenants_of(config: &Config) -> Result<Tenants, app::StartError> {
    let store = app::open_store(config)?;
    let outbound = Outbound::new(config.outbound.allowed_hosts.clone());
    Ok(Tenants { store, clock: Clock::System, randomness: Randomness::System, outbound, actor: actor() })
}

/// Who runs the command and where, as the audit has it.
fn actor() -> Actor {
    let user = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).or_else(|_| std::env::var("LOGNAME"));
    let name = format!("cli:{}", user.as_deref().unwrap_or("unknown"));
    Actor { name, origin: gethostname::gethostname().into_string().ok() }
}
