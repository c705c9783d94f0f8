//! Pages of lists: cursor and size.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Invalid;

/// Rows of a page by default.
pub const DEFAULT_LIMIT: u16 = 100;
/// Maximum rows of a page.
pub const MAX_LIMIT: u16 = 500;

/// A requested page.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    after: Option<String>,
    limit: Option<u16>,
}

/// A page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// The cursor of the next page; `None` on the last.
    pub next_cursor: Option<String>,
}

impl PageRequest {
    /// `cursor` comes from an earlier page.
    ///
    /// # Errors
    /// An invalid cursor, or a limit outside 1 … [`MAX_LIMIT`].
    pub fn new(cursor: Option<&str>, limit: Option<u16>) -> Result<Self, Invalid> {
        if limit.is_some_and(|limit| !(1..=MAX_LIMIT).contains(&limit)) {
            return Err(Invalid::new("limit", format!("must be 1 to {MAX_LIMIT}")));
        }
        let decode = |cursor| URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let after = cursor.map(|cursor| decode(cursor).ok_or_else(no_cursor)).transpose()?;
        Ok(Self { after, limit })
    }

    /// The position after which the page starts.
    ///
    /// # Errors
    /// The cursor belongs to another list.
    pub fn after<T>(&self, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Invalid> {
        self.after.as_deref().map(|text| parse(text).ok_or_else(no_cursor)).transpose()
    }

    /// How many rows to read: one more than the page shows, to see whether there is another page.
    #[must_use]
    pub fn rows_to_read(&self) -> i64 {
        i64::from(self.limit()) + 1
    }

    /// Maximum rows of the page.
    #[must_use]
    pub fn limit(&self) -> u16 {
        self.limit.unwrap_or(DEFAULT_LIMIT)
    }

    /// The cursor of a position.
    #[must_use]
    pub fn cursor(place: &str) -> String {
        URL_SAFE_NO_PAD.encode(place)
    }

    /// Builds the page from the rows that were read; `place` returns the position of a row.
    pub fn page<T>(&self, mut rows: Vec<T>, place: impl Fn(&T) -> String) -> Page<T> {
        let limit = usize::from(self.limit());
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| more).map(|row| Self::cursor(&place(row)));
        Page { items: rows, next_cursor }
    }
}

impl<T> Page<T> {
    /// A list that fits on one page.
    #[must_use]
    pub const fn whole(items: Vec<T>) -> Self {
        Self { items, next_cursor: None }
    }

    /// Converts the rows of the page.
    #[must_use]
    pub fn view<V: for<'a> From<&'a T>>(self) -> Page<V> {
        Page { items: self.items.iter().map(V::from).collect(), next_cursor: self.next_cursor }
    }
}

fn no_cursor() -> Invalid {
    Invalid::new("cursor", "must be the next_cursor of an earlier page of this list")
}
