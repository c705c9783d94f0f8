//! Rows as RFC 4180 has them, for people who open them in a spreadsheet.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use csv::{Terminator, WriterBuilder};

use crate::uploads::view::UploadView;

const HEADER: [&str; 28] = [
    "id",
    "tenant",
    "bucket",
    "key",
    "state",
    "ext",
    "type",
    "width",
    "height",
    "duration",
    "size",
    "content_type",
    "sha256",
    "write_once",
    "metadata",
    "caller_kind",
    "api_key",
    "subject",
    "address",
    "issued_at",
    "url_expires_at",
    "seen_size",
    "seen_etag",
    "seen_content_type",
    "seen_sha256",
    "seen_at",
    "mismatches",
    "trace_id",
];

/// A cell that begins with one of these is taken for a formula, in a spreadsheet of some language at least
/// (<https://owasp.org/www-community/attacks/CSV_Injection>).
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// The line that names the columns.
pub(super) fn write_header(text: &mut Vec<u8>) {
    write_line(text, &HEADER);
}

/// An upload's line.
pub(super) fn write_row(text: &mut Vec<u8>, view: &UploadView) {
    let (caller, seen) = (&view.caller, view.seen.as_ref());
    let metadata = Some(&view.metadata).filter(|pairs| !pairs.is_empty());
    let mismatches: Vec<_> = view.mismatches.iter().map(|mismatch| mismatch.field).collect();
    let cells: [String; 28] = [
        view.id.to_string(),
        view.tenant.clone(),
        view.bucket.clone(),
        view.object_key.clone(),
        view.state.to_owned(),
        view.ext.to_owned(),
        plain(view.kind),
        plain(view.width),
        plain(view.height),
        plain(view.duration),
        plain(view.size),
        plain(view.content_type),
        plain(view.sha256.as_ref()),
        view.write_once.to_string(),
        metadata.and_then(|pairs| serde_json::to_string(pairs).ok()).unwrap_or_default(),
        caller.kind.to_owned(),
        plain(caller.api_key.as_ref()),
        plain(caller.subject.as_ref()),
        caller.address.clone(),
        time(Some(view.issued_at)),
        time(Some(view.url_expires_at)),
        plain(seen.map(|seen| seen.size)),
        plain(seen.and_then(|seen| seen.etag.as_ref())),
        plain(seen.and_then(|seen| seen.content_type.as_ref())),
        plain(seen.and_then(|seen| seen.sha256.as_ref())),
        time(seen.map(|seen| seen.at)),
        mismatches.join(" "),
        plain(view.trace_id.as_ref()),
    ];
    write_line(text, &cells);
}

fn write_line(text: &mut Vec<u8>, cells: &[impl AsRef<str>]) {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(text);
    // Writing to memory cannot fail.
    let _ = writer.write_record(cells.iter().map(|cell| harmless(cell.as_ref())));
}

/// Puts an apostrophe before a formula, which makes it text.
fn harmless(cell: &str) -> Cow<'_, [u8]> {
    if cell.starts_with(FORMULA) { format!("'{cell}").into_bytes().into() } else { cell.as_bytes().into() }
}

fn plain(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn time(time: Option<DateTime<Utc>>) -> String {
    time.map(|time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true)).unwrap_or_default()
}
