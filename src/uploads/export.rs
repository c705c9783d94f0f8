//! Exporting uploads: everything that matches, a piece at a time, in memory that does not grow with it.
//!
//! Pages by id, so that between two of them nothing is held in the database. Uploads issued after the export began are no
//! part of it, so that it ends. The last line says whether it is whole.

use std::fmt::Write;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::caller::Scope;
use crate::domain::ids::UploadId;
use crate::domain::search::Search;
use crate::domain::tenant::Slug;
use crate::domain::upload::Upload;
use crate::limit::Admitted;
use crate::store::uploads::search::Found;

use super::find::{Ledger, Reach};
use super::view::UploadView;
use super::{UploadError, Uploads, demand};

mod csv;

/// Rows that are read at a time.
const PAGE_ROWS: u16 = 1000;

/// What an export is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// RFC 4180, for spreadsheets; the last line is a remark.
    Csv,
    /// One JSON object a line; the last one is `{"end":true,…}`.
    Ndjson,
}

impl ExportFormat {
    pub const ALL: [Self; 2] = [Self::Csv, Self::Ndjson];

    /// Its stable word; also what file names end with.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == text)
    }
}

/// How many exports there may be at a time, on this instance.
#[derive(Debug, Clone)]
pub struct ExportPlaces(Arc<Semaphore>);

impl ExportPlaces {
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most)))
    }

    fn take(&self) -> Result<OwnedSemaphorePermit, UploadError> {
        Arc::clone(&self.0).try_acquire_owned().map_err(|_| UploadError::TooManyExports)
    }
}

/// An export under way; whoever drops it ends it.
#[derive(Debug)]
pub struct Export {
    ledger: Ledger,
    reach: Reach,
    search: Search,
    format: ExportFormat,
    until: UploadId,
    progress: Progress,
    rows: u64,
    _place: Option<OwnedSemaphorePermit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Begun,
    After(UploadId),
    Done,
}

impl Uploads {
    /// Begins an export of the uploads of the caller's tenant.
    ///
    /// # Errors
    /// The caller may not read them, or too many exports are under way.
    pub fn export(&self, admitted: &Admitted, search: Search, format: ExportFormat) -> Result<Export, UploadError> {
        let caller = demand(admitted, Scope::UploadsRead)?;
        let place = self.exports.take()?;
        Ok(self.ledger().begin(Reach::Tenant(caller.tenant.id), search, format, Some(place)))
    }

    /// Begins an export of a tenant's uploads, or of all; for operators.
    ///
    /// # Errors
    /// There is no such tenant, or too many exports are under way.
    pub async fn export_any_tenant(
        &self,
        tenant: Option<&Slug>,
        search: Search,
        format: ExportFormat,
    ) -> Result<Export, UploadError> {
        let place = self.exports.take()?;
        Ok(Export { _place: Some(place), ..self.ledger().export_any_tenant(tenant, search, format).await? })
    }
}

impl Ledger {
    /// Begins an export of a tenant's uploads, or of all; for operators, and not counted.
    ///
    /// # Errors
    /// There is no such tenant.
    pub async fn export_any_tenant(
        &self,
        tenant: Option<&Slug>,
        search: Search,
        format: ExportFormat,
    ) -> Result<Export, UploadError> {
        Ok(self.clone().begin(self.reach(tenant).await?, search, format, None))
    }

    fn begin(self, reach: Reach, search: Search, format: ExportFormat, place: Option<OwnedSemaphorePermit>) -> Export {
        let until = self.next_id();
        Export { ledger: self, reach, search, format, until, progress: Progress::Begun, rows: 0, _place: place }
    }
}

impl Export {
    /// The next piece, which may be empty; `None` after the last, when only the [`end`](Self::end) is left to say.
    ///
    /// # Errors
    /// The rest cannot be read: the export is not whole.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, UploadError> {
        let after = match self.progress {
            Progress::Begun => None,
            Progress::After(id) => Some(id),
            Progress::Done => return Ok(None),
        };
        let Search { filter, order, .. } = &self.search;
        let page = self.ledger.query(filter, *order, after, Some(self.until), PAGE_ROWS);
        let Found { uploads, more_behind } = self.ledger.find(self.reach, page).await?;
        let mut text = String::new();
        if self.progress == Progress::Begun && self.format == ExportFormat::Csv {
            csv::write_header(&mut text);
        }
        for upload in &uploads {
            self.write(&mut text, upload);
            self.rows += 1;
        }
        self.progress = more_behind.map_or(Progress::Done, Progress::After);
        Ok(Some(text.into_bytes()))
    }

    /// The last line: whether all is there, and if not, the reason's stable word.
    #[must_use]
    pub fn end(&self, failure: Option<&str>) -> Vec<u8> {
        let (rows, whole) = (self.rows, failure.is_none());
        let text = match (self.format, failure) {
            (ExportFormat::Csv, None) => format!("# whole: {rows} rows\r\n"),
            (ExportFormat::Csv, Some(reason)) => format!("# NOT whole: {rows} rows, {reason}\r\n"),
            (ExportFormat::Ndjson, None) => {
                format!("{}\n", serde_json::json!({ "end": true, "rows": rows, "whole": whole }))
            }
            (ExportFormat::Ndjson, Some(reason)) => {
                let end = serde_json::json!({ "end": true, "rows": rows, "whole": whole, "reason": reason });
                format!("{end}\n")
            }
        };
        text.into_bytes()
    }

    /// Rows written so far.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    #[must_use]
    pub const fn format(&self) -> ExportFormat {
        self.format
    }

    fn write(&self, text: &mut String, upload: &Upload) {
        let view = UploadView::from(upload);
        match self.format {
            ExportFormat::Csv => csv::write_row(text, &view),
            ExportFormat::Ndjson => {
                // Writing to a String cannot fail, nor can a view of plain values.
                let _ = writeln!(text, "{}", serde_json::to_string(&view).unwrap_or_default());
            }
        }
    }
}
