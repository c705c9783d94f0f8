//! Plain types that parse: a value of these types is always valid.
//!
//! Does no I/O and imports no other room, so every room can use it.

use std::ops::RangeInclusive;

pub(crate) mod api_key;
pub(crate) mod audit_event;
pub mod binding;
pub mod bucket;
pub mod caller;
pub mod clock;
pub mod cors;
pub mod credential;
pub mod database_url;
pub(crate) mod digits;
pub mod disposition;
pub mod egress;
pub mod extension;
pub(crate) mod fault;
pub mod ids;
mod json;
pub mod jwt_issuer;
pub(crate) mod language;
pub(crate) mod moment;
pub mod object_key;
pub mod origin;
pub mod page;
pub mod policy;
pub mod randomness;
pub mod sealing_key;
pub mod search;
pub(crate) mod sha256;
pub mod tenant;
pub mod upload;
pub mod upload_kind;
pub(crate) mod usage;

/// A value that was refused: which field, and what would have been right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {expected}")]
pub struct Invalid {
    /// The field as its writer knows it, such as `endpoint`.
    pub field: &'static str,
    /// What the field must be, as the rest of a sentence: `must be 2 to 63 of a-z, 0-9 and -`.
    pub expected: String,
}

/// Whether a text is of such a length, and of `a-z 0-9 -` only.
fn is_plain_name(text: &str, lengths: RangeInclusive<usize>) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    lengths.contains(&text.len()) && text.bytes().all(is_allowed)
}

impl Invalid {
    pub(crate) fn new(field: &'static str, expected: impl Into<String>) -> Self {
        Self { field, expected: expected.into() }
    }
}
