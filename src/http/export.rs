//! Streams exports: chunks as fast as the client reads, and a last line that reports whether the
//! export is complete.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::Instrument;

use crate::domain::Invalid;
use crate::http::error::ApiError;
use crate::telemetry::correlation;
use crate::uploads::export::{Export, ExportFormat};

/// The last line of an export that took too long.
const TIMED_OUT: &str = "timed_out";
/// How long a client may read nothing. The listener closes most of those earlier; an HTTP/2 client
/// can hide it behind pings.
const PATIENCE: Duration = Duration::from_mins(5);

/// The format named in a query.
pub(super) fn format(text: Option<&str>) -> Result<ExportFormat, ApiError> {
    let format = text.and_then(ExportFormat::parse);
    Ok(format.ok_or_else(|| Invalid::new("format", "must be csv or ndjson"))?)
}

/// Answers with the export. One that fails before anything was said is answered with an error like any other.
pub(super) async fn stream(mut export: Export, max_duration: Duration) -> Result<Response, ApiError> {
    let deadline = Instant::now() + max_duration;
    let first = export.next().await?;
    let format = export.format();
    let (pieces, received) = mpsc::channel(1);
    tokio::spawn(correlation::carried(write(export, first, deadline, pieces).in_current_span()));
    let content_type = match format {
        ExportFormat::Csv => "text/csv; charset=utf-8; header=present",
        ExportFormat::Ndjson => "application/x-ndjson",
    };
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_DISPOSITION, disposition(format)),
        (header::CACHE_CONTROL, "no-store"),
        // A proxy that collects the whole answer would be the one that runs out of memory.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::new(Pieces { received, ended: false })).into_response())
}

const fn disposition(format: ExportFormat) -> &'static str {
    match format {
        ExportFormat::Csv => "attachment; filename=\"uploads.csv\"",
        ExportFormat::Ndjson => "attachment; filename=\"uploads.ndjson\"",
    }
}

/// The client stopped reading.
struct Gone;

/// Reads the export to its end, as fast as the client takes chunks.
async fn write(mut export: Export, first: Option<Vec<u8>>, deadline: Instant, pieces: mpsc::Sender<Option<Bytes>>) {
    let written = write_rows(&mut export, first, deadline, &pieces).await;
    let rows = export.rows();
    let Ok(ended) = written else {
        tracing::info!(rows, "export cancelled: the client stopped reading");
        return;
    };
    let reason = ended.err();
    tracing::info!(rows, reason, whole = reason.is_none(), "export ended");
    let last = Bytes::from(export.end(reason));
    if send(&pieces, last).await.is_ok() {
        let _ = pieces.send(None).await;
    }
}

async fn write_rows(
    export: &mut Export,
    first: Option<Vec<u8>>,
    deadline: Instant,
    pieces: &mpsc::Sender<Option<Bytes>>,
) -> Result<Result<(), &'static str>, Gone> {
    let mut next = first;
    while let Some(text) = next {
        send(pieces, Bytes::from(text)).await?;
        if Instant::now() >= deadline {
            return Ok(Err(TIMED_OUT));
        }
        next = match export.next().await {
            Ok(next) => next,
            Err(error) => return Ok(Err(ApiError::from(error).reason.as_str())),
        };
    }
    Ok(Ok(()))
}

/// Hands over a piece; it must be taken within [`PATIENCE`].
async fn send(pieces: &mpsc::Sender<Option<Bytes>>, piece: Bytes) -> Result<(), Gone> {
    if pieces.is_closed() {
        return Err(Gone);
    }
    if !piece.is_empty() {
        timeout(PATIENCE, pieces.send(Some(piece))).await.map_err(|_| Gone)?.map_err(|_| Gone)?;
    }
    Ok(())
}

/// The body: chunks, and `None` after the last.
struct Pieces {
    received: mpsc::Receiver<Option<Bytes>>,
    ended: bool,
}

/// The export ended without its last line; the connection must not end as if it were complete.
#[derive(Debug, thiserror::Error)]
#[error("the export broke off")]
struct BrokenOff;

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.received.poll_recv(context)) {
            Some(Some(piece)) => Some(Ok(Frame::data(piece))),
            Some(None) => {
                self.ended = true;
                None
            }
            None => Some(Err(BrokenOff)),
        })
    }
}
