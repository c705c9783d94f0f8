//! Metrics of rate limits: admitted and rejected requests.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundCounter, Counter};

use super::Metrics;

/// The label of all tenants without their own label.
const OTHER: &str = "_other";

#[derive(Debug)]
pub struct LimiterMetrics {
    decisions: Counter<u64>,
    pub anonymous: Decisions,
    /// Failed authentication, counted against its address.
    pub failures: Decisions,
    most_tenants: usize,
    tenants: Mutex<HashSet<String>>,
}

/// The decisions of one limit.
#[derive(Debug)]
pub struct Decisions {
    pub admitted: BoundCounter<u64>,
    pub refused: BoundCounter<u64>,
}

impl Decisions {
    fn of(decisions: &Counter<u64>, labels: &[KeyValue]) -> Self {
        let bind = |decision| {
            let labels: Vec<_> = labels.iter().cloned().chain([KeyValue::new("decision", decision)]).collect();
            decisions.bind(&labels)
        };
        Self { admitted: bind("admitted"), refused: bind("refused") }
    }

    /// Counts a decision.
    pub fn note<T, E>(&self, outcome: &Result<T, E>) {
        if outcome.is_ok() { self.admitted.add(1) } else { self.refused.add(1) }
    }
}

impl LimiterMetrics {
    pub(super) fn new(metrics: &Metrics, most_tenants: usize) -> Self {
        let decisions =
            metrics.counter("presign_gateway.limiter.decisions", "Requests admitted or refused by a rate limit.");
        let of = |limit| Decisions::of(&decisions, &[KeyValue::new("limit", limit)]);
        let (anonymous, failures) = (of("anonymous"), of("failures"));
        Self { decisions, anonymous, failures, most_tenants, tenants: Mutex::default() }
    }

    /// The decisions of a tenant's limit, under its name unless too many tenants have one.
    #[must_use]
    pub fn tenant(&self, slug: &str) -> Decisions {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let is_named = tenants.contains(slug) || tenants.len() < self.most_tenants && tenants.insert(slug.to_owned());
        let label = if is_named { slug.to_owned() } else { OTHER.to_owned() };
        Decisions::of(&self.decisions, &[KeyValue::new("limit", "tenant"), KeyValue::new("tenant", label)])
    }
}
