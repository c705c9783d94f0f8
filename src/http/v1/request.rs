//! The JSON of requests to issue uploads: parsed, or rejected with the name of the field.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::domain::Invalid;
use crate::domain::binding::{Bindings, Metadata, Sha256};
use crate::domain::bucket::Alias;
use crate::domain::extension::Extension;
use crate::domain::upload::{FileFacts, Pixels, Seconds, UploadKind, UploadRequest};
use crate::http::error::ApiError;
use crate::http::error::reason::Reason;
use crate::http::extract::number;

/// The largest object that one PUT can carry: 5 GiB
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html>).
const MAX_PUT_BYTES: u64 = 5 << 30;
const MAX_PIXELS: u64 = 2_147_483_647;
const MAX_FILENAME: usize = 255;

/// A request for one file. At least one of `ext`, `filename` and `content_type` gives the kind of file.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct UploadCreate {
    /// `jpg`, `jpeg`, `png`, `webp`, `gif`, `mp4` or `webm`.
    #[schema(example = "jpg")]
    ext: Option<String>,
    /// A file name, for its extension; it does not become part of the object key, and is not stored.
    #[schema(max_length = 255)]
    filename: Option<String>,
    /// The media type that belongs to the extension. It is always bound: the client must send it.
    content_type: Option<String>,
    /// `thumb`, `origin` or `video`.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Pixels.
    #[schema(minimum = 1, maximum = 2_147_483_647, example = 1024)]
    #[serde(default, deserialize_with = "number::whole::<_, _, 1, MAX_PIXELS>")]
    width: Option<i32>,
    /// Pixels.
    #[schema(minimum = 1, maximum = 2_147_483_647, example = 768)]
    #[serde(default, deserialize_with = "number::whole::<_, _, 1, MAX_PIXELS>")]
    height: Option<i32>,
    /// Seconds.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    duration: Option<f64>,
    /// Bytes: the PUT must be of exactly this size.
    #[schema(minimum = 0, maximum = 5_368_709_120_u64, example = 183_271)]
    #[serde(default, deserialize_with = "number::whole::<_, _, 0, MAX_PUT_BYTES>")]
    size: Option<u64>,
    /// The PUT must be of exactly these bytes: their SHA-256, as 64 hexadecimal digits or in base64.
    sha256: Option<String>,
    /// The URL's lifetime, in seconds; by default the app's policy.
    #[schema(minimum = 1)]
    #[serde(default, deserialize_with = "number::seconds")]
    expires_in: Option<u32>,
    /// The alias of one of the app's buckets; by default the default bucket.
    bucket: Option<String>,
    /// Names (1 to 64 of `a-z 0-9 - _`) and values that are kept with the object: at most 16 pairs, 256 bytes a value.
    #[serde(default, deserialize_with = "distinct")]
    #[schema(example = json!({"album": "summer"}))]
    metadata: BTreeMap<String, String>,
    /// Write once: the PUT fails if the object already exists.
    #[serde(default)]
    write_once: bool,
}

/// Names and values, each name once: of two values nobody knows which was meant.
fn distinct<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    struct Pairs;

    impl<'de> Visitor<'de> for Pairs {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object with string values")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = BTreeMap::new();
            while let Some((name, value)) = map.next_entry::<String, String>()? {
                let message = format!("duplicate field `metadata.{name}`");
                if pairs.insert(name, value).is_some() {
                    return Err(A::Error::custom(message));
                }
            }
            Ok(pairs)
        }
    }

    deserializer.deserialize_map(Pairs)
}

impl UploadCreate {
    /// # Errors
    /// A value that does not fit, by its field's name.
    pub fn parse(self) -> Result<UploadRequest, ApiError> {
        let ext = extension(self.ext.as_deref(), self.filename.as_deref(), self.content_type.as_deref())?;
        let file = FileFacts {
            ext,
            kind: self.kind.as_deref().map(kind).transpose()?,
            width: self.width.map(|value| pixels("width", value)).transpose()?,
            height: self.height.map(|value| pixels("height", value)).transpose()?,
            duration: self.duration.map(seconds).transpose()?,
        };
        let bindings = Bindings {
            size_bytes: self.size,
            content_type: Some(ext.content_type()),
            sha256: self.sha256.as_deref().map(Sha256::parse).transpose()?,
            write_once: self.write_once,
        };
        let bucket = self.bucket.as_deref().map(Alias::parse).transpose();
        let bucket = bucket.map_err(|_| invalid("bucket", "must be the alias of one of this app's buckets"))?;
        let metadata = Metadata::parse(self.metadata)?;
        Ok(UploadRequest { file, bindings, metadata, expires_in_seconds: self.expires_in, bucket })
    }
}

fn invalid(field: &'static str, expected: impl Into<String>) -> ApiError {
    Invalid { field, expected: expected.into() }.into()
}

/// The extension that all that is said of it agrees on.
fn extension(ext: Option<&str>, filename: Option<&str>, content_type: Option<&str>) -> Result<Extension, ApiError> {
    if filename.is_some_and(|name| name.len() > MAX_FILENAME) {
        return Err(invalid("filename", format!("must be at most {MAX_FILENAME} bytes")));
    }
    let named =
        |field, text: &str| Extension::parse(text).ok_or_else(|| ApiError::from(Reason::InvalidExt).about(field));
    let from_ext = ext.map(|text| named("ext", text)).transpose()?;
    let last_part = |name: &str| name.rsplit_once('.').map_or(String::new(), |(_, last)| last.to_owned());
    let from_name = filename.map(|name| named("filename", &last_part(name))).transpose()?;
    let ext = match (from_ext, from_name) {
        (Some(ext), Some(other)) if ext != other => {
            return Err(invalid("filename", "must end with the given ext"));
        }
        (Some(ext), _) | (None, Some(ext)) => Some(ext),
        (None, None) => None,
    };
    match (ext, content_type) {
        (None, None) => Err(invalid("ext", "is missing: give ext, filename or content_type")),
        (Some(ext), None) => Ok(ext),
        (Some(ext), Some(text)) if text.eq_ignore_ascii_case(ext.content_type()) => Ok(ext),
        (Some(ext), Some(_)) => {
            Err(invalid("content_type", format!("must be {}, the type of {}", ext.content_type(), ext.as_str())))
        }
        (None, Some(text)) => Extension::ALL
            .iter()
            .copied()
            .find(|ext| text.eq_ignore_ascii_case(ext.content_type()))
            .ok_or_else(|| ApiError::from(Reason::InvalidExt).about("content_type")),
    }
}

fn kind(text: &str) -> Result<UploadKind, ApiError> {
    UploadKind::parse(text).ok_or_else(|| ApiError::from(Reason::InvalidType).about("type"))
}

fn pixels(field: &'static str, value: i32) -> Result<Pixels, ApiError> {
    Pixels::new(value).ok_or_else(|| invalid(field, "must be 1 to 2147483647 pixels"))
}

fn seconds(value: f64) -> Result<Seconds, ApiError> {
    Seconds::new(value).ok_or_else(|| invalid("duration", "must be 0 to 1000000000 seconds"))
}
