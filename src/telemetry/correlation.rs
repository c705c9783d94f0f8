//! The request that a log line belongs to, as a task-local value, so that no function has to pass
//! it on.

use std::sync::Arc;

use futures_util::future::Either;
use opentelemetry::trace::{SpanContext, SpanId, TraceId};
use tokio::task::futures::TaskLocalFuture;

tokio::task_local! {
    static REQUEST: Arc<dyn Identified>;
}

/// A request, as the log names it, its answer, and its trace.
pub trait Identified: Send + Sync {
    fn request_id(&self) -> &str;

    /// Where its trace is kept.
    fn trace(&self) -> Option<Correlation>;
}

/// A trace, and the span in it that stands for the request (<https://www.w3.org/TR/trace-context/>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Correlation {
    pub trace_id: TraceId,
    pub span_id: SpanId,
}

impl From<&SpanContext> for Correlation {
    fn from(context: &SpanContext) -> Self {
        Self { trace_id: context.trace_id(), span_id: context.span_id() }
    }
}

/// Runs the future as a part of this request.
pub fn within<F: Future>(request: Arc<dyn Identified>, future: F) -> TaskLocalFuture<Arc<dyn Identified>, F> {
    REQUEST.scope(request, future)
}

/// The same for what goes on in a task of its own, as a part of the request that this is a part of.
pub fn carried<F: Future>(future: F) -> impl Future<Output = F::Output> + use<F> {
    match REQUEST.try_with(Arc::clone) {
        Ok(request) => Either::Left(within(request, future)),
        Err(_) => Either::Right(future),
    }
}

/// Calls `f` with the request that this is a part of, if it is one's.
pub(super) fn current<T>(f: impl FnOnce(&dyn Identified) -> T) -> Option<T> {
    REQUEST.try_with(|request| f(&**request)).ok()
}
