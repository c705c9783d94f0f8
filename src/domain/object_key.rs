//! Object keys and the templates that produce them. The gateway names the object, not the caller.

use chrono::{DateTime, Datelike, Utc};
use chrono_tz::Tz;
use uuid::Uuid;

use super::extension::Extension;
use super::ids::UploadId;
use super::upload_kind::UploadKind;
use super::{Invalid, digits};

/// Maximum length of an object key in bytes
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>).
pub const MAX_OBJECT_KEY_BYTES: usize = 1024;

/// The pattern of a tenant's object keys, such as `{yyyy}/{mm}/{dd}/{uuid}.{ext}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Year,
    Month,
    Day,
    Uuid,
    Extension,
    Kind,
}

/// The value of the template's `{prefix}`: folders of the tenant, such as `apps/my-app`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    pub const MAX_BYTES: usize = 512;

    /// # Errors
    /// Empty, too long, a character outside `A-Z a-z 0-9 . _ - /`, or an empty or dot segment.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let fits = text.len() <= Self::MAX_BYTES && is_plain(text) && !text.split('/').any(is_unsafe_segment);
        fits.then(|| Self(text.to_owned())).ok_or_else(|| {
            let expected = format!(
                "must be 1 to {} of A-Z, a-z, 0-9, '.', '_', '-' and '/', without a leading, trailing or double slash or a segment . or ..",
                Self::MAX_BYTES
            );
            Invalid::new("object_key_prefix", expected)
        })
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The values that an object key is made of.
#[derive(Debug, Clone, Copy)]
pub struct Naming {
    pub id: UploadId,
    pub ext: Extension,
    pub kind: Option<UploadKind>,
    pub issued_at: DateTime<Utc>,
    /// The time zone of the date.
    pub time_zone: Tz,
}

/// The value of `{kind}` if the caller names none.
const NO_KIND: &str = "other";

impl Part {
    const PLACEHOLDERS: [(&str, Self); 6] = [
        ("yyyy", Self::Year),
        ("mm", Self::Month),
        ("dd", Self::Day),
        ("uuid", Self::Uuid),
        ("ext", Self::Extension),
        ("kind", Self::Kind),
    ];

    /// Maximum length of the part's text.
    fn longest_bytes(&self) -> usize {
        match self {
            Self::Literal(text) => text.len(),
            Self::Year | Self::Extension => 4,
            Self::Month | Self::Day => 2,
            Self::Uuid => 36,
            Self::Kind => 6,
        }
    }
}

impl Template {
    /// The template of the contract.
    pub const CONTRACT: &str = "{yyyy}/{mm}/{dd}/{uuid}.{ext}";

    /// Parses a template; `{prefix}` is replaced by `prefix`.
    ///
    /// # Errors
    /// An unknown placeholder, `{prefix}` without a prefix or the reverse, a character outside `A-Z
    /// a-z 0-9 . _ - /`, no `{uuid}`, a leading slash, an empty or dot segment, or object keys that
    /// could exceed [`MAX_OBJECT_KEY_BYTES`].
    pub fn parse(text: &str, prefix: Option<&Prefix>) -> Result<Self, Invalid> {
        if prefix.is_some() && !text.contains(PREFIX_PLACEHOLDER) {
            return Err(Invalid::new("object_key_prefix", "must stand in the object_key_template as {prefix}"));
        }
        let parts = parse_parts(text, prefix)?;
        if !parts.contains(&Part::Uuid) {
            return Err(invalid("must hold {uuid}, so that no two uploads share an object key"));
        }
        // A placeholder never becomes empty or a dot, so the segments of the text itself tell.
        if text.split('/').any(is_unsafe_segment) {
            return Err(invalid("must not have a leading, trailing or double slash, nor a segment . or .."));
        }
        if parts.iter().map(Part::longest_bytes).sum::<usize>() > MAX_OBJECT_KEY_BYTES {
            return Err(invalid("must make object keys of at most 1,024 bytes"));
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The template's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Generates the object key of one upload.
    #[must_use]
    pub fn object_key(&self, naming: &Naming) -> String {
        let day = naming.issued_at.with_timezone(&naming.time_zone).date_naive();
        let mut object_key = String::with_capacity(64);
        for part in &self.parts {
            match part {
                Part::Literal(text) => object_key.push_str(text),
                Part::Year => digits::push(&mut object_key, day.year().unsigned_abs(), 4),
                Part::Month => digits::push(&mut object_key, day.month(), 2),
                Part::Day => digits::push(&mut object_key, day.day(), 2),
                Part::Uuid => {
                    object_key.push_str(naming.id.uuid().hyphenated().encode_lower(&mut Uuid::encode_buffer()));
                }
                Part::Extension => object_key.push_str(naming.ext.as_str()),
                Part::Kind => object_key.push_str(naming.kind.map_or(NO_KIND, UploadKind::as_str)),
            }
        }
        object_key
    }
}

const PREFIX_PLACEHOLDER: &str = "{prefix}";

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte))
}

fn is_unsafe_segment(segment: &str) -> bool {
    matches!(segment, "" | "." | "..")
}

fn invalid(expected: &str) -> Invalid {
    Invalid::new("object_key_template", expected)
}

fn parse_parts(text: &str, prefix: Option<&Prefix>) -> Result<Vec<Part>, Invalid> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (literal, after) = rest.split_once('{').map_or((rest, None), |(literal, after)| (literal, Some(after)));
        if !is_plain(literal) {
            return Err(invalid("must be made of A-Z, a-z, 0-9, '.', '_', '-', '/' and placeholders"));
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.to_owned()));
        }
        let Some(after) = after else { break };
        let (name, behind) = after.split_once('}').ok_or_else(unknown_placeholder)?;
        parts.push(placeholder(name, prefix)?);
        rest = behind;
    }
    Ok(parts)
}

fn placeholder(name: &str, prefix: Option<&Prefix>) -> Result<Part, Invalid> {
    match (name, prefix) {
        ("prefix", Some(prefix)) => Ok(Part::Literal(prefix.as_str().to_owned())),
        ("prefix", None) => Err(invalid("has {prefix}, so it needs an object_key_prefix")),
        _ => {
            let known = Part::PLACEHOLDERS.iter().find(|(known, _)| *known == name);
            known.map(|(_, part)| part.clone()).ok_or_else(unknown_placeholder)
        }
    }
}

fn unknown_placeholder() -> Invalid {
    invalid("supports only these placeholders: {prefix} {yyyy} {mm} {dd} {uuid} {ext} {kind}")
}
