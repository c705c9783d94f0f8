//! The one way to learn what time it is, so that tests can choose it.

use chrono::{DateTime, SubsecRound, Utc};

/// Tells the time in UTC.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// Always this moment; for tests and examples.
    Fixed(DateTime<Utc>),
}

impl Clock {
    /// The present moment, to the microsecond.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place that the ban leads to")]
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            // As exact as Postgres keeps it: what is shown at once and what is read later are the same.
            Self::System => Utc::now().trunc_subsecs(6),
            Self::Fixed(moment) => *moment,
        }
    }
}
