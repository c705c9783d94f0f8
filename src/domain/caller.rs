//! A caller: who calls on behalf of one tenant.

use std::sync::Arc;

use strum::{EnumString, IntoStaticStr};

use super::Invalid;
use super::tenant::Tenant;

/// An authenticated caller of a tenant.
#[derive(Debug, Clone)]
pub struct Caller {
    pub tenant: Arc<Tenant>,
    pub kind: CallerKind,
    /// The API key's id or the JWT issuer's id; `None` for an anonymous caller.
    pub id: Option<uuid::Uuid>,
    /// The JWT's `sub`.
    pub subject: Option<Arc<str>>,
    pub scopes: Scopes,
}

/// How a caller authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str, parse_err_ty = Invalid, parse_err_fn = not_caller_kind)]
pub enum CallerKind {
    ApiKey,
    Jwt,
    /// Not at all: `oss.anonymous_tenant` admits everybody.
    Anonymous,
}

impl CallerKind {
    /// Its stable word, as stored and logged.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

fn not_caller_kind(_: &str) -> Invalid {
    Invalid::new("caller_kind", "must be api_key, jwt or anonymous")
}

/// A permission of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(const_into_str)]
pub enum Scope {
    /// Request presigned URLs.
    #[strum(serialize = "uploads:issue")]
    UploadsIssue,
    /// Query issued uploads, and download them.
    #[strum(serialize = "uploads:read")]
    UploadsRead,
    /// Delete uploads from the bucket.
    #[strum(serialize = "uploads:delete")]
    UploadsDelete,
}

impl Scope {
    pub const ALL: [Self; 3] = [Self::UploadsIssue, Self::UploadsRead, Self::UploadsDelete];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// Every scope.
    #[must_use]
    pub fn all() -> Self {
        Scope::ALL.into_iter().fold(Self::default(), Self::with)
    }

    /// The default scopes of an API key: all except delete.
    #[must_use]
    pub const fn default_scopes() -> Self {
        Self(0).with(Scope::UploadsIssue).with(Scope::UploadsRead)
    }

    #[must_use]
    pub const fn with(self, scope: Scope) -> Self {
        Self(self.0 | 1 << scope as u8)
    }

    #[must_use]
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & 1 << scope as u8 != 0
    }

    /// The scopes that are in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The known scopes among `texts`. Unknown words are ignored (RFC 6749, section 3.3).
    pub fn known_among<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        texts.into_iter().filter_map(|text| text.parse().ok()).fold(Self::default(), Self::with)
    }

    /// Parses a list of scopes.
    ///
    /// # Errors
    /// An unknown scope, or an empty list.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, Invalid> {
        let scopes: Vec<Scope> = texts.into_iter().map(str::parse).collect::<Result<_, _>>().unwrap_or_default();
        if scopes.is_empty() {
            return Err(Invalid::new("scopes", "must be one or more of: uploads:issue, uploads:read, uploads:delete"));
        }
        Ok(scopes.into_iter().fold(Self::default(), Self::with))
    }

    /// The scopes' texts.
    #[must_use]
    pub fn texts(self) -> Vec<String> {
        Scope::ALL.into_iter().filter(|scope| self.contains(*scope)).map(|scope| scope.as_str().to_owned()).collect()
    }
}
