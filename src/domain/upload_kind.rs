//! The kind of an upload: `type` in the API.

use strum::{EnumString, IntoStaticStr};

/// What an upload is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumString, IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum UploadKind {
    Thumb,
    Origin,
    Video,
}

impl UploadKind {
    pub const ALL: [Self; 3] = [Self::Thumb, Self::Origin, Self::Video];

    /// Its stable word, as in the contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}
