//! Hostile input: random bytes as values, malformed HTTP, and SQL in text.

use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::stack::{Setup, TestStack};

mod corpus;
mod http1;
mod http2;
mod sql;
#[path = "../fuzz/src/lib.rs"]
mod targets;

/// A gateway that waits for a machine that is busy with all tests at once.
fn patient() -> Setup {
    let database = Setup::new().set("DATABASE__ACQUIRE_TIMEOUT_MS", "9000").set("DATABASE__READ_TIMEOUT_MS", "9000");
    database.set("UPLOADS__COMMIT_TIMEOUT_MS", "9000").set("SERVER__REQUEST_TIMEOUT_SECONDS", "20")
}

/// With a client that keeps no connections: the gateway closes those that rest as soon as it may here.
async fn impatient(header_timeout_seconds: &str) -> TestStack {
    let mut stack = patient().set("SERVER__HEADER_TIMEOUT_SECONDS", header_timeout_seconds).start().await;
    stack.client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    stack
}

/// How often the gateway's own code has panicked in this process, wherever that was caught.
fn panics() -> usize {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |told| {
            if told.location().is_none_or(|place| !place.file().starts_with("tests/")) {
                PANICS.fetch_add(1, Ordering::Relaxed);
            }
            usual(told);
        }));
    });
    PANICS.load(Ordering::Relaxed)
}
