//! Bindings: conditions signed into a URL, so that only the declared file can be PUT with it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use strum::IntoStaticStr;

use super::Invalid;

/// A condition that a signature can enforce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Binding {
    /// Exactly this size in bytes.
    Size,
    /// Exactly this media type.
    ContentType,
    /// Exactly these bytes.
    Sha256,
    /// Only if there is no object yet.
    WriteOnce,
}

impl Binding {
    pub const ALL: [Self; 4] = [Self::Size, Self::ContentType, Self::Sha256, Self::WriteOnce];
    /// Bindings that not every store enforces.
    pub const OPTIONAL: [Self; 2] = [Self::Sha256, Self::WriteOnce];

    /// Its stable word: the name of the request field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

/// A set of bindings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BindingSet(u8);

impl BindingSet {
    #[must_use]
    pub const fn with(self, binding: Binding) -> Self {
        Self(self.0 | 1 << binding as u8)
    }

    #[must_use]
    pub const fn contains(self, binding: Binding) -> bool {
        self.0 & 1 << binding as u8 != 0
    }

    /// Bindings in this set that are not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Parses a list, which may be empty, of `known` bindings; `field` names it in errors.
    ///
    /// # Errors
    /// A word that is not in `known`.
    pub fn parse<'a>(
        field: &'static str,
        known: &[Binding],
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, Invalid> {
        let find = |text: &str| known.iter().copied().find(|binding| binding.as_str() == text);
        let unknown = || {
            let known = known.iter().map(|binding| binding.as_str()).collect::<Vec<_>>().join(", ");
            Invalid::new(field, format!("must be none, one or more of: {known}"))
        };
        texts.into_iter().try_fold(Self::default(), |set, text| Ok(set.with(find(text).ok_or_else(unknown)?)))
    }

    /// The words of the bindings in the set.
    pub fn texts(self) -> impl Iterator<Item = &'static str> {
        self.iter().map(Binding::as_str)
    }

    /// The bindings in the set.
    pub fn iter(self) -> impl Iterator<Item = Binding> {
        Binding::ALL.into_iter().filter(move |binding| self.contains(*binding))
    }
}

/// The bindings of one URL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bindings {
    /// Bytes, 0 … 5 TiB.
    pub size_bytes: Option<u64>,
    /// The media type that belongs to the extension; `None` leaves it to the client.
    pub content_type: Option<&'static str>,
    pub sha256: Option<Sha256>,
    /// Write-once: the PUT fails if the object exists.
    pub write_once: bool,
}

impl Bindings {
    /// Which bindings are set.
    #[must_use]
    pub fn set(&self) -> BindingSet {
        let there = [
            (Binding::Size, self.size_bytes.is_some()),
            (Binding::ContentType, self.content_type.is_some()),
            (Binding::Sha256, self.sha256.is_some()),
            (Binding::WriteOnce, self.write_once),
        ];
        there.into_iter().filter(|(_, there)| *there).fold(BindingSet::default(), |set, (binding, _)| set.with(binding))
    }
}

/// A SHA-256 digest of an object's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// Parses 64 hexadecimal digits, or base64 as in S3.
    ///
    /// # Errors
    /// The text is neither, or is not 32 bytes long.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let bytes = if text.len() == 64 { const_hex::decode(text).ok() } else { STANDARD.decode(text).ok() };
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| Invalid::new("sha256", "must be 64 hexadecimal digits, or 32 bytes in base64"))
    }

    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// As in `x-amz-checksum-sha256`.
    #[must_use]
    pub fn base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// 64 lower-case digits.
    #[must_use]
    pub fn hex(&self) -> String {
        const_hex::encode(self.0)
    }
}

impl From<[u8; 32]> for Sha256 {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// A caller's own names and values, stored with the object as `x-amz-meta-…`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata(BTreeMap<String, String>);

impl Metadata {
    pub const MAX_PAIRS: usize = 16;
    pub const MAX_NAME: usize = 64;
    /// Maximum bytes of a value as it is sent.
    pub const MAX_VALUE: usize = 256;
    /// Maximum bytes of names and values together. S3 accepts 2 KB of metadata
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>), including
    /// ours.
    pub const MAX_BYTES: usize = 1536;
    /// Names that the gateway itself uses.
    const RESERVED: [&str; 4] = ["duration", "height", "type", "width"];

    /// Values that are not plain ASCII are encoded by RFC 2047, which is how S3 shows them.
    ///
    /// # Errors
    /// Too many pairs, too much text, a name outside `a-z 0-9 - _`, a reserved name, or a control
    /// character.
    pub fn parse(pairs: BTreeMap<String, String>) -> Result<Self, Invalid> {
        let invalid = |expected: String| Err(Invalid::new("metadata", expected));
        if pairs.len() > Self::MAX_PAIRS {
            return invalid(format!("must have at most {} pairs", Self::MAX_PAIRS));
        }
        let mut encoded = BTreeMap::new();
        for (name, value) in pairs {
            let plain =
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte));
            if !plain || !(1..=Self::MAX_NAME).contains(&name.len()) {
                return invalid(format!("must have names of 1 to {} of a-z, 0-9, '-' and '_'", Self::MAX_NAME));
            }
            if Self::RESERVED.contains(&name.as_str()) {
                return invalid(format!("must not have the name {name}: that is a field of its own"));
            }
            if value.chars().any(char::is_control) || value.trim() != value {
                return invalid(format!(
                    "must have no control characters and no spaces at the ends in the value of {name}"
                ));
            }
            let value = encoded_word(value);
            if value.len() > Self::MAX_VALUE {
                return invalid(format!("must have at most {} bytes in the value of {name}, encoded", Self::MAX_VALUE));
            }
            encoded.insert(name, value);
        }
        if encoded.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > Self::MAX_BYTES {
            return invalid(format!("must have at most {} bytes in all, encoded", Self::MAX_BYTES));
        }
        Ok(Self(encoded))
    }

    /// Restores the result of an earlier [`Metadata::parse`].
    #[must_use]
    pub const fn of_encoded(pairs: BTreeMap<String, String>) -> Self {
        Self(pairs)
    }

    /// Names, and values as they are sent.
    #[must_use]
    pub const fn pairs(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

/// Encodes a value as ASCII: itself, or an encoded word (RFC 2047, section 2). A value that looks
/// like an encoded word is encoded too.
fn encoded_word(value: String) -> String {
    if value.is_ascii() && !value.starts_with("=?") {
        return value;
    }
    format!("=?UTF-8?B?{}?=", STANDARD.encode(value))
}
