//! The recorder: commits uploads in groups.
//!
//! Requests put rows into a bounded queue and wait. A few writers take waiting rows, up to a
//! maximum, and write them in one statement and one commit. Each request resumes when its own row
//! has an outcome. Under load many rows share a commit; without load a row is written at once. If
//! Postgres rejects a batch, its rows are tried one by one, so a rejected row does not fail its
//! neighbours.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{Instrument, Span};

use crate::config::uploads::UploadsConfig;
use crate::domain::upload::NewUpload;
use crate::store::uploads::writer::{Appender, KEPT_FOR};
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::recorder::RecorderMetrics;
use crate::telemetry::trace;

use self::queue::{AtWork, Queue, Refused};

mod queue;

/// Why an upload was not recorded. Its URL must not be revealed.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("the queue of uploads to record is full")]
    QueueFull,
    #[error("the commit took longer than allowed")]
    TimedOut,
    #[error("the recorder is shutting down")]
    Closed,
    #[error("the row was not committed")]
    NotCommitted(#[source] Arc<StoreError>),
}

/// Limits of the recorder.
#[derive(Debug, Clone, Copy)]
pub struct RecorderOptions {
    /// Maximum waiting rows; one more is rejected at once.
    pub queue: usize,
    /// Maximum concurrent commits; each needs a connection.
    pub writers: usize,
    /// Maximum rows of one commit.
    pub max_batch: usize,
    /// How long a request waits for its row, and a writer for a commit. If Postgres rolled back the
    /// first commit, also for a second one.
    pub commit_timeout: Duration,
}

impl From<&UploadsConfig> for RecorderOptions {
    fn from(config: &UploadsConfig) -> Self {
        Self {
            queue: config.recorder_queue.count(),
            writers: config.recorder_writers.count(),
            max_batch: config.recorder_max_batch.count(),
            commit_timeout: config.commit_timeout_ms.as_milliseconds(),
        }
    }
}

/// A commit that takes longer is waited for by none but its own rows.
const MAX_EXPECTED_WRITE: Duration = Duration::from_millis(50);

type Outcome = Result<(), Arc<StoreError>>;

struct Waiting {
    upload: NewUpload,
    done: oneshot::Sender<Outcome>,
    /// The trace of the waiting request, if it is sampled.
    span: Span,
    /// The span of its wait in the queue.
    wait: Span,
}

/// Records rows and reports when they are durable.
pub struct Recorder {
    queue: Arc<Queue<Waiting>>,
    capacity: usize,
    writers: Mutex<JoinSet<()>>,
    commit_timeout: Duration,
}

impl Recorder {
    /// Starts the writers. They need their own store: a shared pool would add a second, hidden
    /// queue.
    #[must_use]
    pub fn start(store: &Store, options: RecorderOptions, metrics: RecorderMetrics) -> Self {
        let queue = Arc::new(Queue::new(options.queue, options.max_batch));
        let metrics = Arc::new(metrics);
        let mut writers = JoinSet::new();
        for _ in 0..options.writers {
            let (ledger, metrics) = (Appender::new(store.clone()), Arc::clone(&metrics));
            let writer = Writer { ledger, commit_timeout: options.commit_timeout, metrics };
            writers.spawn(writer.write_batches(Arc::clone(&queue)));
        }
        let RecorderOptions { queue: capacity, commit_timeout, .. } = options;
        Self { queue, capacity, writers: Mutex::new(writers), commit_timeout }
    }

    /// The number of waiting rows, and the capacity of the queue.
    pub fn depth(&self) -> (impl Fn() -> usize + Send + Sync + use<>, usize) {
        let queue = Arc::clone(&self.queue);
        (move || queue.depth(), self.capacity)
    }

    /// Returns once the upload's row is committed.
    ///
    /// # Errors
    /// The row is not committed, or it is unknown whether it is.
    pub async fn record(&self, upload: NewUpload) -> Result<(), RecordError> {
        let (done, outcome) = oneshot::channel();
        let span = tracing::info_span!("record");
        let wait = span.in_scope(|| tracing::info_span!("record wait"));
        let waiting = Waiting { upload, done, span: span.clone(), wait };
        self.queue.push(waiting).map_err(|refused| match refused {
            Refused::Full => RecordError::QueueFull,
            Refused::Closed => RecordError::Closed,
        })?;
        timeout(self.commit_timeout, outcome)
            .instrument(span)
            .await
            .map_err(|_| RecordError::TimedOut)?
            .map_err(|_| RecordError::Closed)?
            .map_err(RecordError::NotCommitted)
    }

    /// Rejects new rows, writes the accepted ones, and returns when the last row has an outcome.
    pub async fn drain(&self) {
        self.queue.close();
        let mut writers = self.writers.lock().await;
        while writers.join_next().await.is_some() {}
    }
}

/// Takes batches and commits them.
struct Writer {
    ledger: Appender,
    commit_timeout: Duration,
    metrics: Arc<RecorderMetrics>,
}

impl Writer {
    async fn write_batches(mut self, queue: Arc<Queue<Waiting>>) {
        while let Some((mut rows, at_work)) = self.next(&queue).await {
            // A request that gave up was answered without a URL: its row would say that one was issued.
            rows.retain(|waiting| !waiting.done.is_closed());
            if rows.is_empty() {
                continue;
            }
            self.metrics.taken(rows.len(), at_work.longest_wait());
            let span = batch_span(&mut rows);
            let writing = AssertUnwindSafe(self.write(&mut rows).instrument(span)).catch_unwind();
            let mut writing = pin!(writing);
            let written = if let Ok(written) = timeout(MAX_EXPECTED_WRITE, &mut writing).await {
                written
            } else {
                // It may hang until its time is over: nobody else is to wait for it.
                drop(at_work);
                writing.await
            };
            if written.is_err() {
                tracing::error!("the recorder panicked: this batch gets 503, and its rows may be stored");
            }
        }
    }

    /// The next batch. An idle writer holds no connection.
    async fn next<'a>(&mut self, queue: &'a Queue<Waiting>) -> Option<(Vec<Waiting>, AtWork<'a, Waiting>)> {
        if let Ok(batch) = timeout(KEPT_FOR, queue.take()).await {
            return batch;
        }
        self.ledger.rest();
        queue.take().await
    }

    /// Writes a batch in one commit. If a row is rejected, writes row by row. Empties the batch.
    async fn write(&mut self, batch: &mut Vec<Waiting>) {
        let mut outcome = self.insert(&rows(batch)).await;
        if matches!(outcome, Err(StoreError::Conflict(_))) {
            // Once more, as Postgres expects; without those who gave up meanwhile.
            batch.retain(|waiting| !waiting.done.is_closed());
            if batch.is_empty() {
                return;
            }
            outcome = self.insert(&rows(batch)).await;
        }
        let at_fault = matches!(outcome, Err(StoreError::RowRefused(_) | StoreError::Taken { .. }));
        if at_fault && batch.len() > 1 {
            for waiting in batch.drain(..) {
                let outcome = self.insert(&[&waiting.upload]).await.map_err(Arc::new);
                tell(waiting, outcome);
            }
            return;
        }
        let outcome = outcome.map_err(Arc::new);
        for waiting in batch.drain(..) {
            tell(waiting, outcome.clone());
        }
    }

    async fn insert(&mut self, rows: &[&NewUpload]) -> Result<(), StoreError> {
        let began = Instant::now();
        let inserted = self.ledger.append_any_tenant(rows, self.commit_timeout).await;
        self.metrics.written(inserted.is_ok(), began.elapsed());
        inserted
    }
}

fn rows(batch: &[Waiting]) -> Vec<&NewUpload> {
    batch.iter().map(|waiting| &waiting.upload).collect()
}

/// A batch belongs to no single request: it has its own trace, which the traces of its requests
/// link to. Their wait ends here and their commit begins.
fn batch_span(rows: &mut [Waiting]) -> Span {
    let is_traced = rows.iter().any(|waiting| !waiting.span.is_disabled());
    if !is_traced {
        return Span::none();
    }
    let batch = tracing::info_span!(target: trace::ROOT, "record batch", presign_gateway.recorder.rows = rows.len());
    for waiting in rows.iter_mut().filter(|waiting| !waiting.span.is_disabled()) {
        trace::link(&batch, &waiting.span);
        // The one ends before the other begins, which ends when its row's fate is told.
        waiting.wait = Span::none();
        waiting.wait = waiting.span.in_scope(|| tracing::info_span!("record commit"));
    }
    batch
}

fn tell(waiting: Waiting, outcome: Outcome) {
    // Before its request goes on, and may end.
    drop((waiting.wait, waiting.span));
    // Nobody listens any more when the request has timed out.
    let _ = waiting.done.send(outcome);
}
