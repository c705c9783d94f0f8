//! A tenant: its name and its rate limit. Its policy is in `policy`.

use std::num::NonZeroU32;

use chrono::{DateTime, Utc};
use strum::{EnumString, IntoStaticStr};

use super::ids::TenantId;
pub use super::policy::Policy;
use super::{Invalid, is_plain_name};

/// An app or customer with its own limits, policy, buckets and callers.
#[derive(Debug, Clone)]
pub struct Tenant {
    pub id: TenantId,
    pub slug: Slug,
    pub name: String,
    pub status: TenantStatus,
    pub rate_limit: RateLimit,
    pub policy: Policy,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Revision of the row, from 1.
    pub revision: i32,
}

/// Whether a tenant's callers are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str, parse_err_ty = Invalid, parse_err_fn = not_status)]
pub enum TenantStatus {
    Active,
    Suspended,
    /// Suspended and hidden from lists.
    Archived,
}

impl TenantStatus {
    /// Its stable word, as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

fn not_status(_: &str) -> Invalid {
    Invalid::new("status", "must be active, suspended or archived")
}

/// A tenant's short name: 2 to 63 of `a-z 0-9 -`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Slug(String);

impl Slug {
    /// # Errors
    /// Another character, or a wrong length.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if !is_plain_name(text, 2..=63) {
            return Err(Invalid::new("slug", "must be 2 to 63 of a-z, 0-9 and -"));
        }
        Ok(Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Slug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tenant's rate limit: a steady rate, and a burst after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    pub per_second: NonZeroU32,
    pub burst: NonZeroU32,
}

impl RateLimit {
    /// Maximum rate and maximum burst.
    pub const MAX: u32 = 1_000_000;

    /// # Errors
    /// A rate or a burst outside 1 … [`Self::MAX`].
    pub fn new(per_second: u32, burst: u32) -> Result<Self, Invalid> {
        let check = |field, value| {
            NonZeroU32::new(value)
                .filter(|value| value.get() <= Self::MAX)
                .ok_or_else(|| Invalid::new(field, format!("must be 1 to {}", Self::MAX)))
        };
        Ok(Self { per_second: check("rate_per_second", per_second)?, burst: check("burst", burst)? })
    }
}

/// Maximum object size of S3 and R2: 5 TiB.
pub const MAX_SIZE_BYTES: u64 = 5 << 40;

/// How long a tenant's URLs live, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    pub default_seconds: u32,
    pub longest_seconds: u32,
}

impl Expiry {
    /// Seven days: what Signature Version 4 allows at most
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>).
    pub const MAX_SECONDS: u32 = 604_800;

    /// # Errors
    /// Not 1 ≤ default ≤ longest ≤ [`Self::MAX_SECONDS`].
    pub fn new(default_seconds: u32, longest_seconds: u32) -> Result<Self, Invalid> {
        if !(1..=Self::MAX_SECONDS).contains(&longest_seconds) {
            return Err(Invalid::new("longest_expiry_seconds", format!("must be 1 to {}", Self::MAX_SECONDS)));
        }
        if !(1..=longest_seconds).contains(&default_seconds) {
            return Err(Invalid::new(
                "default_expiry_seconds",
                format!("must be 1 to the tenant's maximum, {longest_seconds}"),
            ));
        }
        Ok(Self { default_seconds, longest_seconds })
    }
}

/// A time zone of the IANA database; UTC by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeZone(pub chrono_tz::Tz);

impl std::fmt::Display for TimeZone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name())
    }
}

/// Parses an IANA time zone name such as `Asia/Shanghai`.
///
/// # Errors
/// The time zone database has no such name.
pub fn parse_time_zone(text: &str) -> Result<TimeZone, Invalid> {
    let zone = text.parse().map(TimeZone);
    zone.map_err(|_| Invalid::new("time_zone", "must be an IANA time zone such as UTC or Asia/Shanghai"))
}
