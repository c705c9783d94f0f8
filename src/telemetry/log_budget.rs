//! Limits request log lines a second. Under load, the log must not cost more than the work.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::metrics::log::LogMetrics;

/// The budget that a request's line counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    Success,
    /// An error of the caller, or a rejection.
    ClientError,
}

/// Maximum lines in each second, of each kind.
#[derive(Debug)]
pub struct LineBudget {
    per_second: u64,
    started: Instant,
    success: Window,
    client_error: Window,
    metrics: LogMetrics,
}

/// The count of the current second. Every request reads it, so it is written as rarely as possible:
/// each write invalidates the cache line of the other processors.
#[derive(Debug, Default)]
struct Window {
    second: AtomicU64,
    written: AtomicU64,
    suppressed: AtomicU64,
}

impl LineBudget {
    /// With 0 a second, every line is written.
    #[must_use]
    pub fn new(per_second: u64, metrics: LogMetrics) -> Self {
        let (success, client_error) = (Window::default(), Window::default());
        Self { per_second, started: Instant::now(), success, client_error, metrics }
    }

    /// Whether to write a line, and how many like it were suppressed since the last one.
    pub fn take(&self, kind: LineKind) -> Option<u64> {
        if self.per_second == 0 {
            return Some(0);
        }
        let window = match kind {
            LineKind::Success => &self.success,
            LineKind::ClientError => &self.client_error,
        };
        let taken = window.take(self.per_second, self.started.elapsed().as_secs());
        if taken.is_none() {
            self.metrics.suppressed(kind);
        }
        taken
    }
}

impl Window {
    /// Two requests at the start of a second may both reset it; one line more or less does not
    /// matter.
    fn take(&self, per_second: u64, second: u64) -> Option<u64> {
        if self.second.load(Ordering::Relaxed) != second && self.second.swap(second, Ordering::Relaxed) != second {
            self.written.store(0, Ordering::Relaxed);
        }
        let has_room = self.written.load(Ordering::Relaxed) < per_second;
        if has_room && self.written.fetch_add(1, Ordering::Relaxed) < per_second {
            Some(self.suppressed.swap(0, Ordering::Relaxed))
        } else {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}
