//! Times as people write them: a time, or a day, which means its first moment.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};

/// Years that ids and Postgres can both tell.
const YEARS: std::ops::RangeInclusive<i32> = 1970..=9999;

/// What [`parse`] takes, as the rest of a sentence.
pub const EXPECTED: &str =
    "must be a time such as 2026-11-22T18:00:00Z, or a day such as 2026-11-22, in the years 1970 to 9999";

/// Reads a time, or the beginning of a day, in UTC.
#[must_use]
pub fn parse(text: &str) -> Option<DateTime<Utc>> {
    let day = || Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc());
    text.parse().ok().or_else(day).filter(|time: &DateTime<Utc>| YEARS.contains(&time.year()))
}
