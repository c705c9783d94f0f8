//! A search for uploads: filters, order and cursor.

use chrono::{DateTime, Utc};
use strum::{EnumString, IntoStaticStr};
use uuid::Uuid;

use super::Invalid;
use super::bucket::Alias;
use super::extension::Extension;
use super::ids::{TenantId, UploadId};
use super::page::PageRequest;
use super::upload::{Pixels, Seconds, UploadKind, UploadState};

use self::terms::Term;
pub use self::terms::{Bytes, PublicId, Subject};

mod terms;

/// Declares [`UploadFilter`]: its fields, their names in a query, and which pairs are ordered.
macro_rules! filters {
    ($($(#[$doc:meta])* $name:literal $field:ident: $type:ty $(, $fault:literal $least:ident)?;)*) => {
        /// Filters of a search. A filter that is `None` matches every upload.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct UploadFilter { $($(#[$doc])* pub $field: Option<$type>,)* }

        impl UploadFilter {
            /// The filters' names in a query, in the order of the documentation.
            pub const NAMES: &[&str] = &[$($name),*];

            /// Parses the filters; `text_of` returns the query's value of a name.
            ///
            /// # Errors
            /// Names the first filter that does not parse, and what it must be.
            pub fn parse<'a>(text_of: impl Fn(&str) -> Option<&'a str>) -> Result<Self, Invalid> {
                let filter = Self { $($field: read($name, text_of($name))?,)* };
                $($(
                    if matches!((&filter.$least, &filter.$field), (Some(least), Some(most)) if most < least) {
                        return Err(Invalid::new($name, $fault));
                    }
                )?)*
                Ok(filter)
            }

            /// The filters that are set, with their values as text.
            fn terms(&self) -> impl Iterator<Item = (&'static str, String)> {
                let terms = [$(($name, self.$field.as_ref().map(Term::write))),*];
                terms.into_iter().filter_map(|(name, text)| Some((name, text?)))
            }
        }
    };
}

filters! {
    /// Issued at this time or later, to the millisecond: an id has no finer time.
    "from" from: DateTime<Utc>;
    /// Issued before this time.
    "to" to: DateTime<Utc>, "must not be before from" from;
    "type" kind: UploadKind;
    "ext" ext: Extension;
    "state" state: UploadState;
    "key" object_key: ObjectKeyTerm;
    "subject" subject: Subject;
    "api_key" api_key: PublicId;
    "bucket" bucket: Alias;
    "min_width" min_width: Pixels;
    "max_width" max_width: Pixels, "must not be less than min_width" min_width;
    "min_height" min_height: Pixels;
    "max_height" max_height: Pixels, "must not be less than min_height" min_height;
    "min_duration" min_duration: Seconds;
    "max_duration" max_duration: Seconds, "must not be less than min_duration" min_duration;
    /// The size that the bucket reported, otherwise the promised size.
    "min_size" min_size: Bytes;
    "max_size" max_size: Bytes, "must not be less than min_size" min_size;
}

/// A prefix of an object key, or all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectKeyTerm {
    pub text: String,
    /// The UUIDs in it. One of them is the upload's, unless it is only in a folder's name.
    pub ids: Vec<UploadId>,
}

/// The order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, EnumString, IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum Order {
    #[default]
    Newest,
    Oldest,
}

/// A requested page of uploads.
#[derive(Debug, Clone, Default)]
pub struct Search {
    pub filter: UploadFilter,
    pub order: Order,
    pub page: PageRequest,
}

/// Where a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The last upload that was examined.
    pub after: UploadId,
    /// Ids from here on were issued after the list began. With them, a repeated page would differ.
    pub until: Option<UploadId>,
}

/// Maximum number of UUIDs of an object key that are looked up.
const MAX_IDS: usize = 8;

impl UploadFilter {
    /// The terms in canonical form. Cursors are checked against it, so a change of the form
    /// invalidates the cursors of clients.
    fn text(&self) -> String {
        let escaped = |value: String| value.replace('%', "%25").replace('&', "%26");
        self.terms().fold(String::new(), |text, (name, value)| text + "&" + name + "=" + &escaped(value))
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

    /// Whether this can be folders only, with a UUID among their names.
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
        read("order", text).map(Option::unwrap_or_default)
    }
}

impl Search {
    /// A search for one page.
    ///
    /// # Errors
    /// The cursor or the limit is invalid.
    pub fn new(filter: UploadFilter, order: Order, cursor: Option<&str>, limit: Option<u16>) -> Result<Self, Invalid> {
        Ok(Self { filter, order, page: PageRequest::new(cursor, limit)? })
    }

    /// The position where the page starts.
    ///
    /// # Errors
    /// The cursor belongs to another list: another tenant, other filters or another order, or it
    /// was not issued at all.
    pub fn place(&self, tenant_id: Option<TenantId>) -> Result<Option<Position>, Invalid> {
        self.page.after(|text| {
            let (place, checksum) = text.rsplit_once('.')?;
            let (after, until) = place.split_once('.')?;
            let read = |text: &str| Uuid::try_parse(text).ok().map(UploadId::from);
            let until = if until.is_empty() { None } else { Some(read(until)?) };
            (checksum == self.checksum(tenant_id, place)).then_some(Position { after: read(after)?, until })
        })
    }

    /// The cursor of a position.
    #[must_use]
    pub fn cursor(&self, tenant_id: Option<TenantId>, place: Position) -> String {
        let until = place.until.map(|id| id.to_string()).unwrap_or_default();
        let place = format!("{}.{until}", place.after);
        PageRequest::cursor(&format!("{place}.{}", self.checksum(tenant_id, &place)))
    }

    /// Not a secret: it detects mistakes. A forged cursor shows rows of the caller's own list.
    fn checksum(&self, tenant_id: Option<TenantId>, place: &str) -> String {
        let tenant = tenant_id.map(|id| format!("tenant={}&", id.uuid())).unwrap_or_default();
        let whose = format!("{place}?{tenant}order={}{}", self.order.as_str(), self.filter.text());
        format!("{:08x}", crc32fast::hash(whose.as_bytes()))
    }
}

/// A time, or a day, which means its first moment, in UTC.
pub(super) fn moment(field: &'static str, text: Option<&str>) -> Result<Option<DateTime<Utc>>, Invalid> {
    read(field, text)
}

/// Parses the text of a term, if there is one.
fn read<T: Term>(field: &'static str, text: Option<&str>) -> Result<Option<T>, Invalid> {
    text.map(|text| T::read(text).map_err(|expected| Invalid::new(field, expected))).transpose()
}
