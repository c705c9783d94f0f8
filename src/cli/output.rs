//! Prints results: tables for people, JSON for programs.

use chrono::{DateTime, Utc};
use clap::ValueEnum;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;
use serde_json::Value;

use crate::domain::page::Page;

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

/// Shows a page of a list; JSON has the fields of the admin API.
pub(super) fn show_page<T: Serialize, const N: usize>(
    format: OutputFormat,
    header: [&str; N],
    page: &Page<T>,
    cells: impl Fn(&T) -> [String; N],
) -> anyhow::Result<()> {
    match format {
        OutputFormat::Table => {
            show_all(format, header, &page.items, cells)?;
            if let Some(cursor) = &page.next_cursor {
                say(&format!("More results: --cursor {cursor}"));
            }
            Ok(())
        }
        OutputFormat::Json => {
            let shown = serde_json::json!({ "items": page.items, "next_cursor": page.next_cursor });
            say(&serde_json::to_string_pretty(&shown)?);
            Ok(())
        }
    }
}

/// Shows one row: its fields one below the other, or JSON.
pub(super) fn show_fields(format: OutputFormat, row: &impl Serialize) -> anyhow::Result<()> {
    if format == OutputFormat::Json {
        return show_one(format, "", row);
    }
    let value = serde_json::to_value(row)?;
    let fields: Vec<_> = value.as_object().into_iter().flatten().collect();
    show_all(format, ["field", "value"], &fields, |(name, value)| [(*name).clone(), plain(value)])
}

/// A JSON value as a table's cell has it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// A moment as a table's cell has it.
pub(super) fn minute(time: Option<DateTime<Utc>>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| time.format("%Y-%m-%d %H:%MZ").to_string())
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
