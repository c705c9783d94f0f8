//! What a fault was survived with: for who runs the tests, and for the table of `docs/reliability.md`.

use std::io::Write;
use std::time::Duration;

use serde_json::json;

use super::check::Rows;
use super::load::Told;

pub struct Figures<'a> {
    fault: &'a str,
    lasted: Duration,
    told: &'a Told,
    rows: &'a Rows,
    recovered: Option<Duration>,
    /// What else was measured, in words.
    pub note: Option<&'a str>,
}

impl<'a> Figures<'a> {
    pub fn of(fault: &'a str, lasted: Duration, told: &'a Told, rows: &'a Rows, recovered: Option<Duration>) -> Self {
        Self { fault, lasted, told, rows, recovered, note: None }
    }
}

/// Adds a line of JSON to the file that `PRESIGN_CHAOS_REPORT` names, where it does.
pub fn report(figures: &Figures<'_>) {
    let Figures { fault, lasted, told, rows, recovered, note } = figures;
    let longest = |times: &mut dyn Iterator<Item = Duration>| times.max().unwrap_or_default().as_millis();
    let line = json!({
        "fault": fault,
        "seconds": lasted.as_secs(),
        "issued": told.issued.len(),
        "rows": rows.len(),
        "without_row": told.issued.iter().filter(|issued| !rows.contains_key(&issued.object_key)).count(),
        "put": told.issued.iter().filter(|issued| issued.arrived).count(),
        "refused": told.refused.len(),
        "cut": told.cut.len(),
        "slowest_ms": longest(&mut told.issued.iter().map(|issued| issued.took)),
        "slowest_refusal_ms": longest(&mut told.refused.iter().map(|refused| refused.took)),
        "recovered_ms": recovered.map(|recovered| recovered.as_millis()),
        "note": note,
    });
    let Some(path) = std::env::var_os("PRESIGN_CHAOS_REPORT") else { return };
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    writeln!(file, "{line}").unwrap();
}
