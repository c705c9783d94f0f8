//! `uploads`.

use std::process::ExitCode;

use clap::Subcommand;

use super::context::Context;

mod verify;

#[derive(Debug, Subcommand)]
pub(super) enum UploadsCommand {
    /// Look for uploads in their bucket, compare, and write down what is found.
    Verify(verify::Verify),
}

impl UploadsCommand {
    pub async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::Verify(command) => command.run(context).await,
        }
    }
}
