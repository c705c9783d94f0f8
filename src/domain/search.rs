//! Which uploads are looked for, in which order, and where a page of them goes on.

use chrono::{DateTime, SecondsFormat, Utc};
use strum::{EnumString, IntoStaticStr};
use uuid::Uuid;

use super::Invalid;
use super::bucket::Alias;
use super::extension::Extension;
use super::ids::{TenantId, UploadId};
use super::moment;
use super::page::PageRequest;
use super::upload::{Pixels, Seconds, UploadKind, UploadState};

/// What is asked for, as it was written; what is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct SearchTerms {
    pub from: Option<String>,
    pub to: Option<String>,
    pub kind: Option<String>,
    pub ext: Option<String>,
    pub state: Option<String>,
    pub object_key: Option<String>,
    pub subject: Option<String>,
    pub api_key: Option<String>,
    pub bucket: Option<String>,
    pub min_width: Option<String>,
    pub max_width: Option<String>,
    pub min_height: Option<String>,
    pub max_height: Option<String>,
    pub min_duration: Option<String>,
    pub max_duration: Option<String>,
    pub min_size: Option<String>,
    pub max_size: Option<String>,
    pub order: Option<String>,
}

/// Which uploads are looked for; what is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UploadFilter {
    /// Issued then or later; to the millisecond, as ids have it.
    pub from: Option<DateTime<Utc>>,
    /// Issued before then.
    pub to: Option<DateTime<Utc>>,
    pub kind: Option<UploadKind>,
    pub ext: Option<Extension>,
    pub state: Option<UploadState>,
    pub object_key: Option<ObjectKeyTerm>,
    /// The JWT's `sub`.
    pub subject: Option<String>,
    /// The API key's public id.
    pub api_key: Option<String>,
    pub bucket: Option<Alias>,
    pub width: Between<i32>,
    pub height: Between<i32>,
    /// Seconds.
    pub duration: Between<f64>,
    /// Bytes: as seen in the bucket, otherwise as promised.
    pub size: Between<i64>,
}

/// A range with both ends in it; an end that is `None` is open.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Between<T> {
    pub least: Option<T>,
    pub most: Option<T>,
}

/// How an object key begins, up to all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectKeyTerm {
    pub text: String,
    /// The UUIDs in it: one of them is the upload's, unless it stands in a folder's name only.
    pub ids: Vec<UploadId>,
}

/// Which end of the time comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, EnumString, IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum Order {
    #[default]
    Newest,
    Oldest,
}

/// A page of uploads that is asked for.
#[derive(Debug, Clone, Default)]
pub struct Search {
    pub filter: UploadFilter,
    pub order: Order,
    pub page: PageRequest,
}

/// Where a page goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The last upload that was examined.
    pub after: UploadId,
    /// Uploads from here on came after the list was begun: with them, a page asked for twice would not be the same.
    pub until: Option<UploadId>,
}

/// UUIDs of an object key that are looked up, at most.
const MAX_IDS: usize = 8;
const MAX_OBJECT_KEY: usize = 1024;
const MAX_SUBJECT: usize = 255;
const MAX_API_KEY: usize = 64;

impl UploadFilter {
    /// # Errors
    /// A term that cannot be understood, by the name that it has in a query.
    pub fn parse(terms: &SearchTerms) -> Result<Self, Invalid> {
        let filter = Self {
            from: moment("from", terms.from.as_deref())?,
            to: moment("to", terms.to.as_deref())?,
            kind: parse("type", terms.kind.as_deref(), "must be thumb, origin or video", UploadKind::parse)?,
            ext: parse("ext", terms.ext.as_deref(), &extensions(), Extension::parse)?,
            state: terms.state.as_deref().map(str::parse).transpose()?,
            object_key: text("key", terms.object_key.as_deref(), MAX_OBJECT_KEY)?.map(ObjectKeyTerm::new),
            subject: text("subject", terms.subject.as_deref(), MAX_SUBJECT)?,
            api_key: parse("api_key", terms.api_key.as_deref(), "must be an API key's public id", public_id)?,
            bucket: terms
                .bucket
                .as_deref()
                .map(|alias| Alias::parse(alias).map_err(|error| named("bucket", error)))
                .transpose()?,
            width: pixels(["min_width", "max_width"], [&terms.min_width, &terms.max_width])?,
            height: pixels(["min_height", "max_height"], [&terms.min_height, &terms.max_height])?,
            duration: seconds(["min_duration", "max_duration"], [&terms.min_duration, &terms.max_duration])?,
            size: bytes(["min_size", "max_size"], [&terms.min_size, &terms.max_size])?,
        };
        if matches!((filter.from, filter.to), (Some(from), Some(to)) if to < from) {
            return Err(Invalid::new("to", "must not be before from"));
        }
        Ok(filter)
    }

    /// The terms as a query would have them, each in one way only. Cursors are checked by it: another text of the same filter
    /// makes those worthless that clients hold.
    fn text(&self) -> String {
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
        let terms = [
            ("from", self.from.map(time)),
            ("to", self.to.map(time)),
            ("type", self.kind.map(|kind| kind.as_str().to_owned())),
            ("ext", self.ext.map(|ext| ext.as_str().to_owned())),
            ("state", self.state.map(|state| state.as_str().to_owned())),
            ("key", self.object_key.as_ref().map(|term| term.text.clone())),
            ("subject", self.subject.clone()),
            ("api_key", self.api_key.clone()),
            ("bucket", self.bucket.as_ref().map(|alias| alias.as_str().to_owned())),
            ("min_width", self.width.least.map(|pixels| pixels.to_string())),
            ("max_width", self.width.most.map(|pixels| pixels.to_string())),
            ("min_height", self.height.least.map(|pixels| pixels.to_string())),
            ("max_height", self.height.most.map(|pixels| pixels.to_string())),
            ("min_duration", self.duration.least.map(|seconds| seconds.to_string())),
            ("max_duration", self.duration.most.map(|seconds| seconds.to_string())),
            ("min_size", self.size.least.map(|bytes| bytes.to_string())),
            ("max_size", self.size.most.map(|bytes| bytes.to_string())),
        ];
        let escaped = |value: String| value.replace('%', "%25").replace('&', "%26");
        let named = terms.into_iter().filter_map(|(name, value)| Some(format!("&{name}={}", escaped(value?))));
        named.collect()
    }
}

impl ObjectKeyTerm {
    fn new(text: String) -> Self {
        // Positions of other characters than ASCII begin none.
        let found =
            (0..text.len()).filter_map(|at| text.get(at..at + 36)).filter_map(|text| Uuid::try_parse(text).ok());
        let mut ids: Vec<UploadId> = found.map(UploadId::from).collect();
        // An upload's own comes last in most templates.
        ids.reverse();
        ids.truncate(MAX_IDS);
        Self { text, ids }
    }

    /// Whether this may be folders only, with a UUID among their names.
    #[must_use]
    pub fn may_be_folders(&self) -> bool {
        let behind = self.ids.first().and_then(|id| {
            self.text.to_ascii_lowercase().rsplit_once(&id.to_string()).map(|(_, behind)| behind.contains('/'))
        });
        behind.unwrap_or(true)
    }
}

impl Order {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }

    /// # Errors
    /// Neither of the two.
    pub fn parse(text: Option<&str>) -> Result<Self, Invalid> {
        parse("order", text, "must be newest or oldest", |text| text.parse().ok()).map(Option::unwrap_or_default)
    }
}

impl Search {
    /// # Errors
    /// A term that cannot be understood, by the name that it has in a query.
    pub fn parse(terms: &SearchTerms, cursor: Option<&str>, limit: Option<u16>) -> Result<Self, Invalid> {
        let (filter, order) = (UploadFilter::parse(terms)?, Order::parse(terms.order.as_deref())?);
        Ok(Self { filter, order, page: PageRequest::new(cursor, limit)? })
    }

    /// Where the page that is asked for begins.
    ///
    /// # Errors
    /// The cursor is none of this list's: of another tenant's, other filters, another order, or of nobody's.
    pub fn place(&self, tenant_id: Option<TenantId>) -> Result<Option<Position>, Invalid> {
        self.page.after(|text| {
            let (place, checksum) = text.rsplit_once('.')?;
            let (after, until) = place.split_once('.')?;
            let read = |text: &str| Uuid::try_parse(text).ok().map(UploadId::from);
            let until = if until.is_empty() { None } else { Some(read(until)?) };
            (checksum == self.checksum(tenant_id, place)).then_some(Position { after: read(after)?, until })
        })
    }

    /// The cursor of a place.
    #[must_use]
    pub fn cursor(&self, tenant_id: Option<TenantId>, place: Position) -> String {
        let until = place.until.map(|id| id.to_string()).unwrap_or_default();
        let place = format!("{}.{until}", place.after);
        PageRequest::cursor(&format!("{place}.{}", self.checksum(tenant_id, &place)))
    }

    /// No secret: it tells mistakes. Who makes up a cursor sees rows of the own list, from another place on.
    fn checksum(&self, tenant_id: Option<TenantId>, place: &str) -> String {
        let tenant = tenant_id.map(|id| format!("tenant={}&", id.uuid())).unwrap_or_default();
        let whose = format!("{place}?{tenant}order={}{}", self.order.as_str(), self.filter.text());
        format!("{:08x}", crc32fast::hash(whose.as_bytes()))
    }
}

/// A time, or the beginning of a day, in UTC.
pub(super) fn moment(field: &'static str, text: Option<&str>) -> Result<Option<DateTime<Utc>>, Invalid> {
    parse(field, text, moment::EXPECTED, moment::parse)
}

fn pixels(fields: [&'static str; 2], texts: [&Option<String>; 2]) -> Result<Between<i32>, Invalid> {
    let expected = "must be a whole number from 1 to 2147483647";
    between(fields, texts, expected, |text| Pixels::parse(text).map(Pixels::get))
}

fn seconds(fields: [&'static str; 2], texts: [&Option<String>; 2]) -> Result<Between<f64>, Invalid> {
    let expected = "must be a number of seconds from 0 to 1000000000";
    between(fields, texts, expected, |text| Seconds::parse(text).map(Seconds::get))
}

fn bytes(fields: [&'static str; 2], texts: [&Option<String>; 2]) -> Result<Between<i64>, Invalid> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let expected = "must be a whole number of bytes from 0 to 9223372036854775807";
    between(fields, texts, expected, |text| text.parse().ok().filter(|_| digits(text)))
}

fn between<T: PartialOrd>(
    [min, max]: [&'static str; 2],
    [least, most]: [&Option<String>; 2],
    expected: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Between<T>, Invalid> {
    let range = Between {
        least: parse(min, least.as_deref(), expected, &read)?,
        most: parse(max, most.as_deref(), expected, &read)?,
    };
    match (&range.least, &range.most) {
        (Some(least), Some(most)) if most < least => Err(Invalid::new(max, format!("must not be less than {min}"))),
        _ => Ok(range),
    }
}

fn text(field: &'static str, text: Option<&str>, longest: usize) -> Result<Option<String>, Invalid> {
    let fits = |text: &str| (1..=longest).contains(&text.len()) && !text.chars().any(char::is_control);
    let read = |text: &str| Some(text.to_owned()).filter(|text| fits(text));
    parse(field, text, &format!("must be 1 to {longest} bytes, without control characters"), read)
}

/// What is written is no part of the error: it might be a whole API key.
fn public_id(text: &str) -> Option<String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (plain && (1..=MAX_API_KEY).contains(&text.len())).then(|| text.to_owned())
}

fn extensions() -> String {
    let known: Vec<_> = Extension::ALL.iter().map(|ext| ext.as_str()).collect();
    format!("must be one of {}", known.join(", "))
}

fn parse<T>(
    field: &'static str,
    text: Option<&str>,
    expected: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Invalid> {
    text.map(|text| read(text).ok_or_else(|| Invalid::new(field, expected))).transpose()
}

/// The same error about a field of another name.
fn named(field: &'static str, error: Invalid) -> Invalid {
    Invalid { field, ..error }
}
