//! The request that a log line belongs to, as a task-local value, so that no function has to pass
//! it on.

use std::sync::Arc;

use futures_util::future::Either;
use opentelemetry::trace::{SpanContext, SpanId, TraceId};
use tokio::task::futures::TaskLocalFuture;

tokio::task_local! {
    static REQUEST: Arc<dyn Identified>;
}

/// A request as the log identifies it, its response, and its trace.
pub trait Identified: Send + Sync {
    fn request_id(&self) -> &str;

    /// Its trace, if it is sampled.
    fn trace(&self) -> Option<Correlation>;
}

/// A trace, and the span of the request in it (<https://www.w3.org/TR/trace-context/>).
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

/// Runs the future as part of this request.
pub fn within<F: Future>(request: Arc<dyn Identified>, future: F) -> TaskLocalFuture<Arc<dyn Identified>, F> {
    REQUEST.scope(request, future)
}

/// Runs a future of another task as part of the current request.
pub fn carried<F: Future>(future: F) -> impl Future<Output = F::Output> + use<F> {
    match REQUEST.try_with(Arc::clone) {
        Ok(request) => Either::Left(within(request, future)),
        Err(_) => Either::Right(future),
    }
}

/// Calls `f` with the current request, if there is one.
pub(super) fn current<T>(f: impl FnOnce(&dyn Identified) -> T) -> Option<T> {
    REQUEST.try_with(|request| f(&**request)).ok()
}
