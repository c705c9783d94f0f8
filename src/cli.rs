//! The command line: one subcommand a file. A subcommand calls use cases and prints their results;
//! it contains no rules.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::context::Context;
use self::output::OutputFormat;

mod api_key;
mod audit;
mod bucket;
mod config;
mod context;
mod database;
#[cfg(feature = "dev")]
mod dev;
mod doctor;
mod healthcheck;
mod jwt_issuer;
mod keyring;
mod migrate;
mod output;
mod paging;
mod secret;
mod serve;
mod shutdown;
mod sweeper;
mod tenant;
mod time;
mod uploads;
mod usage;

const EXAMPLES: &str = "\
Examples:
  presign-gateway dev                      everything on this machine, with demo tenants and a curl that works
  presign-gateway keyring generate         a sealing key for PRESIGN__VAULT__KEYS
  presign-gateway migrate                  create or update the tables in DATABASE_URL
  presign-gateway tenant create my-app     add an app
  presign-gateway serve                    run the gateway

Settings: config/default.toml names them all; `presign-gateway config show` tells what is in force.";

/// Issues presigned upload URLs for S3 and Cloudflare R2, and records every one.
#[derive(Debug, Parser)]
#[command(name = "presign-gateway", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    /// A TOML file with settings that differ from the defaults.
    #[arg(long, global = true, value_name = "FILE", env = "PRESIGN_CONFIG")]
    config: Option<PathBuf>,
    /// Output format: a table for people, JSON for programs.
    #[arg(long, global = true, value_enum, default_value_t = OutputFormat::Table)]
    output: OutputFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    Serve(serve::Serve),
    /// Run everything on this machine: a private Postgres, an S3 store, demo tenants.
    #[cfg(feature = "dev")]
    Dev(dev::Dev),
    /// Create or migrate the tables.
    Migrate,
    /// Print the database's roles and rights, and grant the rights.
    #[command(subcommand)]
    Database(database::DatabaseCommand),
    /// Add, list, change, suspend and archive tenants.
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// Manage tenants' buckets and their credentials.
    #[command(subcommand)]
    Bucket(bucket::BucketCommand),
    /// Create, list, rotate and revoke API keys.
    #[command(subcommand)]
    ApiKey(api_key::ApiKeyCommand),
    /// Manage the JWT issuers of tenants.
    #[command(subcommand)]
    JwtIssuer(jwt_issuer::JwtIssuerCommand),
    /// Find, export and verify uploads.
    #[command(subcommand)]
    Uploads(uploads::UploadsCommand),
    /// Generate and rotate sealing keys.
    #[command(subcommand)]
    Keyring(keyring::KeyringCommand),
    /// Show who changed what.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Count uploads and their bytes.
    Usage(usage::UsageCommand),
    /// Show how late the sweeper is.
    #[command(subcommand)]
    Sweeper(sweeper::SweeperCommand),
    /// Check or show the configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Test a tenant's bucket like a client, and say how to fix what fails.
    Doctor(doctor::Doctor),
    /// Check that the gateway on this machine is alive; for container health checks.
    Healthcheck,
}

/// Runs the command; errors go to standard error.
#[must_use]
#[expect(clippy::print_stderr, reason = "errors are shown to a person here")]
pub fn run(cli: Cli) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(dispatch(cli)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let context = Context { config_file: cli.config, output: cli.output };
    match cli.command {
        Command::Serve(command) => command.run(&context).await?,
        #[cfg(feature = "dev")]
        Command::Dev(command) => command.run(&context).await?,
        Command::Migrate => migrate::run(&context).await?,
        Command::Database(command) => command.run(&context).await?,
        Command::Tenant(command) => command.run(&context).await?,
        Command::Bucket(command) => command.run(&context).await?,
        Command::ApiKey(command) => command.run(&context).await?,
        Command::Healthcheck => healthcheck::run(&context).await?,
        Command::Keyring(command) => return command.run(&context).await,
        Command::Audit(command) => command.run(&context).await?,
        Command::Usage(command) => command.run(&context).await?,
        Command::Sweeper(command) => command.run(&context).await?,
        Command::Config(command) => command.run(&context)?,
        Command::JwtIssuer(command) => return command.run(&context).await,
        Command::Uploads(command) => return command.run(&context).await,
        Command::Doctor(command) => return command.run(&context).await,
    }
    Ok(ExitCode::SUCCESS)
}
