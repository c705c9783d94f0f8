//! An upload: one issued object key and everything known about it.

use std::fmt;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use strum::{EnumString, IntoStaticStr};

use super::Invalid;
use super::binding::{Bindings, Metadata, Sha256};
use super::bucket::Alias;
use super::caller::CallerKind;
use super::extension::Extension;
use super::ids::{BucketId, TenantId, UploadId};
use super::tenant::Slug;
pub use super::upload_kind::UploadKind;

/// The state of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumString, IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str, parse_err_ty = Invalid, parse_err_fn = not_state)]
pub enum UploadState {
    /// Its URL was issued; nothing more is known.
    Issued,
    /// It was found in the bucket and matches.
    Uploaded,
    /// It was found in the bucket and differs from what was declared.
    Mismatched,
    /// Its URL expired and nothing arrived.
    Expired,
    Deleted,
}

impl UploadState {
    pub const ALL: [Self; 5] = [Self::Issued, Self::Uploaded, Self::Mismatched, Self::Expired, Self::Deleted];

    /// Its stable word, as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.into_str()
    }
}

fn not_state(_: &str) -> Invalid {
    Invalid::new("state", "must be issued, uploaded, mismatched, expired or deleted")
}

/// A width or a height in pixels: 1 … 2,147,483,647.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub struct Pixels(i32);

impl Pixels {
    /// Parses decimal digits, nothing else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let value = text.parse().ok().filter(|value| digits && *value >= 1)?;
        Some(Self(value))
    }

    /// 1 … 2,147,483,647.
    #[must_use]
    pub fn new(value: i32) -> Option<Self> {
        (value >= 1).then_some(Self(value))
    }

    #[must_use]
    pub const fn get(self) -> i32 {
        self.0
    }
}

/// A duration in seconds: finite, 0 … 1e9.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Seconds(f64);

impl Seconds {
    /// Parses a decimal number with an optional exponent. Only the exponent may have a sign; `inf`
    /// and `nan` are invalid.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let begins_with_digit = text.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
        let value = text.parse::<f64>().ok()?;
        Self::new(value).filter(|_| begins_with_digit)
    }

    /// Finite, 0 … 1e9, without the sign that zero can have.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        (0.0..=1e9).contains(&value).then_some(Self(value + 0.0))
    }

    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// What a caller declares about one file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileFacts {
    pub ext: Extension,
    pub kind: Option<UploadKind>,
    pub width: Option<Pixels>,
    pub height: Option<Pixels>,
    pub duration: Option<Seconds>,
}

/// A request to upload one file.
#[derive(Debug, Clone, PartialEq)]
pub struct UploadRequest {
    pub file: FileFacts,
    pub bindings: Bindings,
    pub metadata: Metadata,
    /// How long the URL lives in seconds; `None` for the policy's default.
    pub expires_in_seconds: Option<u32>,
    /// One of the tenant's buckets; `None` for the default one.
    pub bucket: Option<Alias>,
}

impl UploadRequest {
    /// A request for a URL without bindings.
    #[must_use]
    pub fn bare(file: FileFacts) -> Self {
        let (bindings, metadata) = (Bindings::default(), Metadata::default());
        Self { file, bindings, metadata, expires_in_seconds: None, bucket: None }
    }
}

/// Where the request for an upload came from.
#[derive(Debug, Clone, Copy)]
pub struct RequestSource {
    pub client_address: IpAddr,
    pub trace_id: Option<TraceId>,
}

/// The id of a sampled trace (<https://www.w3.org/TR/trace-context/#trace-id>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(pub [u8; 16]);

impl TraceId {
    /// Parses 32 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        const_hex::decode_to_array(text).ok().filter(|_| text.len() == 32).map(Self)
    }
}

impl fmt::Display for TraceId {
    /// 32 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// An upload when it is issued: the row that is committed before its URL is revealed.
#[derive(Debug, Clone)]
pub struct NewUpload {
    pub id: UploadId,
    pub tenant_id: TenantId,
    pub bucket_id: BucketId,
    pub object_key: String,
    pub file: FileFacts,
    pub bindings: Bindings,
    pub metadata: Metadata,
    pub caller_kind: CallerKind,
    /// The API key's id or the JWT issuer's id; `None` for an anonymous caller.
    pub caller_id: Option<uuid::Uuid>,
    /// The JWT's `sub`.
    pub caller_subject: Option<std::sync::Arc<str>>,
    pub source: RequestSource,
    /// The credential that signed the URL. Rotating it revokes the URL.
    pub access_key_id: String,
    pub issued_at: DateTime<Utc>,
    pub url_expires_at: DateTime<Utc>,
    /// When the sweeper checks the upload, if it does.
    pub check_at: Option<DateTime<Utc>>,
}

/// A recorded upload, with the names of its tenant and bucket.
#[derive(Debug, Clone)]
pub struct Upload {
    /// What was recorded when the upload was issued. If its URL was re-signed, the credential and
    /// the times are those of the newer URL.
    pub issued: NewUpload,
    pub tenant: Slug,
    pub bucket: Alias,
    /// The caller's public id, if the caller was an API key.
    pub api_key: Option<String>,
    pub state: UploadState,
    /// The ETag of the client's PUT, as the client declared it.
    pub declared_etag: Option<String>,
    /// What the bucket returned when the object was last seen.
    pub seen: Option<SeenObject>,
}

/// What a bucket reports about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenObject {
    /// Bytes.
    pub size_bytes: u64,
    /// Without quotes.
    pub etag: Option<String>,
    pub content_type: Option<String>,
    /// `None` if the store keeps none.
    pub sha256: Option<Sha256>,
    pub at: DateTime<Utc>,
}

/// A declared value, and the value found instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    pub field: &'static str,
    pub promised: String,
    pub found: String,
}

impl Upload {
    /// The differences between row and object; empty if the object was never seen.
    #[must_use]
    pub fn mismatches(&self) -> Vec<Mismatch> {
        let Some(seen) = &self.seen else { return Vec::new() };
        mismatches(&self.issued.bindings, self.declared_etag.as_deref(), seen)
    }

    /// The state that follows from what the bucket reports.
    #[must_use]
    pub fn state_when(&self, seen: &SeenObject) -> UploadState {
        let as_promised = mismatches(&self.issued.bindings, self.declared_etag.as_deref(), seen).is_empty();
        if as_promised { UploadState::Uploaded } else { UploadState::Mismatched }
    }
}

/// Whether the found value satisfies the declared one.
type Same<'a> = &'a dyn Fn(&String, &String) -> bool;

/// The differences. A value that one side lacks cannot be compared.
fn mismatches(promised: &Bindings, declared_etag: Option<&str>, seen: &SeenObject) -> Vec<Mismatch> {
    let same = |promised: &String, found: &String| promised == found;
    let same_type = |promised: &String, found: &String| essence(promised).eq_ignore_ascii_case(essence(found));
    let same_etag = |promised: &String, found: &String| bare_etag(promised) == bare_etag(found);
    let facts: [(&'static str, Option<String>, Option<String>, Same<'_>); 4] = [
        ("size", promised.size_bytes.map(|bytes| bytes.to_string()), Some(seen.size_bytes.to_string()), &same),
        ("content_type", promised.content_type.map(str::to_owned), seen.content_type.clone(), &same_type),
        ("sha256", promised.sha256.map(|digest| digest.hex()), seen.sha256.map(|digest| digest.hex()), &same),
        ("etag", declared_etag.map(str::to_owned), seen.etag.clone(), &same_etag),
    ];
    let compare = |(field, promised, found, same): (_, Option<String>, Option<String>, Same<'_>)| {
        let (promised, found) = (promised?, found?);
        (!same(&promised, &found)).then_some(Mismatch { field, promised, found })
    };
    facts.into_iter().filter_map(compare).collect()
}

/// A media type without its parameters.
fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// An ETag without quotes and without the prefix of a weak one (RFC 9110, section 8.8.3).
#[must_use]
pub fn bare_etag(text: &str) -> &str {
    text.strip_prefix("W/").unwrap_or(text).trim_matches('"')
}
