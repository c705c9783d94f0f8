//! The gateway names the object: templates, and the object keys that they make.

use std::fmt::Write;

use chrono::{DateTime, Datelike, Utc};
use chrono_tz::Tz;

use super::Invalid;
use super::extension::Extension;
use super::ids::UploadId;

/// The longest object key in bytes
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>).
pub const LONGEST_OBJECT_KEY_BYTES: usize = 1024;

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
}

impl Part {
    const PLACEHOLDERS: [(&str, Self); 5] =
        [("yyyy", Self::Year), ("mm", Self::Month), ("dd", Self::Day), ("uuid", Self::Uuid), ("ext", Self::Extension)];

    /// The longest text that the part can become.
    fn longest_bytes(&self) -> usize {
        match self {
            Self::Literal(text) => text.len(),
            Self::Year | Self::Extension => 4,
            Self::Month | Self::Day => 2,
            Self::Uuid => 36,
        }
    }
}

impl Template {
    /// The template of the contract.
    pub const CONTRACT: &str = "{yyyy}/{mm}/{dd}/{uuid}.{ext}";

    /// Reads a template.
    ///
    /// # Errors
    /// An unknown placeholder, a character outside `A-Z a-z 0-9 . _ - /`, no `{uuid}`, a leading slash,
    /// an empty or a dot segment, or object keys that could grow over [`LONGEST_OBJECT_KEY_BYTES`].
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let parts = parse_parts(text)?;
        if !parts.contains(&Part::Uuid) {
            return Err(invalid("must hold {uuid}, so that no two uploads share an object key"));
        }
        // A placeholder never becomes empty or a dot, so the segments of the text itself tell.
        if text.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(invalid("must not have a leading, trailing or double slash, nor a segment . or .."));
        }
        if parts.iter().map(Part::longest_bytes).sum::<usize>() > LONGEST_OBJECT_KEY_BYTES {
            return Err(invalid("must make object keys of at most 1,024 bytes"));
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The template as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Makes the object key of one upload; its date is the day of `issued_at` in `time_zone`.
    #[must_use]
    pub fn object_key(&self, id: UploadId, ext: Extension, issued_at: DateTime<Utc>, time_zone: Tz) -> String {
        let day = issued_at.with_timezone(&time_zone).date_naive();
        let mut object_key = String::with_capacity(64);
        for part in &self.parts {
            // Writing to a String cannot fail.
            let _ = match part {
                Part::Literal(text) => object_key.write_str(text),
                Part::Year => write!(object_key, "{:04}", day.year()),
                Part::Month => write!(object_key, "{:02}", day.month()),
                Part::Day => write!(object_key, "{:02}", day.day()),
                Part::Uuid => write!(object_key, "{id}"),
                Part::Extension => object_key.write_str(ext.as_str()),
            };
        }
        object_key
    }
}

fn invalid(expected: &str) -> Invalid {
    Invalid::new("object_key_template", expected)
}

fn parse_parts(text: &str) -> Result<Vec<Part>, Invalid> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (literal, after) = rest.split_once('{').map_or((rest, None), |(literal, after)| (literal, Some(after)));
        if !literal.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte)) {
            return Err(invalid("must be made of A-Z, a-z, 0-9, '.', '_', '-', '/' and placeholders"));
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.to_owned()));
        }
        let Some(after) = after else { break };
        let placeholder = after.split_once('}').and_then(|(name, behind)| {
            let (_, part) = Part::PLACEHOLDERS.iter().find(|(known, _)| *known == name)?;
            Some((part.clone(), behind))
        });
        let (part, behind) =
            placeholder.ok_or_else(|| invalid("knows these placeholders only: {yyyy} {mm} {dd} {uuid} {ext}"))?;
        parts.push(part);
        rest = behind;
    }
    Ok(parts)
}
