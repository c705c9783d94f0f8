//! `dev`: runs the embedded stack.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use tracing_subscriber::Layer;

use crate::config::Config;
use crate::config::telemetry::Format;
use crate::dev::postgres::binaries::progress_layer;
use crate::dev::stack::{self, Facts, Stack, StackOptions};
use crate::telemetry;

use super::context::Context;
use super::{output, shutdown};

mod seed;

/// Run everything on this machine: a private Postgres, an S3 store, two demo tenants, the gateway.
///
/// Keeps data and demo keys between starts. Ctrl-C stops everything.
#[derive(Debug, Args)]
pub(super) struct Dev {
    /// The stack's data folder.
    #[arg(long, global = true, default_value = ".data/dev", value_name = "FOLDER")]
    data_dir: PathBuf,
    /// Public address; port 0 picks a free port.
    #[arg(long, default_value = "127.0.0.1:3000", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Operators' address.
    #[arg(long, default_value = "127.0.0.1:3001", value_name = "ADDRESS")]
    ops_listen: SocketAddr,
    /// The object store's address.
    #[arg(long, default_value = "127.0.0.1:3002", value_name = "ADDRESS")]
    s3_listen: SocketAddr,
    /// Remove the data of earlier starts first.
    #[arg(long)]
    reset: bool,
    #[command(subcommand)]
    command: Option<DevCommand>,
}

#[derive(Debug, Subcommand)]
enum DevCommand {
    Seed(seed::Seed),
}

impl Dev {
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        if let Some(DevCommand::Seed(command)) = self.command {
            return command.run(context, &std::path::absolute(&self.data_dir)?).await;
        }
        let Config { telemetry: mut config, ignored_variables, .. } =
            Config::load(context.config_file.as_deref(), stack::environment())?;
        // People read this log, unless they ask for JSON.
        if config.format == Format::Auto {
            config.format = Format::Pretty;
        }
        let telemetry = telemetry::start(&config, Some(progress_layer().boxed()))?;
        telemetry::log_ignored(&ignored_variables);
        let stop = shutdown::requested()?;
        let data_dir = std::path::absolute(&self.data_dir)?;
        if self.reset {
            stack::reset(&data_dir).await?;
        }
        let options = StackOptions {
            data_dir,
            config_file: context.config_file.clone(),
            listen: self.listen,
            ops_listen: self.ops_listen,
            s3_listen: self.s3_listen,
            signals: telemetry.signals.clone(),
        };
        let mut stop = Box::pin(stop);
        let stack = tokio::select! {
            started = Stack::start(options) => started?,
            () = &mut stop => return Ok(()),
        };
        output::say(&welcome(&stack.facts));
        stack.run(stop).await;
        telemetry.shut_down().await;
        Ok(())
    }
}

fn welcome(facts: &Facts) -> String {
    let Facts { url, ops_url, s3_url, demo, data_dir, cluster_folder, .. } = facts;
    let api_key = &demo.alpha.api_key;
    let env_file = stack::shell_quoted(&facts.env_file());
    let sample = stack::shell_quoted(&facts.sample_file());
    let data = if cluster_folder.starts_with(data_dir) {
        data_dir.display().to_string()
    } else {
        format!("{} and {}", data_dir.display(), cluster_folder.display())
    };
    format!(
        r#"
presign-gateway is ready.

  public    {url}  (described at /docs)
  ops       {ops_url}  (the operators' API, described at /docs)
  store     {s3_url}  (S3-compatible)
  data      {data}
  settings  set -a; . {env_file}; set +a
            (keys, addresses, AWS_… for the AWS CLI, and what this program's other commands need)

Try it in another terminal: request a presigned URL, then PUT a file there.

  URL=$(curl -sS -H 'Authorization: Bearer {api_key}' '{url}/oss/presign?ext=png&width=32&height=32&type=origin' | sed 's/.*"url":"\([^"]*\)".*/\1/')
  curl -sS -i -T {sample} "$URL"

Ctrl-C stops everything."#
    )
}
