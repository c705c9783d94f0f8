//! A bucket: where a tenant's objects live.

use chrono::{DateTime, Utc};
use strum::{EnumString, IntoStaticStr};
use url::{Host, Url};

use super::binding::{Binding, BindingSet};
use super::egress::AllowedHosts;
use super::ids::{BucketId, TenantId};
use super::{Invalid, is_plain_name};

mod provider;

/// A tenant's bucket, without the secret half of its credential.
#[derive(Debug, Clone)]
pub struct Bucket {
    pub id: BucketId,
    pub tenant_id: TenantId,
    pub alias: Alias,
    /// Uploads go here unless the caller names another bucket.
    pub is_default: bool,
    pub location: Location,
    /// Bindings that a generic store enforces, as its operator declares.
    pub enforced_bindings: BindingSet,
    pub access_key_id: String,
    /// Number of credentials that the bucket has had, from 1. Sealed secrets are bound to it.
    pub credential_version: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub archived_at: Option<DateTime<Utc>>,
    /// Revision of the row, from 1.
    pub revision: i32,
}

impl Bucket {
    /// Whether the store enforces a binding. Every measured store rejects a size or content type
    /// other than the signed one. R2 and AWS check a signed SHA-256 and `If-None-Match`. For other
    /// stores the operator declares it.
    #[must_use]
    pub const fn enforces(&self, binding: Binding) -> bool {
        match (binding, self.location.provider) {
            (Binding::Size | Binding::ContentType, _) | (_, Provider::R2 | Provider::Aws) => true,
            (Binding::Sha256 | Binding::WriteOnce, Provider::Generic) => self.enforced_bindings.contains(binding),
        }
    }
}

/// A bucket's name within its tenant: 1 to 63 of `a-z 0-9 -`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Alias(String);

impl Alias {
    /// The alias of a tenant's first bucket, by default.
    #[must_use]
    pub fn default_alias() -> Self {
        Self("default".to_owned())
    }

    /// # Errors
    /// Any other character, or a wrong length.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if !is_plain_name(text, 1..=63) {
            return Err(Invalid::new("alias", "must be 1 to 63 of a-z, 0-9 and -"));
        }
        Ok(Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Alias {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything that a URL into the bucket depends on, except the object key and the credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub endpoint: Endpoint,
    pub region: Region,
    pub bucket_name: BucketName,
    pub addressing: Addressing,
    pub provider: Provider,
}

/// How a URL contains the bucket's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case", const_into_str, parse_err_ty = Invalid, parse_err_fn = not_addressing)]
pub enum Addressing {
    /// `https://endpoint/bucket/object-key`
    Path,
    /// `https://bucket.endpoint/object-key`
    VirtualHosted,
}

/// The provider of the bucket; decides which bindings are possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str, parse_err_ty = Invalid, parse_err_fn = not_provider)]
pub enum Provider {
    R2,
    Aws,
    Generic,
}

impl Addressing {
    /// Its stable word, as stored and as written on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

impl Provider {
    /// Its stable word, as stored and as written on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

fn not_addressing(_: &str) -> Invalid {
    Invalid::new("addressing", "must be one of: path virtual-hosted")
}

fn not_provider(_: &str) -> Invalid {
    Invalid::new("provider", "must be one of: r2 aws generic")
}

/// The store's address: a scheme, a host, an optional port, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    scheme: &'static str,
    /// Host and port, as in a URL and in the signed `Host` header.
    authority: String,
    host: String,
    is_domain: bool,
}

impl Endpoint {
    /// Parses an endpoint such as `https://ACCOUNT.r2.cloudflarestorage.com`.
    ///
    /// # Errors
    /// Not an http(s) URL; plain http or a host that is not public, unless allowed; user info, a
    /// path, a query or a fragment.
    pub fn parse(text: &str, allowed: &AllowedHosts) -> Result<Self, Invalid> {
        let invalid = |expected: &str| Invalid::new("endpoint", expected);
        let url = Url::parse(text).map_err(|_| invalid("must be a URL such as https://s3.example.com"))?;
        let bare =
            url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
        if !bare || url.path() != "/" {
            return Err(invalid(
                "must be a scheme and a host only: no user name, path, query or fragment; the bucket's name has its own field",
            ));
        }
        allowed.check("endpoint", &url)?;
        let scheme = if url.scheme() == "http" { "http" } else { "https" };
        let host = url.host().ok_or_else(|| invalid("must name a host"))?;
        let authority = url.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
        Ok(Self { scheme, authority, host: host.to_string(), is_domain: matches!(host, Host::Domain(_)) })
    }

    /// `http` or `https`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        self.scheme
    }

    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Host, and port if it is not the scheme's default.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

/// A bucket's name: 3 to 63 of `a-z 0-9 . -`, starting and ending with a letter or digit
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketName(String);

impl BucketName {
    /// # Errors
    /// A name that S3 rejects.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let inner = text.bytes().all(|byte| is_alphanumeric(byte) || byte == b'-' || byte == b'.');
        let ends = text.bytes().next().is_some_and(is_alphanumeric) && text.bytes().last().is_some_and(is_alphanumeric);
        if !(3..=63).contains(&text.len()) || !inner || !ends || text.contains("..") {
            return Err(Invalid::new(
                "bucket",
                "must be 3 to 63 of a-z, 0-9, '-' and '.', beginning and ending with a letter or a digit",
            ));
        }
        if text.parse::<std::net::Ipv4Addr>().is_ok() {
            return Err(Invalid::new("bucket", "must not look like an IP address"));
        }
        Ok(Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A region's name, such as `auto` or `eu-central-1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region(String);

impl Region {
    /// # Errors
    /// Anything but 1 to 32 of `a-z 0-9 -`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if !is_plain_name(text, 1..=32) {
            return Err(Invalid::new("region", "must be 1 to 32 of a-z, 0-9 and '-', such as auto or eu-central-1"));
        }
        Ok(Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
