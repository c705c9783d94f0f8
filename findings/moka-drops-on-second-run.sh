#!/usr/bin/env bash
# moka 0.12.16 (crates.io) drops an expired value only at the second run_pending_tasks().
#
# Seen: two values expire after 50 ms. The first run_pending_tasks() brings entry_count() to 0, but neither value is
# dropped; the second run drops both. invalidate_all() behaves the same. invalidate() of one key drops its value in
# the first run.
# Expected: the documentation says that run_pending_tasks performs the pending maintenance, and entry_count() == 0
# reads as "the values are gone".
# Why it matters: a cached signing key that zeroes itself on drop, or a permit held by a cached value, lives on after
# its deadline. If the cache gets no more calls, it may live as long as the cache.
# Do instead: if a drop has an effect, call run_pending_tasks() twice from a timer.
# Output:
#   time_to_live    before: 2 entries, 0 dropped   run 1: 0 entries, 0 dropped   run 2: 0 entries, 2 dropped
#   invalidate_all  before: 2 entries, 0 dropped   run 1: 0 entries, 0 dropped   run 2: 0 entries, 2 dropped
#   invalidate      before: 2 entries, 0 dropped   run 1: 1 entries, 1 dropped   run 2: 1 entries, 1 dropped
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat > Cargo.toml <<'TOML'
[package]
name = "check"
version = "0.0.0"
edition = "2021"
[dependencies]
moka = { version = "=0.12.16", default-features = false, features = ["sync"] }
TOML
mkdir src
cat > src/main.rs <<'RUST'
use moka::sync::Cache;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::Arc;
use std::{thread, time::Duration};

struct Counted(Arc<AtomicU64>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn check(label: &str, ttl: Duration, remove: impl Fn(&Cache<u32, Arc<Counted>>), expected: [(u64, u64); 3]) {
    let dropped = Arc::new(AtomicU64::new(0));
    let cache = Cache::builder().max_capacity(100).time_to_live(ttl).build();
    for key in [1, 2] {
        cache.insert(key, Arc::new(Counted(dropped.clone())));
    }
    cache.run_pending_tasks();
    thread::sleep(Duration::from_millis(120));
    remove(&cache);
    let seen = ["before", "run 1", "run 2"].map(|step| {
        if step != "before" {
            cache.run_pending_tasks();
        }
        (step, cache.entry_count(), dropped.load(SeqCst))
    });
    let shown = seen.map(|(step, entries, drops)| format!("{step}: {entries} entries, {drops} dropped"));
    println!("{label:15} {}", shown.join("   "));
    assert_eq!(seen.map(|(_, entries, drops)| (entries, drops)), expected);
}

fn main() {
    let hour = Duration::from_secs(3_600);
    let late = [(2, 0), (0, 0), (0, 2)];
    check("time_to_live", Duration::from_millis(50), |_| (), late);
    check("invalidate_all", hour, |cache| cache.invalidate_all(), late);
    check("invalidate", hour, |cache| cache.invalidate(&1), [(2, 0), (1, 1), (1, 1)]);
}
RUST
export CARGO_TARGET_DIR="$dir/target"
cargo generate-lockfile --quiet
cargo run --quiet --locked
