//! The recorder's queue, and the rule for when another writer starts.
//!
//! A commit costs Postgres the same for one row as for ten. So another writer starts only when
//! enough rows wait: as many as each active writer is writing. A new row wakes only the writer that
//! will take it.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Minimum waiting rows before another writer starts, while the others write few.
const WORTH_A_WRITER: usize = 24;

/// A bounded queue that returns batches.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    /// Signals that a batch is available, or that the queue is closed.
    ready: Notify,
    most: usize,
    max_batch: usize,
}

struct State<T> {
    waiting: Vec<T>,
    /// When the first of them started to wait.
    since: Option<Instant>,
    writers_at_work: usize,
    rows_at_work: usize,
    /// Another writer must start before the queue is full.
    worth_a_writer_at_most: usize,
    is_closed: bool,
}

/// Why a row was not accepted.
pub(super) enum Refused {
    Full,
    Closed,
}

impl<T> State<T> {
    fn is_ready(&self) -> bool {
        let Some(rows_of_a_writer) = self.rows_at_work.checked_div(self.writers_at_work) else {
            return !self.waiting.is_empty();
        };
        self.waiting.len() >= rows_of_a_writer.min(self.worth_a_writer_at_most).max(WORTH_A_WRITER)
    }
}

impl<T> Queue<T> {
    pub(super) fn new(most: usize, max_batch: usize) -> Self {
        let state = State {
            waiting: Vec::new(),
            since: None,
            writers_at_work: 0,
            rows_at_work: 0,
            worth_a_writer_at_most: most / 2,
            is_closed: false,
        };
        Self { state: Mutex::new(state), ready: Notify::new(), most, max_batch }
    }

    pub(super) fn push(&self, row: T) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(Refused::Closed);
        }
        if state.waiting.len() >= self.most {
            return Err(Refused::Full);
        }
        let was_ready = state.is_ready();
        // Once for each batch, too: to look at the clock for each row would cost more than to put it here.
        if state.since.is_none() {
            state.since = Some(Instant::now());
        }
        state.waiting.push(row);
        // Once for each batch, not for each row. One that finds all writers at work is found by the next that ends.
        let is_new = state.is_ready() && !was_ready;
        drop(state);
        if is_new {
            self.ready.notify_one();
        }
        Ok(())
    }

    /// Waits until a batch is available; `None` once the queue is closed and empty.
    pub(super) async fn take(&self) -> Option<(Vec<T>, AtWork<'_, T>)> {
        loop {
            // Made before looking: what becomes ready in between is not missed.
            let ready = self.ready.notified();
            {
                let mut state = self.lock();
                if state.is_ready() {
                    return Some(self.batch(&mut state));
                }
                if state.is_closed && state.waiting.is_empty() {
                    // The next one may end, too.
                    self.ready.notify_one();
                    return None;
                }
            }
            ready.await;
        }
    }

    fn batch(&self, state: &mut State<T>) -> (Vec<T>, AtWork<'_, T>) {
        let rest = if state.waiting.len() > self.max_batch {
            state.waiting.split_off(self.max_batch)
        } else {
            // The next batch will be as large: to let it grow would copy its rows again and again.
            Vec::with_capacity(state.waiting.len())
        };
        let now = Instant::now();
        let since = state.since.take().unwrap_or(now);
        if !rest.is_empty() {
            state.since = Some(now);
        }
        let rows = mem::replace(&mut state.waiting, rest);
        state.writers_at_work += 1;
        state.rows_at_work += rows.len();
        if state.is_ready() {
            self.ready.notify_one();
        }
        let at_work = AtWork { queue: self, rows: rows.len(), longest_wait: now - since };
        (rows, at_work)
    }

    /// The number of waiting rows.
    pub(super) fn depth(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Rejects new rows; waiting rows are still returned.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.ready.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Marks a writer as active with this many rows, until it is dropped; others wait until enough rows
/// do.
pub(super) struct AtWork<'a, T> {
    queue: &'a Queue<T>,
    rows: usize,
    longest_wait: Duration,
}

impl<T> AtWork<'_, T> {
    /// How long the first row of the batch has waited.
    pub(super) const fn longest_wait(&self) -> Duration {
        self.longest_wait
    }
}

impl<T> Drop for AtWork<'_, T> {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.writers_at_work -= 1;
        state.rows_at_work -= self.rows;
        let wakes = state.is_ready() || state.is_closed;
        drop(state);
        // Whoever was at work may be gone.
        if wakes {
            self.queue.ready.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::{AtWork, Queue};

    fn push(queue: &Queue<u32>, rows: u32) {
        for row in 0..rows {
            assert!(queue.push(row).is_ok());
        }
    }

    /// How many rows the next writer gets, if one may start.
    fn take(queue: &Queue<u32>) -> Option<(usize, AtWork<'_, u32>)> {
        let (rows, at_work) = queue.take().now_or_never()??;
        Some((rows.len(), at_work))
    }

    #[test]
    fn second_writer_starts_at_24_waiting_rows_or_more() {
        for (being_written, enough) in [(1, 24), (24, 24), (40, 40), (300, 300)] {
            let queue = Queue::new(1000, 512);
            push(&queue, being_written);
            let first = take(&queue);
            push(&queue, enough - 1);
            assert!(first.is_some() && take(&queue).is_none(), "{being_written} are being written");
            push(&queue, 1);
            assert_eq!(take(&queue).map(|(rows, _)| rows), usize::try_from(enough).ok());
        }
    }

    #[test]
    fn further_writer_starts_for_one_more_share_of_waiting_rows() {
        let queue = Queue::new(1000, 100);
        let mut at_work = Vec::new();
        for _ in 0..4 {
            push(&queue, 100);
            at_work.push(take(&queue));
        }
        assert!(at_work.iter().all(Option::is_some));
    }

    #[test]
    fn a_further_writer_begins_before_the_queue_is_full() {
        let queue = Queue::new(100, 512);
        push(&queue, 90);
        let first = take(&queue);
        push(&queue, 50);
        assert!(first.is_some() && take(&queue).is_some());
    }

    #[test]
    fn what_waits_is_written_as_soon_as_nobody_writes() {
        let queue = Queue::new(1000, 512);
        push(&queue, 1);
        let first = take(&queue);
        push(&queue, 5);
        assert!(first.is_some() && take(&queue).is_none());
        drop(first);
        assert!(take(&queue).is_some_and(|(rows, _)| rows == 5));
    }
}
