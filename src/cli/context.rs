//! What every subcommand needs: the configuration, and the use cases on its database.

use std::path::PathBuf;

use crate::admin::{Actor, Admin};
use crate::app::{Services, StartError};
use crate::config::{self, Config};
use crate::crypto::keyring::Keyring;
use crate::uploads::list::UploadReader;

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
    pub fn tenants(&self) -> anyhow::Result<Admin> {
        Ok(tenants_of(&self.config()?)?)
    }

    /// What can be read of uploads.
    pub fn ledger(&self) -> anyhow::Result<UploadReader> {
        Ok(Services::for_command(&self.config()?)?.upload_reader())
    }

    /// The operator's use cases with the keyring, for what seals a secret.
    pub fn tenants_and_keyring(&self) -> anyhow::Result<(Admin, Keyring, Config)> {
        let config = self.config()?;
        let keyring = Keyring::new(&config.vault.keys)?;
        Ok((tenants_of(&config)?, keyring, config))
    }
}

fn tenants_of(config: &Config) -> Result<Admin, StartError> {
    Ok(Services::for_command(config)?.admin(actor()))
}

/// Who runs the command and where, as the audit has it: the operating system's word, not the environment's.
fn actor() -> Actor {
    let user = whoami::username().unwrap_or_else(|_| "unknown".to_owned());
    // Who became root by sudo is told apart; nobody else could set this for root.
    let before = std::env::var("SUDO_USER").ok().filter(|_| user == "root");
    let name = before.map_or_else(|| user.clone(), |before| format!("{before} (as {user})"));
    Actor { name: format!("cli:{}", plain(&name)), origin: whoami::hostname().ok().map(|host| plain(&host)) }
}

/// A name as it may stand in a table and in the log.
fn plain(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(100).collect()
}
