//! The one way to learn what time it is, so that tests can choose it.

use chrono::{DateTime, Utc};

/// Tells the time in UTC.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// Always this moment; for tests and examples.
    Fixed(DateTime<Utc>),
}

impl Clock {
    /// The present moment.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place that the ban leads to")]
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            Self::System => Utc::now(),
            Self::Fixed(moment) => *moment,
        }
    }
}
