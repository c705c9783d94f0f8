//! File extensions that may be uploaded, and sets of them.

use strum::{EnumString, IntoStaticStr, VariantArray};

use super::Invalid;

/// A file extension that the gateway supports: the only part of an object key that a caller
/// chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase", ascii_case_insensitive, const_into_str)]
pub enum Extension {
    Jpg,
    Jpeg,
    Png,
    Webp,
    Gif,
    Mp4,
    Webm,
}

impl Extension {
    /// Every extension, in the order of the contract.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// Parses an extension in upper or lower case, without a dot.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    /// The extension in lower case, as in object keys.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }

    /// The media type of the extension (IANA media type registry).
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Jpg | Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
            Self::Mp4 => "video/mp4",
            Self::Webm => "video/webm",
        }
    }
}

/// The extensions that a policy allows; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionSet(Vec<Extension>);

impl ExtensionSet {
    /// Every supported extension.
    #[must_use]
    pub fn all() -> Self {
        Self(Extension::ALL.to_vec())
    }

    /// Parses a list of extensions.
    ///
    /// # Errors
    /// An unknown extension, or an empty list.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, Invalid> {
        let mut set = texts.into_iter().map(Extension::parse).collect::<Option<Vec<_>>>().unwrap_or_default();
        set.sort_unstable();
        set.dedup();
        if set.is_empty() {
            let known = Extension::ALL.iter().map(|ext| ext.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Invalid::new("allowed_extensions", format!("must be one or more of: {known}")));
        }
        Ok(Self(set))
    }

    /// Whether the extension is in the set.
    #[must_use]
    pub fn contains(&self, ext: Extension) -> bool {
        self.0.contains(&ext)
    }

    /// The extensions' texts, in the order of the contract.
    pub fn texts(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|ext| ext.as_str())
    }
}
