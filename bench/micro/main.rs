//! What each part of the hot path costs alone, next to a baseline: `cargo bench`, or `cargo bench -- signing` for one.
//!
//! Postgres is started by what needs it and by nothing else, with its default durability, and is gone afterwards.

#![expect(clippy::unwrap_used, reason = "a measurement that meets the unexpected should fail there and then")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Bencher, Criterion};
use tokio::runtime::Runtime;

use self::database::Database;

mod api_key;
mod cache;
mod callers;
mod database;
mod envelope;
mod jwt;
mod limiter;
mod object_key;
mod recorder;
mod signing;
#[path = "../../tests/it/support/tokens.rs"]
#[expect(dead_code, reason = "the tests need more tokens than are measured")]
mod tokens;

/// As in the gateway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let runtime = Runtime::new().unwrap();
    let database = Database::new(&runtime);
    let usual = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    let mut criterion = usual.configure_from_args();
    signing::measure(&mut criterion, &runtime);
    object_key::measure(&mut criterion);
    cache::measure(&mut criterion, &runtime);
    api_key::measure(&mut criterion, &database);
    jwt::measure(&mut criterion, &database);
    limiter::measure(&mut criterion);
    envelope::measure(&mut criterion);
    recorder::measure(&mut criterion, &database);
    criterion.final_summary();
    database.stop();
}

// criterion calls what it is given once for each sample: what should last is made outside.

/// Times what is asynchronous, but waits for nobody: one call after another within one task.
fn time_async<F: Future>(bencher: &mut Bencher<'_>, runtime: &Runtime, call: impl Fn() -> F) {
    bencher.iter_custom(|times| {
        runtime.block_on(async {
            let start = Instant::now();
            for _ in 0..times {
                black_box(call().await);
            }
            start.elapsed()
        })
    });
}
