//! Where a tenant's objects live.

use url::{Host, Url};

use super::Invalid;
use super::ids::{BucketId, TenantId};
use super::outbound::AllowedHosts;

/// A tenant's bucket, without its credential.
#[derive(Debug, Clone)]
pub struct Bucket {
    pub id: BucketId,
    pub tenant_id: TenantId,
    pub alias: String,
    pub location: Location,
}

/// Everything that a URL into the bucket depends on, but the object key and the credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub endpoint: Endpoint,
    pub region: Region,
    pub bucket_name: BucketName,
    pub addressing: Addressing,
    pub provider: Provider,
}

/// How the bucket's name is put into a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// `https://endpoint/bucket/object-key`
    Path,
    /// `https://bucket.endpoint/object-key`
    VirtualHosted,
}

/// Who runs the bucket; decides what can be bound to a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    R2,
    Aws,
    Generic,
}

macro_rules! words {
    ($type:ident, $field:literal, $($variant:ident $text:literal),*) => {
        impl $type {
            /// Its stable word, as stored and as written on the command line.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }

        impl std::str::FromStr for $type {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(Invalid::new($field, concat!("must be one of:", $(" ", $text),*))),
                }
            }
        }
    };
}

words!(Addressing, "addressing", Path "path", VirtualHosted "virtual-hosted");
words!(Provider, "provider", R2 "r2", Aws "aws", Generic "generic");

/// The store's address: a scheme, a host, perhaps a port, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    scheme: &'static str,
    /// Host and port as they stand in a URL and in the signed `Host` header.
    authority: String,
    is_domain: bool,
}

impl Endpoint {
    /// Reads an endpoint such as `https://ACCOUNT.r2.cloudflarestorage.com`.
    ///
    /// # Errors
    /// No http(s) URL; plain http, or a host that is not public, where it is not allowed; user info, a path, a query or a
    /// fragment.
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
        Ok(Self { scheme, authority, is_domain: matches!(host, Host::Domain(_)) })
    }

    /// `http` or `https`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// Host, and port where it is not the scheme's own.
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

/// A bucket's name: 3 to 63 of `a-z 0-9 . -`, beginning and ending with a letter or a digit
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketName(String);

impl BucketName {
    /// # Errors
    /// A name that S3 would refuse.
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
        let allowed = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !(1..=32).contains(&text.len()) || !allowed {
            return Err(Invalid::new("region", "must be 1 to 32 of a-z, 0-9 and '-', such as auto or eu-central-1"));
        }
        Ok(Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The regions that R2 accepts; anything else is answered with 400 `InvalidRegionName`
/// (<https://developers.cloudflare.com/r2/api/s3/api/>).
const R2_REGIONS: [&str; 8] = ["auto", "us-east-1", "wnam", "enam", "weur", "eeur", "apac", "oc"];

impl Location {
    /// Checks what no field can check alone.
    ///
    /// # Errors
    /// A region that the provider does not have, or virtual-hosted addressing of an endpoint that is an IP address.
    pub fn check(self) -> Result<Self, Invalid> {
        if self.provider == Provider::R2 && !R2_REGIONS.contains(&self.region.as_str()) {
            return Err(Invalid::new(
                "region",
                format!("must be one of {} for R2; auto is right for every bucket", R2_REGIONS.join(", ")),
            ));
        }
        if self.addressing == Addressing::VirtualHosted && !self.endpoint.is_domain {
            return Err(Invalid::new(
                "addressing",
                "must be path: an endpoint that is an IP address has no subdomains",
            ));
        }
        Ok(self)
    }
}
