//! Who signs the tokens of a tenant's users.

use super::Invalid;

/// The one signature algorithm that an issuer uses; a token's own word for it is never believed
/// (RFC 8725, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwtAlgorithm {
    Hs256,
    Rs256,
    Es256,
    EdDsa,
}

impl JwtAlgorithm {
    /// Its name in RFC 7518, as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl std::str::FromStr for JwtAlgorithm {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa]
            .into_iter()
            .find(|algorithm| algorithm.as_str() == text)
            .ok_or_else(|| Invalid::new("algorithm", "must be one of: HS256, RS256, ES256, EdDSA"))
    }
}
