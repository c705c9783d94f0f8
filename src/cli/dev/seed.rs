//! `dev seed`: fills the ledger with generated rows.

use std::path::Path;

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::app;
use crate::cli::context::Context;
use crate::cli::output;
use crate::config::{self, Config};
use crate::dev::seed::{self, SeedOptions};

/// Fill the ledger with generated uploads, to test it at a large size.
///
/// Writes to DATABASE_URL, or to the database of the stack on --data-dir. The rows can be removed only with
/// `dev --reset`.
#[derive(Debug, Args)]
pub(super) struct Seed {
    /// Number of uploads.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    rows: u64,
    /// Number of tenants; missing ones are created.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=50))]
    tenants: u16,
    /// Number of months up to now to spread them over.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=120))]
    months: u16,
    /// Allow a database that `dev` did not create.
    #[arg(long)]
    even_if_not_dev: bool,
}

impl Seed {
    pub async fn run(self, context: &Context, data_dir: &Path) -> anyhow::Result<()> {
        let Self { rows, tenants, months, even_if_not_dev } = self;
        let store = app::open_store(&config(context, data_dir)?)?;
        if !even_if_not_dev && !seed::is_dev(&store).await? {
            bail!("this database was not created by `presign-gateway dev`: fill it anyway with --even-if-not-dev");
        }
        let bar = ProgressBar::new(rows).with_style(ProgressStyle::with_template(
            "{wide_bar} {human_pos}/{human_len} rows, {per_sec}, {eta} left",
        )?);
        seed::seed(&store, SeedOptions { rows, tenants, months }, |copied| bar.inc(copied)).await?;
        bar.finish_and_clear();
        output::show_one(context.output, &format!("{rows} uploads seeded"), &serde_json::json!({ "seeded": rows }))
    }
}

/// The settings, with the running stack's where there are none.
fn config(context: &Context, data_dir: &Path) -> anyhow::Result<Config> {
    let config = context.config()?;
    if config.database.is_set() {
        return Ok(config);
    }
    let file = data_dir.join("dev.env");
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("no DATABASE_URL, and no stack is running on {} (--data-dir)", data_dir.display()))?;
    let url = text.lines().find_map(|line| line.strip_prefix("DATABASE_URL=")).unwrap_or_default();
    let database = ("DATABASE_URL".to_owned(), url.to_owned());
    Ok(Config::load(context.config_file.as_deref(), config::environment().chain([database]))?)
}
