//! `serve`.

use clap::Args;

use crate::app::{self, App};
use crate::domain::clock::Clock;
use crate::domain::randomness::Randomness;
use crate::telemetry;

use super::context::Context;
use super::shutdown;

/// Run the gateway until SIGTERM or Ctrl-C; then finish what is under way.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Bring the tables up to date first.
    #[arg(long)]
    migrate: bool,
}

impl Serve {
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let config = context.config()?;
        let telemetry = telemetry::start(&config.telemetry, None)?;
        telemetry::log_ignored(&config.unheeded);
        // Before anything is listened on: a signal from now on means a clean end.
        let stop = shutdown::requested()?;
        let app = App::build(&config, telemetry.signals.clone(), Clock::System, Randomness::System).await?;
        if self.migrate {
            app::migrate(&app::open_store(&config)?, &Clock::System).await?;
        }
        tracing::info!(public = %app.public_address()?, ops = %app.ops_address()?, "listening");
        app.run(stop).await;
        telemetry.shut_down().await;
        Ok(())
    }
}
