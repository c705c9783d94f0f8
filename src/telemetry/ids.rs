//! Which request a line of the log belongs to: known to whatever runs within the request, without anybody passing it on.

use std::sync::Arc;

use opentelemetry::trace::{SpanContext, SpanId, TraceId};
use tokio::task::futures::TaskLocalFuture;

tokio::task_local! {
    static REQUEST: Arc<RequestIds>;
}

/// How a request is named in the log, in answers, and in its trace.
#[derive(Debug)]
pub struct RequestIds {
    pub request_id: String,
    /// Where its trace is kept.
    pub trace: Option<TraceIds>,
}

/// A trace, and the span in it that stands for the request (<https://www.w3.org/TR/trace-context/>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceIds {
    pub trace_id: TraceId,
    pub span_id: SpanId,
}

impl From<&SpanContext> for TraceIds {
    fn from(context: &SpanContext) -> Self {
        Self { trace_id: context.trace_id(), span_id: context.span_id() }
    }
}

impl RequestIds {
    /// The trace's id in 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> Option<String> {
        self.trace.map(|trace| trace.trace_id.to_string())
    }
}

/// Runs the future as a part of this request.
pub fn within<F: Future>(ids: Arc<RequestIds>, future: F) -> TaskLocalFuture<Arc<RequestIds>, F> {
    REQUEST.scope(ids, future)
}

/// Calls `f` with the request that this is a part of, if it is one's.
pub(super) fn current<T>(f: impl FnOnce(&RequestIds) -> T) -> Option<T> {
    REQUEST.try_with(|ids| f(ids)).ok()
}
