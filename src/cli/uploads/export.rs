//! `uploads export`: writes matching uploads to a file.

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::context::Context;
use crate::telemetry::error_chain::chain;
use crate::uploads::export::{Export, ExportFormat};

use super::Filters;

/// What the last line says of a failure; the cause goes to standard error.
const FAILED: &str = "failed";

#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArguments {
    #[command(flatten)]
    filters: Filters,
    /// The format.
    #[arg(long, value_enum)]
    format: Format,
    /// The file to write [default: standard output].
    #[arg(long, value_name = "FILE")]
    to_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For spreadsheets; the last line says whether the export is whole.
    Csv,
    /// One JSON object per line; the last one says whether the export is whole.
    Ndjson,
}

impl ExportArguments {
    pub async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let Self { filters, format, to_file } = self;
        let (tenant, search) = (filters.tenant()?, filters.search(None, None)?);
        let format = match format {
            Format::Csv => ExportFormat::Csv,
            Format::Ndjson => ExportFormat::Ndjson,
        };
        let mut export = context.ledger()?.export_any_tenant(tenant.as_ref(), search, format).await?;
        let target: Box<dyn Write> = match &to_file {
            Some(file) => {
                Box::new(std::fs::File::create(file).with_context(|| format!("{} cannot be written", file.display()))?)
            }
            None => Box::new(std::io::stdout()),
        };
        // Drawn on a terminal only, and on standard error.
        let bar = ProgressBar::new_spinner()
            .with_style(ProgressStyle::with_template("{spinner} {human_pos} rows, {elapsed} ({per_sec})")?);
        bar.enable_steady_tick(Duration::from_millis(200));
        let written = write(&mut export, BufWriter::new(target), &bar).await;
        bar.finish_and_clear();
        written?;
        report(&format!("whole: {} rows", export.rows()));
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes everything, and the last line, which also tells of a failure.
async fn write(export: &mut Export, mut target: impl Write, bar: &ProgressBar) -> anyhow::Result<()> {
    let unwritten = "the export cannot be written";
    loop {
        match export.next().await {
            Ok(Some(text)) => target.write_all(&text).context(unwritten)?,
            Ok(None) => break,
            Err(error) => {
                target.write_all(&export.end(Some(FAILED))).and_then(|()| target.flush()).context(unwritten)?;
                anyhow::bail!("NOT whole: {} rows, {}", export.rows(), chain(&error));
            }
        }
        bar.set_position(export.rows());
    }
    target.write_all(&export.end(None)).and_then(|()| target.flush()).context(unwritten)
}

/// For people, beside the export itself.
#[expect(clippy::print_stderr, reason = "standard output may be the export")]
fn report(text: &str) {
    eprintln!("{text}");
}
