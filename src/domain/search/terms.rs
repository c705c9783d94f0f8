//! The values of search filters and how they parse from a query.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, SecondsFormat, Utc};

use super::{ObjectKeyTerm, Order};
use crate::domain::bucket::Alias;
use crate::domain::extension::Extension;
use crate::domain::upload::{Pixels, Seconds, UploadKind, UploadState};

const MAX_OBJECT_KEY_BYTES: usize = 1024;
const MAX_SUBJECT_BYTES: usize = 255;
const MAX_PUBLIC_ID_BYTES: usize = 64;
/// Years that both ids and Postgres can represent.
const YEARS: std::ops::RangeInclusive<i32> = 1970..=9999;

/// A filter's value, which a query writes as text.
pub(super) trait Term: Sized {
    /// Parses the text. The error says what the text must be, as the rest of a sentence. It never
    /// repeats the text, which can be an API key.
    fn read(text: &str) -> Result<Self, String>;

    /// Writes the value. Equal values have equal texts, because cursors compare them.
    fn write(&self) -> String;
}

/// The `sub` of a JWT.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd)]
pub struct Subject(String);

/// The public id of an API key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd)]
pub struct PublicId(String);

/// The size of an object: 0 … 9,223,372,036,854,775,807 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub struct Bytes(i64);

impl Subject {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PublicId {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Bytes {
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl Term for DateTime<Utc> {
    fn read(text: &str) -> Result<Self, String> {
        let day = |text: &str| Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc());
        let time = text.parse().ok().or_else(|| day(text)).filter(|time: &Self| YEARS.contains(&time.year()));
        let expected =
            "must be a time such as 2026-11-22T18:00:00Z, or a day such as 2026-11-22, in the years 1970 to 9999";
        time.ok_or_else(|| expected.to_owned())
    }

    fn write(&self) -> String {
        self.to_rfc3339_opts(SecondsFormat::Millis, true)
    }
}

impl Term for UploadKind {
    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| "must be thumb, origin or video".to_owned())
    }

    fn write(&self) -> String {
        self.as_str().to_owned()
    }
}

impl Term for Extension {
    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|ext| ext.as_str()).collect();
            format!("must be one of {}", known.join(", "))
        })
    }

    fn write(&self) -> String {
        self.as_str().to_owned()
    }
}

impl Term for UploadState {
    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|invalid: crate::domain::Invalid| invalid.expected)
    }

    fn write(&self) -> String {
        self.as_str().to_owned()
    }
}

impl Term for Order {
    fn read(text: &str) -> Result<Self, String> {
        let order = [Self::Newest, Self::Oldest].into_iter().find(|order| order.as_str() == text);
        order.ok_or_else(|| "must be newest or oldest".to_owned())
    }

    fn write(&self) -> String {
        self.as_str().to_owned()
    }
}

impl Term for ObjectKeyTerm {
    fn read(text: &str) -> Result<Self, String> {
        line(text, MAX_OBJECT_KEY_BYTES).map(Self::new)
    }

    fn write(&self) -> String {
        self.text.clone()
    }
}

impl Term for Subject {
    fn read(text: &str) -> Result<Self, String> {
        line(text, MAX_SUBJECT_BYTES).map(Self)
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

impl Term for PublicId {
    fn read(text: &str) -> Result<Self, String> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let is_public_id = is_plain && (1..=MAX_PUBLIC_ID_BYTES).contains(&text.len());
        is_public_id.then(|| Self(text.to_owned())).ok_or_else(|| "must be an API key's public id".to_owned())
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

impl Term for Alias {
    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|invalid| invalid.expected)
    }

    fn write(&self) -> String {
        self.as_str().to_owned()
    }
}

impl Term for Pixels {
    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| "must be a whole number from 1 to 2147483647".to_owned())
    }

    fn write(&self) -> String {
        self.get().to_string()
    }
}

impl Term for Seconds {
    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| "must be a number of seconds from 0 to 1000000000".to_owned())
    }

    fn write(&self) -> String {
        self.get().to_string()
    }
}

impl Term for Bytes {
    fn read(text: &str) -> Result<Self, String> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let bytes = text.parse().ok().filter(|_| is_number).map(Self);
        bytes.ok_or_else(|| "must be a whole number of bytes from 0 to 9223372036854775807".to_owned())
    }

    fn write(&self) -> String {
        self.0.to_string()
    }
}

/// Text of `1..=max_bytes` without control characters.
fn line(text: &str, max_bytes: usize) -> Result<String, String> {
    let is_line = (1..=max_bytes).contains(&text.len()) && !text.chars().any(char::is_control);
    is_line
        .then(|| text.to_owned())
        .ok_or_else(|| format!("must be 1 to {max_bytes} bytes, without control characters"))
}
