//! Gauges: values that are read on collection, not counted as they change.

use std::time::Duration;

use opentelemetry::KeyValue;

use super::Metrics;

/// The number of connections of a pool.
#[derive(Debug, Clone, Copy)]
pub struct PoolStats {
    pub idle: u64,
    pub used: u64,
    pub max: u64,
}

/// JWT issuers with fetched keys, by the outcome of the last fetch.
#[derive(Debug, Clone, Copy, Default)]
pub struct JwksStats {
    pub fresh: u64,
    pub failing: u64,
    /// The age of the oldest keys.
    pub oldest_fresh: Duration,
    pub oldest_failing: Duration,
}

impl Metrics {
    /// The pools of connections to Postgres, by their names.
    pub fn observe_pools<F>(&self, pools: [(&'static str, F); 2])
    where
        F: Fn() -> PoolStats + Clone + Send + Sync + 'static,
    {
        let named = |name| KeyValue::new("db.client.connection.pool.name", name);
        let most = pools.clone();
        let count = self.0.meter.u64_observable_gauge("db.client.connection.count").with_callback(move |count| {
            for (name, pool) in &pools {
                let PoolStats { idle, used, .. } = pool();
                let state = |state| [named(*name), KeyValue::new("db.client.connection.state", state)];
                count.observe(idle, &state("idle"));
                count.observe(used, &state("used"));
            }
        });
        count.with_description("Connections to Postgres.").build();
        let max = self.0.meter.u64_observable_gauge("db.client.connection.max").with_callback(move |max| {
            for (name, pool) in &most {
                max.observe(pool().max, &[named(*name)]);
            }
        });
        max.with_description("Maximum number of connections to Postgres.").build();
    }

    /// Rows in the recorder's queue, and its capacity.
    pub fn observe_queue(&self, depth: impl Fn() -> usize + Send + Sync + 'static, capacity: usize) {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let gauge = self.0.meter.u64_observable_gauge("presign_gateway.recorder.queue.depth");
        let gauge = gauge.with_callback(move |gauge| gauge.observe(count(depth()), &[]));
        gauge.with_description("Rows waiting to be recorded.").build();
        let gauge = self.0.meter.u64_observable_gauge("presign_gateway.recorder.queue.capacity");
        let gauge = gauge.with_callback(move |gauge| gauge.observe(count(capacity), &[]));
        gauge.with_description("Maximum number of waiting rows.").build();
    }

    /// Entries of each cache.
    pub fn observe_caches(&self, entries: impl Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static) {
        let gauge = self.0.meter.u64_observable_gauge("presign_gateway.cache.entries").with_callback(move |gauge| {
            for (name, entries) in entries() {
                gauge.observe(entries, &[KeyValue::new("cache", name)]);
            }
        });
        gauge.with_description("Cache entries.").build();
    }

    /// Issuers that publish their keys.
    pub fn observe_jwks(&self, facts: impl Fn() -> JwksStats + Clone + Send + Sync + 'static) {
        let state = |state| [KeyValue::new("state", state)];
        let counted = facts.clone();
        let gauge = self.0.meter.u64_observable_gauge("presign_gateway.jwks.issuers").with_callback(move |gauge| {
            let JwksStats { fresh, failing, .. } = counted();
            gauge.observe(fresh, &state("fresh"));
            gauge.observe(failing, &state("failing"));
        });
        gauge.with_description("JWT issuers whose keys are fetched, by the outcome of the last fetch.").build();
        let gauge = self.0.meter.f64_observable_gauge("presign_gateway.jwks.age").with_callback(move |gauge| {
            let JwksStats { oldest_fresh, oldest_failing, .. } = facts();
            gauge.observe(oldest_fresh.as_secs_f64(), &state("fresh"));
            gauge.observe(oldest_failing.as_secs_f64(), &state("failing"));
        });
        gauge.with_unit("s").with_description("Age of the oldest key set of a JWT issuer.").build();
    }

    /// Whether change notifications are received.
    pub fn observe_listening(&self, is_on: impl Fn() -> bool + Send + Sync + 'static) {
        let gauge = self.0.meter.u64_observable_gauge("presign_gateway.listening");
        let gauge = gauge.with_callback(move |gauge| gauge.observe(u64::from(is_on()), &[]));
        gauge.with_description("1 while change notifications arrive, otherwise 0.").build();
    }

    /// The age of the sealing key, if known.
    pub fn observe_sealing_key(&self, age: impl Fn() -> Option<Duration> + Send + Sync + 'static) {
        let gauge = self.0.meter.f64_observable_gauge("presign_gateway.sealing_key.age").with_callback(move |gauge| {
            if let Some(age) = age() {
                gauge.observe(age.as_secs_f64(), &[]);
            }
        });
        gauge.with_unit("s").with_description("Age of the primary sealing key, by the date in its id.").build();
    }
}
