//! Letting a caller in, with limits that nobody reaches.

use std::cell::LazyCell;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::Arc;

use criterion::{Criterion, Throughput};
use governor::middleware::StateInformationMiddleware;
use governor::{Quota, RateLimiter};
use presign_gateway::domain::caller::{Caller, CallerKind, Scopes};
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::ids::TenantId;
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::tenant::{Policy, RateLimit, Slug, Tenant, TenantStatus};
use presign_gateway::rate_limit::Limits;
use presign_gateway::telemetry::metrics::Metrics;

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Faster than any loop asks.
const UNREACHED: NonZeroU32 = NonZeroU32::new(1_000_000_000).unwrap();
const RATE_LIMIT: RateLimit = RateLimit { per_second: UNREACHED, burst: UNREACHED };
const MANY: usize = 10_000;

pub fn measure(criterion: &mut Criterion) {
    let (limits, caller) = (Limits::new(RATE_LIMIT, RATE_LIMIT, MANY, Metrics::off().limiter()), caller(RATE_LIMIT));
    let many = LazyCell::new(|| {
        let callers: Vec<Caller> = std::iter::repeat_with(|| self::caller(RATE_LIMIT)).take(MANY).collect();
        for caller in &callers {
            limits.admit(caller.clone(), ADDRESS).unwrap();
        }
        callers
    });
    let eager = LazyCell::new(|| {
        let caller = self::caller(RateLimit::new(1, 1).unwrap());
        limits.admit(caller.clone(), ADDRESS).unwrap();
        caller
    });

    let mut group = criterion.benchmark_group("limiter");
    group.throughput(Throughput::Elements(1));
    group.bench_function("gateway", |bencher| {
        bencher.iter(|| limits.admit(caller.clone(), ADDRESS).unwrap());
    });
    group.bench_function("gateway, 10000 tenants in turn", |bencher| {
        let mut turns = many.iter().cycle();
        bencher.iter(|| limits.admit(turns.next().unwrap().clone(), ADDRESS).unwrap());
    });
    group.bench_function("gateway, a caller who is refused", |bencher| {
        bencher.iter(|| limits.admit(eager.clone(), ADDRESS).is_err());
    });
    group.bench_function("baseline governor", |bencher| {
        let quota = Quota::per_second(UNREACHED).allow_burst(UNREACHED);
        // It tells what is left, as answers do.
        let governor = RateLimiter::direct(quota).with_middleware::<StateInformationMiddleware>();
        bencher.iter(|| governor.check().unwrap());
    });
    group.finish();
}

/// A caller of a tenant of its own.
fn caller(rate_limit: RateLimit) -> Caller {
    let now = Clock::System.now();
    let tenant = Tenant {
        id: TenantId::generate(now, &Randomness::System),
        slug: Slug::parse("alpha").unwrap(),
        name: "Alpha".to_owned(),
        status: TenantStatus::Active,
        rate_limit,
        policy: Policy::default_policy().unwrap(),
        created_at: now,
        updated_at: now,
        revision: 1,
    };
    Caller { tenant: Arc::new(tenant), kind: CallerKind::Jwt, id: None, subject: None, scopes: Scopes::all() }
}
