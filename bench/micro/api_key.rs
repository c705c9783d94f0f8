//! Checking an API key that is in memory already.

use std::cell::LazyCell;
use std::hint::black_box;

use aws_lc_rs::digest::{SHA256, digest};
use criterion::{Criterion, Throughput};
use presign_gateway::auth::Presented;
use presign_gateway::auth::api_key::{self, PresentedApiKey};
use presign_gateway::domain::randomness::Randomness;
use secrecy::ExposeSecret;

use super::callers::Callers;
use super::database::Database;

pub fn measure(criterion: &mut Criterion, database: &Database<'_>) {
    let generated = api_key::generate(&Randomness::System);
    let text = generated.text.expose_secret();
    let known = LazyCell::new(|| {
        let callers = Callers::new(database);
        let api_key = Presented::ApiKey(callers.add_api_key());
        (callers, api_key)
    });

    let mut group = criterion.benchmark_group("api_key");
    group.throughput(Throughput::Elements(1));
    group.bench_function("gateway", |bencher| {
        let (callers, api_key) = &*known;
        callers.time_authentication(bencher, api_key);
    });
    group.bench_function("gateway, form and secret alone", |bencher| {
        bencher.iter(|| PresentedApiKey::parse(black_box(text)).unwrap().matches(&generated.secret_sha256));
    });
    // The secret is between the second `_` and the checksum of six characters.
    let secret = text.rsplit('_').next().and_then(|rest| rest.split_at_checked(32)).unwrap().0;
    group.bench_function("baseline SHA-256", |bencher| {
        bencher.iter(|| digest(&SHA256, black_box(secret.as_bytes())));
    });
    group.finish();
}
