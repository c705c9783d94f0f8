//! `serve`: runs the gateway.

use anyhow::bail;
use clap::Args;

use crate::app::{self, App};
use crate::config::Config;
use crate::crypto::keyring::Keyring;
use crate::domain::clock::Clock;
use crate::domain::randomness::Randomness;
use crate::store::StoreError;
use crate::telemetry;

use super::context::Context;
use super::shutdown;

const NOT_MIGRATED: &str = "the tables are missing or older than this version: run `presign-gateway migrate` first, \
     or start with `presign-gateway serve --migrate`";

/// Run the gateway until SIGTERM or Ctrl-C, then finish requests in progress.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Migrate the database first.
    #[arg(long)]
    migrate: bool,
}

impl Serve {
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let config = context.config()?;
        let telemetry = telemetry::start(&config.telemetry, None)?;
        telemetry::log_ignored(&config.ignored_variables);
        // Before anything is listened on: a signal from now on means a clean end.
        let stop = shutdown::requested()?;
        shutdown::ignore_hangups()?;
        self.prepare_database(&config).await?;
        let app = App::build(&config, telemetry.signals.clone(), Clock::System, Randomness::System).await?;
        tracing::info!(public = %app.public_address()?, ops = %app.ops_address()?, "listening");
        app.run(stop).await;
        telemetry.shut_down().await;
        Ok(())
    }

    /// Migrates if asked to. Otherwise fails if the tables are missing or older than this version; a database that is
    /// unreachable, or newer, does not keep the gateway from starting.
    async fn prepare_database(&self, config: &Config) -> anyhow::Result<()> {
        // A gateway that cannot start must not migrate.
        Keyring::new(&config.vault.keys)?;
        let store = app::open_store(config)?;
        if self.migrate {
            app::migrate(&store, &Clock::System).await?;
        } else if let Ok(false) | Err(StoreError::NotMigrated(_)) = store.is_migrated().await {
            bail!(NOT_MIGRATED);
        }
        store.close().await;
        Ok(())
    }
}
