//! Moments on the command line.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

/// A moment, or the first one of a day, in UTC.
pub(super) fn parse_time(text: &str) -> Result<DateTime<Utc>, &'static str> {
    let day = || Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc());
    text.parse().ok().or_else(day).ok_or("must be a day such as 2026-11-22, or a time such as 2026-11-22T18:00:00Z")
}
