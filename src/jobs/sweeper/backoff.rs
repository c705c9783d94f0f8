//! Backoff for a failing bucket: each failure doubles the pause.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

/// After the first failure, and at most.
const FIRST_REST: Duration = Duration::from_secs(1);
const MAX_REST: Duration = Duration::from_mins(5);
/// How long after its rest a bucket is remembered that nobody asked for again.
const MEMORY: Duration = Duration::from_hours(1);

/// A bucket's failures, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    pub reason: String,
    pub failures: u32,
    pub since: DateTime<Utc>,
    pub next_try_at: DateTime<Utc>,
    rests_until: Instant,
}

impl Backoff {
    /// The fate after one more failure; `chance` is from 0 to 1.
    pub fn after(before: Option<&Self>, reason: String, now: DateTime<Utc>, chance: f64) -> Self {
        let failures = before.map_or(0, |before| before.failures).saturating_add(1);
        let rest = rest(failures, chance);
        let since = before.map_or(now, |before| before.since);
        Self { reason, failures, since, next_try_at: now + rest, rests_until: Instant::now() + rest }
    }

    pub fn rests(&self, now: Instant) -> bool {
        now < self.rests_until
    }

    pub fn is_forgotten(&self, now: Instant) -> bool {
        self.rests_until + MEMORY < now
    }
}

/// Twice as long each time, and somewhat less by chance, so that instances do not come back together.
fn rest(failures: u32, chance: f64) -> Duration {
    let longest = FIRST_REST.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1))).min(MAX_REST);
    longest.mul_f64(1.0 - chance / 4.0)
}
