//! One issued object key and all that is known of it.

use std::net::IpAddr;

use chrono::{DateTime, Utc};

use super::caller::CallerKind;
use super::extension::Extension;
use super::ids::{BucketId, TenantId, UploadId};

/// What an upload is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        match self {
            Self::Thumb => "thumb",
            Self::Origin => "origin",
            Self::Video => "video",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A width or a height in pixels: 1 … 2,147,483,647.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pixels(i32);

impl Pixels {
    /// Reads decimal digits, nothing else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let value = text.parse().ok().filter(|value| digits && *value >= 1)?;
        Some(Self(value))
    }

    #[must_use]
    pub const fn get(self) -> i32 {
        self.0
    }
}

/// A duration in seconds: finite, 0 … 1e9.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seconds(f64);

impl Seconds {
    /// Reads a decimal number, perhaps with an exponent; no sign but that of the exponent, no `inf`, no `nan`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let begins_with_digit = text.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
        let value = text.parse::<f64>().ok()?;
        (begins_with_digit && (0.0..=1e9).contains(&value)).then_some(Self(value))
    }

    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// What a caller asks for: a place for one picture or one video.
#[derive(Debug, Clone, PartialEq)]
pub struct UploadRequest {
    pub ext: Extension,
    pub kind: Option<UploadKind>,
    pub width: Option<Pixels>,
    pub height: Option<Pixels>,
    pub duration: Option<Seconds>,
}

/// An upload at the moment of its issue: the row that is committed before its URL is revealed.
#[derive(Debug, Clone)]
pub struct NewUpload {
    pub id: UploadId,
    pub tenant_id: TenantId,
    pub bucket_id: BucketId,
    pub object_key: String,
    pub request: UploadRequest,
    pub caller_kind: CallerKind,
    /// The API key's id or the JWT issuer's id; nothing for an anonymous caller.
    pub caller_id: Option<uuid::Uuid>,
    /// The JWT's `sub`.
    pub caller_subject: Option<std::sync::Arc<str>>,
    pub client_address: IpAddr,
    /// Which credential signed the URL; it is revoked by rotating that one.
    pub access_key_id: String,
    pub issued_at: DateTime<Utc>,
    pub url_expires_at: DateTime<Utc>,
}
