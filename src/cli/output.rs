//! Tables for people, JSON for programs.

use clap::ValueEnum;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

/// How results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    Table,
    Json,
}

/// Shows rows: `cells` makes a table's row of each; JSON shows each as it is.
pub(super) fn show_all<T: Serialize, const N: usize>(
    format: OutputFormat,
    header: [&str; N],
    rows: &[T],
    cells: impl Fn(&T) -> [String; N],
) -> anyhow::Result<()> {
    match format {
        OutputFormat::Table => {
            let mut table = Table::new();
            table
                .load_style(UTF8_FULL_CONDENSED)
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_header(header);
            table.add_rows(rows.iter().map(cells));
            say(&table.to_string());
        }
        OutputFormat::Json => say(&serde_json::to_string_pretty(rows)?),
    }
    Ok(())
}

/// Shows one result: a sentence, or JSON.
pub(super) fn show_one(format: OutputFormat, sentence: &str, value: &impl Serialize) -> anyhow::Result<()> {
    match format {
        OutputFormat::Table => say(sentence),
        OutputFormat::Json => say(&serde_json::to_string_pretty(value)?),
    }
    Ok(())
}

/// Writes a line to standard output; a reader that went away is no error.
pub(super) fn say(text: &str) {
    use std::io::Write;

    let _ = writeln!(std::io::stdout(), "{text}");
}
