//! Times as arguments of commands.

use chrono::{DateTime, Utc};

use crate::domain::moment;

/// A moment, or the first one of a day, in UTC.
pub(super) fn parse_time(text: &str) -> Result<DateTime<Utc>, &'static str> {
    moment::parse(text).ok_or(moment::EXPECTED)
}
