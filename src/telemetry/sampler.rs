//! The sampler of the SDK. Requests are sampled before they have a span, so this one decides only
//! for work without a request.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};

use crate::config::telemetry::{Ratio, Sampler};

/// Samples every span of a traced request and of the work it caused. The gateway's own work, such
/// as sweeper rounds, is so little that all of it is sampled, unless sampling is off.
#[derive(Debug, Clone)]
pub(super) struct ParentSampler {
    keeps_own: bool,
}

impl ParentSampler {
    pub(super) fn new(sampler: Sampler, ratio: Ratio) -> Self {
        let keeps_own = match sampler {
            Sampler::AlwaysOn | Sampler::ParentBasedAlwaysOn => true,
            Sampler::AlwaysOff | Sampler::ParentBasedAlwaysOff => false,
            Sampler::TraceIdRatio | Sampler::ParentBasedTraceIdRatio => ratio.get() > 0.0,
        };
        Self { keeps_own }
    }
}

impl ShouldSample for ParentSampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _: TraceId,
        _: &str,
        kind: &SpanKind,
        _: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let parent =
            parent.filter(|parent| parent.has_active_span()).map(|parent| parent.span().span_context().clone());
        let keeps = match &parent {
            // A request's own parent may be one that its caller does not keep.
            _ if *kind == SpanKind::Server => true,
            Some(parent) => parent.is_sampled(),
            // One that refers to a request is made for that.
            None => self.keeps_own || !links.is_empty(),
        };
        let decision = if keeps { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop };
        let trace_state = parent.map_or_else(TraceState::default, |parent| parent.trace_state().clone());
        SamplingResult { decision, attributes: Vec::new(), trace_state }
    }
}
