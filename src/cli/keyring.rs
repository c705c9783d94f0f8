//! `keyring`.

use clap::Subcommand;
use secrecy::ExposeSecret;

use crate::domain::clock::Clock;
use crate::domain::randomness::Randomness;
use crate::domain::sealing_key::SealingKey;

use super::context::Context;
use super::output;

#[derive(Debug, Subcommand)]
pub(super) enum KeyringCommand {
    /// Make a sealing key, for PRESIGN__VAULT__KEYS or a line of vault.keys_file.
    ///
    /// Keep a copy where the database's backups are not: without it, the sealed secrets in them are lost.
    Generate {
        /// The key's id; by default the date.
        #[arg(long)]
        id: Option<String>,
    },
}

impl KeyringCommand {
    pub fn run(self, context: &Context) -> anyhow::Result<()> {
        let Self::Generate { id } = self;
        let id = id.unwrap_or_else(|| Clock::System.now().format("k%Y%m%d").to_string());
        let key = SealingKey::generate(&id, &Randomness::System);
        // Reading it back checks the id.
        SealingKey::parse(key.expose_secret())?;
        output::show_one(
            context.output,
            key.expose_secret(),
            &serde_json::json!({ "id": id, "key": key.expose_secret() }),
        )
    }
}
