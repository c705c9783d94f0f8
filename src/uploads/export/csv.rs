//! CSV rows (RFC 4180), safe to open in a spreadsheet.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use csv::{Terminator, WriterBuilder};

use crate::uploads::view::UploadView;

/// A column's name, and how it writes its cell.
type Column = (&'static str, fn(&UploadView) -> String);

const COLUMNS: [Column; 28] = [
    ("id", |view| view.id.to_string()),
    ("tenant", |view| view.tenant.clone()),
    ("bucket", |view| view.bucket.clone()),
    ("key", |view| view.object_key.clone()),
    ("state", |view| view.state.to_owned()),
    ("ext", |view| view.ext.to_owned()),
    ("type", |view| plain(view.kind)),
    ("width", |view| plain(view.width)),
    ("height", |view| plain(view.height)),
    ("duration", |view| plain(view.duration)),
    ("size", |view| plain(view.size)),
    ("content_type", |view| plain(view.content_type)),
    ("sha256", |view| plain(view.sha256.as_ref())),
    ("write_once", |view| view.write_once.to_string()),
    ("metadata", metadata),
    ("caller_kind", |view| view.caller.kind.to_owned()),
    ("api_key", |view| plain(view.caller.api_key.as_ref())),
    ("subject", |view| plain(view.caller.subject.as_ref())),
    ("address", |view| view.caller.address.clone()),
    ("issued_at", |view| time(Some(view.issued_at))),
    ("url_expires_at", |view| time(Some(view.url_expires_at))),
    ("seen_size", |view| plain(view.seen.as_ref().map(|seen| seen.size))),
    ("seen_etag", |view| plain(view.seen.as_ref().and_then(|seen| seen.etag.as_ref()))),
    ("seen_content_type", |view| plain(view.seen.as_ref().and_then(|seen| seen.content_type.as_ref()))),
    ("seen_sha256", |view| plain(view.seen.as_ref().and_then(|seen| seen.sha256.as_ref()))),
    ("seen_at", |view| time(view.seen.as_ref().map(|seen| seen.at))),
    ("mismatches", |view| view.mismatches.iter().map(|mismatch| mismatch.field).collect::<Vec<_>>().join(" ")),
    ("trace_id", |view| plain(view.trace_id.as_ref())),
];

/// A cell that starts with one of these is a formula in some spreadsheet
/// (<https://owasp.org/www-community/attacks/CSV_Injection>).
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// The header.
pub(super) fn write_header(text: &mut Vec<u8>) {
    write_line(text, &COLUMNS.map(|(name, _)| name));
}

/// The line of an upload.
pub(super) fn write_row(text: &mut Vec<u8>, view: &UploadView) {
    write_line(text, &COLUMNS.map(|(_, cell)| cell(view)));
}

fn write_line(text: &mut Vec<u8>, cells: &[impl AsRef<str>]) {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(text);
    // Writing to memory cannot fail.
    let _ = writer.write_record(cells.iter().map(|cell| harmless(cell.as_ref())));
}

/// Prefixes a formula with an apostrophe, so that it is text.
fn harmless(cell: &str) -> Cow<'_, [u8]> {
    if cell.starts_with(FORMULA) { format!("'{cell}").into_bytes().into() } else { cell.as_bytes().into() }
}

fn metadata(view: &UploadView) -> String {
    let pairs = Some(&view.metadata).filter(|pairs| !pairs.is_empty());
    pairs.and_then(|pairs| serde_json::to_string(pairs).ok()).unwrap_or_default()
}

fn plain(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn time(time: Option<DateTime<Utc>>) -> String {
    time.map(|time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true)).unwrap_or_default()
}
