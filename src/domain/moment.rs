//! Times as people write them: a time, or a day, which means its first moment.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};

/// Years that both ids and Postgres can represent.
const YEARS: std::ops::RangeInclusive<i32> = 1970..=9999;

/// The forms that [`parse`] accepts, as the rest of a sentence.
pub const EXPECTED: &str =
    "must be a time such as 2026-11-22T18:00:00Z, or a day such as 2026-11-22, in the years 1970 to 9999";

/// Parses a time, or a day, which means its first moment, in UTC.
#[must_use]
pub fn parse(text: &str) -> Option<DateTime<Utc>> {
    let day = || Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc());
    text.parse().ok().or_else(day).filter(|time: &DateTime<Utc>| YEARS.contains(&time.year()))
}
