//! Decides which requests are traced, and turns spans into OpenTelemetry's.
//!
//! A request is sampled once, at its start, before it has a span. Spans inside it exist only if a
//! span around them does, so they cost next to nothing in a request that is not traced. A span that
//! starts a trace has the target [`ROOT`]; every other span is a child of the span it is created
//! in.

use std::borrow::Cow;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use http::HeaderMap;
use ipnet::IpNet;
use opentelemetry::Context as OtelContext;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt, TraceId, TraceState, TracerProvider};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SdkTracerProvider, ShouldSample};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::config::telemetry::{Sampler as Configured, TelemetryConfig};
use crate::domain::randomness::Randomness;

use super::correlation::Correlation;

/// The target of spans that start a trace.
pub const ROOT: &str = "presign_gateway::trace";
const OURS: &str = "presign_gateway";

/// Decides which requests are traced.
#[derive(Debug, Clone)]
pub struct Tracing(Option<Arc<Options>>);

#[derive(Debug)]
struct Options {
    sampler: Sampler,
    trusted_callers: Vec<IpNet>,
}

/// How the trace of a request begins.
pub struct Beginning {
    /// The trace that this one continues.
    parent: Option<OtelContext>,
    /// The trace that this one only links to.
    link: Option<SpanContext>,
}

/// A trace that lasts as long as its span.
pub struct BegunTrace {
    pub ids: Correlation,
    /// Whether it starts here instead of continuing another trace.
    pub is_new: bool,
}

impl Tracing {
    /// No request is traced.
    #[must_use]
    pub const fn off() -> Self {
        Self(None)
    }

    pub(super) fn new(config: &TelemetryConfig) -> Self {
        let sampler = sampler(config.sampler, config.sampler_ratio.get());
        Self(Some(Arc::new(Options { sampler, trusted_callers: config.trusted_callers.clone() })))
    }

    /// Whether and how to trace a request: it continues the trace of a trusted caller's header
    /// fields.
    pub fn of_request(&self, headers: &HeaderMap, caller: IpAddr) -> Option<Beginning> {
        let options = self.0.as_deref()?;
        let named = TraceContextPropagator::new().extract_with_context(&OtelContext::new(), &Fields(headers));
        let named = Some(named).filter(OtelContext::has_active_span);
        let is_trusted = options.trusted_callers.iter().any(|network| network.contains(&caller));
        let (parent, link) =
            if is_trusted { (named, None) } else { (None, named.map(|named| bare(&context_of(&named)))) };
        options.keeps(parent.as_ref()).then_some(Beginning { parent, link })
    }
}

impl Options {
    fn keeps(&self, parent: Option<&OtelContext>) -> bool {
        let new_id = || TraceId::from_bytes(Randomness::System.bytes());
        let trace_id = parent.map_or_else(new_id, |parent| parent.span().span_context().trace_id());
        let sampled = self.sampler.should_sample(parent, trace_id, "", &SpanKind::Server, &[], &[]);
        sampled.decision == SamplingDecision::RecordAndSample
    }
}

impl Beginning {
    /// Starts the trace with this span; `None` if nothing samples it.
    #[must_use]
    pub fn with(self, span: &Span) -> Option<BegunTrace> {
        let is_new = self.parent.is_none();
        if let Some(parent) = self.parent {
            span.set_parent(parent).ok()?;
        }
        if let Some(link) = self.link {
            span.add_link(link);
        }
        let context = context_of(&span.context());
        context.is_valid().then(|| BegunTrace { ids: Correlation::from(&context), is_new })
    }
}

/// Header fields as the propagator reads them; a repeated one is ignored.
struct Fields<'a>(&'a HeaderMap);

impl Extractor for Fields<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        let is_sound = values.next().is_none() && (name != "traceparent" || is_traceparent(value));
        is_sound.then_some(value)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

/// Whether it has the form of the specification
/// (<https://www.w3.org/TR/trace-context/#traceparent-header-field-values>). The propagator accepts
/// ids and flags of any length, and signs.
fn is_traceparent(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut are_digits = |count| {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        parts.next().is_some_and(|part| part.len() == count && part.bytes().all(is_digit))
    };
    // A later version may say more.
    [2, 32, 16, 2].into_iter().all(&mut are_digits) && (parts.next().is_none() || !text.starts_with("00"))
}

/// The span's id, without its `tracestate`, which can be anything.
fn bare(named: &SpanContext) -> SpanContext {
    SpanContext::new(named.trace_id(), named.span_id(), named.trace_flags(), true, TraceState::NONE)
}

fn context_of(context: &OtelContext) -> SpanContext {
    context.span().span_context().clone()
}

/// Names a span that has started; the field `otel.name` has no effect then.
pub fn rename(span: &Span, name: impl Into<Cow<'static, str>>) {
    span.context().span().update_name(name);
}

/// Awaits a pinned future within a span. `Instrument` would move the future, which copies it even
/// if nothing is traced.
pub async fn within<F: Future>(span: &Span, mut future: Pin<&mut F>) -> F::Output {
    poll_fn(|context| {
        let _entered = span.enter();
        future.as_mut().poll(context)
    })
    .await
}

/// Links `span` to `other`, which belongs to another trace.
pub fn link(span: &Span, other: &Span) {
    span.add_link(context_of(&other.context()));
}

fn sampler(configured: Configured, ratio: f64) -> Sampler {
    let parent_based = |root| Sampler::ParentBased(Box::new(root));
    match configured {
        Configured::AlwaysOn => Sampler::AlwaysOn,
        Configured::AlwaysOff => Sampler::AlwaysOff,
        Configured::TraceIdRatio => Sampler::TraceIdRatioBased(ratio),
        Configured::ParentBasedAlwaysOn => parent_based(Sampler::AlwaysOn),
        Configured::ParentBasedAlwaysOff => parent_based(Sampler::AlwaysOff),
        Configured::ParentBasedTraceIdRatio => parent_based(Sampler::TraceIdRatioBased(ratio)),
    }
}

/// Converts our spans to OpenTelemetry's.
pub(super) fn layer<S>(traces: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    tracing_opentelemetry::layer()
        .with_tracer(traces.tracer(OURS))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_level(false)
        .with_target(false)
        .with_filter(filter_fn(may_be_traced))
}

/// Our spans, and warnings inside them.
fn may_be_traced(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with(OURS) && (metadata.is_span() || *metadata.level() <= Level::WARN)
}

/// Creates a span only if it starts a trace or is inside one. A filter of a single layer would
/// create the span and hide it from that layer, because the decision depends on where the span is
/// created.
pub(super) struct Gate {
    /// Whether tracing is enabled.
    pub is_on: bool,
    /// The log's filter, so that events that nobody logs are not checked.
    pub events: Targets,
}

/// The kind of a callsite.
enum Asked {
    Event,
    /// A span that starts a trace.
    Root,
    Child,
    /// A library's span or event: each layer decides.
    Foreign,
}

impl Asked {
    fn about(metadata: &Metadata<'_>) -> Self {
        match metadata.target() {
            _ if !metadata.is_span() => Self::Event,
            ROOT => Self::Root,
            target if target.starts_with(OURS) => Self::Child,
            _ => Self::Foreign,
        }
    }
}

impl<S> Layer<S> for Gate
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match (Asked::about(metadata), self.is_on) {
            (Asked::Event, _) => Layer::<S>::register_callsite(&self.events, metadata),
            (Asked::Root | Asked::Child, false) => Interest::never(),
            (Asked::Child, true) => Interest::sometimes(),
            (Asked::Root, true) | (Asked::Foreign, _) => Interest::always(),
        }
    }

    /// Events that are never logged are not even checked.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        let events = Layer::<S>::max_level_hint(&self.events);
        if self.is_on { events.max(Some(LevelFilter::INFO)) } else { events }
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        match Asked::about(metadata) {
            Asked::Event => Layer::<S>::enabled(&self.events, metadata, context),
            Asked::Root => self.is_on,
            Asked::Child => self.is_on && context.lookup_current().is_some(),
            Asked::Foreign => true,
        }
    }
}
