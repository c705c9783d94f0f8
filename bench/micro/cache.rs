//! A hit in the cache that callers, tenants and credentials are kept in.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use presign_gateway::cache::Cache;
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::ids::TenantId;
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::telemetry::metrics::Metrics;
use tokio::runtime::Runtime;

/// As `auth.cache_entries` is by default.
const MAX_ENTRIES: u64 = 100_000;
/// Longer than any measurement.
const MAX_AGE: Duration = Duration::from_hours(1);

pub fn measure(criterion: &mut Criterion, runtime: &Runtime) {
    let mut group = criterion.benchmark_group("cache");
    for entries in [1, 10_000] {
        let cache = Cache::<_, _, ()>::new(MAX_ENTRIES, MAX_AGE, Metrics::off().cache("bench"));
        let keys: Vec<_> = (0..entries).map(|_| TenantId::generate(Clock::System.now(), &Randomness::System)).collect();
        for key in &keys {
            runtime.block_on(cache.get_or_read(key, async || Ok(Arc::new([0; 50])))).unwrap();
        }
        let mut keys = keys.iter().cycle();
        group.bench_function(format!("hit, {entries} entries"), |bencher| {
            bencher.iter(|| black_box(cache.get(keys.next().unwrap())).unwrap());
        });
    }
    group.finish();
}
