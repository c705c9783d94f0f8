//! Limits of providers. A bucket that violates them is rejected when it is set, not at an upload.

use super::{Addressing, Endpoint, Location, Provider, Region};
use crate::domain::Invalid;

/// The regions that R2 accepts; others get 400 `InvalidRegionName`
/// (<https://developers.cloudflare.com/r2/api/s3/api/>).
const R2_REGIONS: [&str; 8] = ["auto", "us-east-1", "wnam", "enam", "weur", "eeur", "apac", "oc"];
/// Prefixes and suffixes that AWS reserves
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>).
const AWS_RESERVED_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
const AWS_RESERVED_SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

impl Provider {
    /// The provider that an endpoint's host belongs to.
    #[must_use]
    pub fn of(endpoint: &Endpoint) -> Self {
        let host = host(endpoint);
        if is_below(host, "r2.cloudflarestorage.com") {
            Self::R2
        } else if is_below(host, "amazonaws.com") || is_below(host, "amazonaws.com.cn") {
            Self::Aws
        } else {
            Self::Generic
        }
    }
}

impl Location {
    /// Checks rules that concern several fields.
    ///
    /// # Errors
    /// An endpoint, region or bucket name that the provider does not have, or an addressing style
    /// that cannot work.
    pub fn check(self) -> Result<Self, Invalid> {
        match self.provider {
            Provider::R2 => check_r2(&self)?,
            Provider::Aws => check_aws(&self)?,
            Provider::Generic => {}
        }
        check_addressing(&self)?;
        Ok(self)
    }
}

fn check_r2(location: &Location) -> Result<(), Invalid> {
    if Provider::of(&location.endpoint) != Provider::R2 {
        return Err(Invalid::new(
            "endpoint",
            "must be https://ACCOUNT.r2.cloudflarestorage.com (or .eu. or .fedramp.) for R2: presigned URLs do not work on custom domains",
        ));
    }
    if !R2_REGIONS.contains(&location.region.as_str()) {
        let expected = format!("must be one of {} for R2; auto is right for every bucket", R2_REGIONS.join(", "));
        return Err(Invalid::new("region", expected));
    }
    if location.bucket_name.as_str().contains('.') {
        return Err(Invalid::new("bucket", "must be 3 to 63 of a-z, 0-9 and '-' for R2: no dots"));
    }
    Ok(())
}

fn check_aws(location: &Location) -> Result<(), Invalid> {
    if Provider::of(&location.endpoint) != Provider::Aws {
        return Err(Invalid::new("endpoint", "must be one of AWS, such as https://s3.eu-central-1.amazonaws.com"));
    }
    if !is_aws_region(&location.region) {
        return Err(Invalid::new("region", "must be the bucket's own for AWS, such as eu-central-1"));
    }
    let name = location.bucket_name.as_str();
    let reserved = AWS_RESERVED_PREFIXES.iter().find(|prefix| name.starts_with(**prefix));
    let reserved = reserved.or_else(|| AWS_RESERVED_SUFFIXES.iter().find(|suffix| name.ends_with(**suffix)));
    match reserved {
        Some(reserved) => {
            Err(Invalid::new("bucket", format!("must not begin or end with {reserved}: AWS reserves it")))
        }
        None => Ok(()),
    }
}

fn check_addressing(location: &Location) -> Result<(), Invalid> {
    if location.addressing == Addressing::Path {
        return Ok(());
    }
    let expected = if !location.endpoint.is_domain {
        "must be path: an endpoint that is an IP address has no subdomains"
    } else if location.endpoint.scheme() == "https" && location.bucket_name.as_str().contains('.') {
        "must be path: TLS certificates do not cover a bucket name with dots as a subdomain"
    } else {
        return Ok(());
    };
    Err(Invalid::new("addressing", expected))
}

/// A region such as `eu-central-1` or `us-gov-west-1`: a country, directions, a number.
fn is_aws_region(region: &Region) -> bool {
    let parts: Vec<&str> = region.as_str().split('-').collect();
    let [country, middle @ .., number] = parts.as_slice() else { return false };
    let letters = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    country.len() == 2
        && letters(country)
        && (1..=3).contains(&middle.len())
        && middle.iter().all(|part| letters(part))
        && (1..=2).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn host(endpoint: &Endpoint) -> &str {
    endpoint.authority().split(':').next().unwrap_or_default()
}

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}
