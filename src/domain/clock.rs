//! The clock: the only source of the current time, so that tests can set it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// Returns the time in UTC.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// Always this time; for tests and examples.
    Fixed(DateTime<Utc>),
    /// The machine's clock with an offset in seconds that can change at any time; for tests.
    Shifted(Arc<AtomicI64>),
}

impl Clock {
    /// The current time, to the microsecond.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place that the ban leads to")]
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            // As exact as Postgres keeps it: what is shown at once and what is read later are the same.
            Self::System => Utc::now().trunc_subsecs(6),
            Self::Fixed(moment) => *moment,
            Self::Shifted(seconds) => {
                Self::System.now() + TimeDelta::try_seconds(seconds.load(Ordering::SeqCst)).unwrap_or_default()
            }
        }
    }
}
