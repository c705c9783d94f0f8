//! Usage: what was issued, declared and stored, as a query and its result.

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use strum::IntoStaticStr;

use super::Invalid;
use super::search::moment;

/// Maximum days of one query.
pub const MAX_DAYS: i64 = 400;
/// Default days of a query.
const DEFAULT_DAYS: i64 = 30;
const HOUR: TimeDelta = TimeDelta::hours(1);
const DAY: TimeDelta = TimeDelta::days(1);

/// The dimensions of usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum UsageBy {
    /// By the day of issue, in UTC.
    Day,
    Type,
    State,
    Ext,
    ApiKey,
    /// For operators.
    Tenant,
}

impl UsageBy {
    /// The dimensions that a tenant can query.
    pub const OF_TENANT: [Self; 5] = [Self::Day, Self::Type, Self::State, Self::Ext, Self::ApiKey];
    pub const ALL: [Self; 6] = [Self::Day, Self::Type, Self::State, Self::Ext, Self::ApiKey, Self::Tenant];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }

    /// Parses a dimension.
    ///
    /// # Errors
    /// The word is unknown.
    pub fn parse(text: &str, known: &[Self]) -> Result<Self, Invalid> {
        known.iter().copied().find(|by| by.as_str() == text).ok_or_else(|| {
            let words: Vec<_> = known.iter().map(|by| by.as_str()).collect();
            Invalid::new("by", format!("must be one of: {}", words.join(", ")))
        })
    }
}

/// Full hours, as a half-open range of issue times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageRange {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

impl UsageRange {
    /// The same from a query: times, or days, which mean their first moments.
    ///
    /// # Errors
    /// A value that is neither, and the errors of [`new`](Self::new).
    pub fn parse(from: Option<&str>, to: Option<&str>, now: DateTime<Utc>) -> Result<Self, Invalid> {
        Self::new(moment("from", from)?, moment("to", to)?, now)
    }

    /// The requested hours; by default the last 30 days up to the end of the current hour.
    ///
    /// # Errors
    /// The times are not full hours, the range is empty, or it is longer than [`MAX_DAYS`].
    pub fn new(from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<Self, Invalid> {
        check("from", from)?;
        check("to", to)?;
        let to = to.unwrap_or_else(|| floor(now, HOUR) + HOUR);
        let from = from.unwrap_or_else(|| to - TimeDelta::days(DEFAULT_DAYS));
        if to <= from {
            return Err(Invalid::new("to", "must be after from (default: the end of the current hour)"));
        }
        if to - from > TimeDelta::days(MAX_DAYS) {
            return Err(Invalid::new("from", format!("must be at most {MAX_DAYS} days before to")));
        }
        Ok(Self { from, to })
    }

    /// The full days in the range, in UTC; an empty range at the end if there is none.
    #[must_use]
    pub fn whole_days(self) -> Self {
        let (first, last) = (floor(self.from + DAY - HOUR, DAY), floor(self.to, DAY));
        if first < last { Self { from: first, to: last } } else { Self { from: self.to, to: self.to } }
    }
}

fn check(field: &'static str, time: Option<DateTime<Utc>>) -> Result<(), Invalid> {
    let is_sound = |time: DateTime<Utc>| (1..=9999).contains(&time.year()) && floor(time, HOUR) == time;
    if time.is_none_or(is_sound) {
        return Ok(());
    }
    Err(Invalid::new(field, "must be a whole hour in UTC, such as 2026-11-22T18:00:00Z, in the years 1 to 9999"))
}

fn floor(time: DateTime<Utc>, step: TimeDelta) -> DateTime<Utc> {
    let seconds = step.num_seconds().max(1);
    let whole = time.timestamp().div_euclid(seconds) * seconds;
    DateTime::from_timestamp(whole, 0).unwrap_or(time)
}

/// Uploads and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageSum {
    pub uploads: i64,
    /// As declared, of uploads that declared a size.
    pub promised_bytes: i64,
    /// As seen in the bucket, of uploads that arrived.
    pub stored_bytes: i64,
}

impl UsageSum {
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            uploads: self.uploads.saturating_add(other.uploads),
            promised_bytes: self.promised_bytes.saturating_add(other.promised_bytes),
            stored_bytes: self.stored_bytes.saturating_add(other.stored_bytes),
        }
    }
}

/// One item of the usage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageItem {
    /// A type, state, extension, API key's public id or tenant's slug; `None` by day.
    pub value: Option<String>,
    /// The day, if the dimension is the day.
    pub start: Option<DateTime<Utc>>,
    pub sum: UsageSum,
}

/// The result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    pub range: UsageRange,
    pub by: Option<UsageBy>,
    /// Each upload counts in one item; empty without a dimension.
    pub items: Vec<UsageItem>,
    pub total: UsageSum,
}

impl Usage {
    /// Days in order, otherwise the largest first.
    #[must_use]
    pub fn of(range: UsageRange, by: Option<UsageBy>, mut items: Vec<UsageItem>) -> Self {
        let total = items.iter().fold(UsageSum::default(), |total, item| total.plus(item.sum));
        items.sort_by(|a, b| {
            a.start.cmp(&b.start).then(b.sum.uploads.cmp(&a.sum.uploads)).then_with(|| a.value.cmp(&b.value))
        });
        if by.is_none() {
            items.clear();
        }
        Self { range, by, items, total }
    }
}
