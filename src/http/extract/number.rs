//! Integers in bodies and queries. An error states the allowed range.

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::{Number, Value};

use crate::domain::page::MAX_LIMIT;

/// A number of a JSON body, within these bounds.
pub(in crate::http) fn whole<'de, D, T, const LEAST: u64, const MAX: u64>(
    deserializer: D,
) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    let Some(value) = Option::<Value>::deserialize(deserializer)? else { return Ok(None) };
    let number = value.as_number().and_then(as_whole).filter(|number| (LEAST..=MAX).contains(number));
    let number = number.and_then(|number| T::try_from(number).ok());
    number.map(Some).ok_or_else(|| Error::custom(format!("expected a whole number from {LEAST} to {MAX}")))
}

/// Seconds of a JSON body. Out of range, they are clamped, because the app's policy reports its own
/// bounds.
pub(in crate::http) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let Some(value) = Option::<Value>::deserialize(deserializer)? else { return Ok(None) };
    value.as_number().and_then(clamped).map(Some).ok_or_else(no_seconds)
}

/// Accepts `1.0` like `1`, as JSON Schema does and some languages write it. Above 2^53 the value is
/// ambiguous.
fn as_whole(number: &Number) -> Option<u64> {
    const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
    number.as_u64().or_else(|| {
        let value = number.as_f64().filter(|value| value.fract() == 0.0 && (0.0..=MAX_EXACT).contains(value))?;
        format!("{value:.0}").parse().ok()
    })
}

fn clamped(number: &Number) -> Option<u32> {
    if let Some(whole) = as_whole(number) {
        return Some(u32::try_from(whole).unwrap_or(u32::MAX));
    }
    let far = number.as_f64().filter(|value| number.is_i64() || value.abs() >= 1e18)?;
    Some(if far > 0.0 { u32::MAX } else { 0 })
}

/// A number of a query, within these bounds.
pub(in crate::http) fn seconds_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u32::MAX)).map(Some).ok_or_else(no_seconds)
}

fn no_seconds<E: Error>() -> E {
    E::custom("expected a whole number of seconds")
}

/// The number of rows of a page, from a query.
pub(in crate::http) fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let rows = text.parse().ok().filter(|rows| (1..=MAX_LIMIT).contains(rows));
    rows.map(Some).ok_or_else(|| Error::custom(format!("expected a whole number from 1 to {MAX_LIMIT}")))
}
