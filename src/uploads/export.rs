//! Exports every matching upload in chunks, with bounded memory.
//!
//! Pages by id, so that the database holds nothing between two chunks. Uploads issued after the
//! export began are not part of it, so that it ends. The last line reports whether it is complete.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use strum::{EnumString, IntoStaticStr};

use crate::domain::caller::Scope;
use crate::domain::ids::{TenantId, UploadId};
use crate::domain::search::Search;
use crate::domain::tenant::Slug;
use crate::domain::upload::Upload;
use crate::rate_limit::Admitted;
use crate::store::uploads::search::FoundPage;

use super::list::{TenantScope, UploadReader};
use super::view::UploadView;
use super::{UploadError, demand};

mod csv;

/// Rows read at a time.
const PAGE_ROWS: u16 = 1000;
/// Bytes written at a time; the last row may exceed it.
const PIECE_BYTES: usize = 64 * 1024;

/// The format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum ExportFormat {
    /// RFC 4180, for spreadsheets; the last line is a comment.
    Csv,
    /// One JSON object a line; the last one is `{"end":true,…}`.
    Ndjson,
}

impl ExportFormat {
    pub const ALL: [Self; 2] = [Self::Csv, Self::Ndjson];

    /// Its stable word, which is also the file extension.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// The concurrent exports of this instance. No tenant, and not all operators together, may use more
/// than half of them.
#[derive(Debug, Clone)]
pub struct ExportSlots {
    most: usize,
    taken: Arc<Mutex<HashMap<Option<TenantId>, usize>>>,
}

/// A slot of one export, until it is dropped.
#[derive(Debug)]
struct ExportPermit {
    places: ExportSlots,
    /// `None` for operators.
    of: Option<TenantId>,
}

impl ExportSlots {
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, taken: Arc::default() }
    }

    fn take(&self, of: Option<TenantId>) -> Result<ExportPermit, UploadError> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, own) = (taken.values().sum::<usize>(), taken.get(&of).copied().unwrap_or_default());
        if all >= self.most || own >= (self.most / 2).max(1) {
            return Err(UploadError::TooManyExports);
        }
        taken.insert(of, own + 1);
        drop(taken);
        Ok(ExportPermit { places: self.clone(), of })
    }
}

impl Drop for ExportPermit {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let left = taken.remove(&self.of).unwrap_or_default().saturating_sub(1);
        if left > 0 {
            taken.insert(self.of, left);
        }
    }
}

/// An export in progress; dropping it cancels it.
#[derive(Debug)]
pub struct Export {
    ledger: UploadReader,
    reach: TenantScope,
    search: Search,
    format: ExportFormat,
    until: UploadId,
    progress: Progress,
    /// Rows that were read and not written yet.
    read: std::vec::IntoIter<Upload>,
    rows: u64,
    _place: Option<ExportPermit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Begun,
    After(UploadId),
    Done,
}

/// Exports uploads, as many at a time as there are slots.
pub struct Exporter {
    reader: UploadReader,
    slots: ExportSlots,
}

impl Exporter {
    pub(super) const fn new(reader: UploadReader, slots: ExportSlots) -> Self {
        Self { reader, slots }
    }

    /// Begins an export of the uploads of the caller's tenant.
    ///
    /// # Errors
    /// The caller may not read them, or too many exports are in progress.
    pub async fn export(
        &self,
        admitted: &Admitted,
        search: Search,
        format: ExportFormat,
    ) -> Result<Export, UploadError> {
        let caller = demand(admitted, Scope::UploadsRead)?;
        let place = self.slots.take(Some(caller.tenant.id))?;
        let export = self.reader.clone().begin(TenantScope::Tenant(caller.tenant.id), search, format).await?;
        Ok(Export { _place: Some(place), ..export })
    }

    /// Starts an export of a tenant's uploads, or of all; for operators.
    ///
    /// # Errors
    /// There is no such tenant, or too many exports are in progress.
    pub async fn export_any_tenant(
        &self,
        tenant: Option<&Slug>,
        search: Search,
        format: ExportFormat,
    ) -> Result<Export, UploadError> {
        let place = self.slots.take(None)?;
        Ok(Export { _place: Some(place), ..self.reader.export_any_tenant(tenant, search, format).await? })
    }
}

impl UploadReader {
    /// Starts an export of a tenant's uploads, or of all, without using a slot; for operators.
    ///
    /// # Errors
    /// There is no such tenant.
    pub async fn export_any_tenant(
        &self,
        tenant: Option<&Slug>,
        search: Search,
        format: ExportFormat,
    ) -> Result<Export, UploadError> {
        self.clone().begin(self.reach(tenant).await?, search, format).await
    }

    async fn begin(self, reach: TenantScope, search: Search, format: ExportFormat) -> Result<Export, UploadError> {
        let until = self.next_id(reach).await?;
        let (progress, read) = (Progress::Begun, Vec::new().into_iter());
        Ok(Export { ledger: self, reach, search, format, until, progress, read, rows: 0, _place: None })
    }
}

impl Export {
    /// Returns the next chunk of complete rows, which may be empty; `None` after the last, when
    /// only the [`end`](Self::end) is left.
    ///
    /// # Errors
    /// The rest cannot be read, so the export is incomplete.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, UploadError> {
        // One size, again and again: what grows leaves holes behind.
        let mut text = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 4);
        if self.read.len() == 0 {
            if self.progress == Progress::Done {
                return Ok(None);
            }
            self.read_on(&mut text).await?;
        }
        while text.len() < PIECE_BYTES {
            let Some(upload) = self.read.next() else { break };
            self.write(&mut text, &upload);
            self.rows += 1;
        }
        Ok(Some(text))
    }

    /// Reads the next page; the first one also writes the header.
    async fn read_on(&mut self, text: &mut Vec<u8>) -> Result<(), UploadError> {
        let after = match self.progress {
            Progress::After(id) => Some(id),
            Progress::Begun | Progress::Done => None,
        };
        let Search { filter, order, .. } = &self.search;
        let page = self.ledger.query(filter, *order, after, Some(self.until), PAGE_ROWS);
        let FoundPage { uploads, more_behind } = self.ledger.find(self.reach, page).await?;
        if self.progress == Progress::Begun && self.format == ExportFormat::Csv {
            csv::write_header(text);
        }
        self.read = uploads.into_iter();
        self.progress = more_behind.map_or(Progress::Done, Progress::After);
        Ok(())
    }

    /// The last line: whether the export is complete, otherwise the stable word of the reason.
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

    fn write(&self, text: &mut Vec<u8>, upload: &Upload) {
        let view = UploadView::from(upload);
        match self.format {
            ExportFormat::Csv => csv::write_row(text, &view),
            ExportFormat::Ndjson => {
                // Writing to memory cannot fail, nor can a view of plain values.
                let _ = serde_json::to_writer(&mut *text, &view);
                text.push(b'\n');
            }
        }
    }
}
