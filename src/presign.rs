//! Signs URLs: pure computation, no I/O.
//!
//! AWS Signature Version 4 with query parameters
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>). Everything that is promised stands in
//! the query and is signed, so that the URL alone is enough: a bare PUT succeeds. No checksum is ever put there: the one
//! that some SDKs add is that of an empty body, and stores refuse a real one for it.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningError, SigningSettings,
    UriPathNormalizationMode, sign as sign_request,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use chrono::{DateTime, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::ExposeSecret;

use crate::domain::bucket::{Addressing, Location};
use crate::domain::credential::Credential;

/// What a URL is for.
#[derive(Debug, Clone, Copy)]
pub enum Operation<'a> {
    /// To PUT an object; the metadata's names are lower-case, without `x-amz-meta-`. The client must send `headers`, exactly
    /// as they are; without any, a bare PUT will do.
    Put { metadata: &'a [(&'a str, Cow<'a, str>)], headers: &'a [(&'static str, String)] },
    /// To GET an object, with these fields in the answer.
    Get { content_disposition: Option<&'a str>, content_type: Option<&'a str> },
}

impl<'a> Operation<'a> {
    const fn method(self) -> &'static str {
        match self {
            Self::Put { .. } => "PUT",
            Self::Get { .. } => "GET",
        }
    }

    /// The parameters that say what is done; `x-id` is what the SDKs add for their logs.
    fn parameters(self) -> Vec<(Cow<'static, str>, String)> {
        match self {
            Self::Put { metadata, .. } => {
                let id = [(Cow::Borrowed("x-id"), "PutObject".to_owned())];
                let metadata = metadata
                    .iter()
                    .map(|(name, value)| (Cow::Owned(format!("x-amz-meta-{name}")), value.clone().into_owned()));
                metadata.chain(id).collect()
            }
            Self::Get { content_disposition, content_type } => {
                let named =
                    [("response-content-disposition", content_disposition), ("response-content-type", content_type)];
                let named =
                    named.into_iter().filter_map(|(name, value)| Some((Cow::Borrowed(name), value?.to_owned())));
                named.chain([(Cow::Borrowed("x-id"), "GetObject".to_owned())]).collect()
            }
        }
    }

    /// The header fields that are signed beside `Host`.
    fn headers(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let headers = match self {
            Self::Put { headers, .. } => headers,
            Self::Get { .. } => &[],
        };
        headers.iter().map(|(name, value)| (*name, value.as_str()))
    }
}

/// A presigned URL: whoever has it may use it until it expires, so it cannot be printed.
pub struct SignedUrl(String);

impl SignedUrl {
    /// The URL itself; for the one answer that reveals it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SignedUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignedUrl(…)")
    }
}

/// Why a URL could not be signed: a fault of ours, since everything that goes in has been parsed.
#[derive(Debug, thiserror::Error)]
pub enum PresignError {
    #[error("the signing parameters are not complete")]
    Parameters(#[from] v4::signing_params::BuildError),
    #[error("the request cannot be signed")]
    Signing(#[from] SigningError),
}

/// Everything but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same, but for the slashes of an object key.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// Signs a URL that lets its holder do one operation on one object for `expires_in_seconds` from `now`.
///
/// # Errors
/// See [`PresignError`]; it does not happen with values that were parsed.
pub fn sign(
    credential: &Credential,
    location: &Location,
    operation: Operation<'_>,
    object_key: &str,
    expires_in_seconds: u32,
    now: DateTime<Utc>,
) -> Result<SignedUrl, PresignError> {
    let address = address(location, object_key);
    let mut parameters = operation.parameters();
    parameters.push((Cow::Borrowed("X-Amz-Content-Sha256"), "UNSIGNED-PAYLOAD".to_owned()));

    let unsigned = format!("{address}?{}", query(&mut parameters));
    let request =
        SignableRequest::new(operation.method(), unsigned, operation.headers(), SignableBody::UnsignedPayload)?;
    let identity = identity(credential);
    let signing = v4::SigningParams::builder()
        .identity(&identity)
        .region(location.region.as_str())
        .name("s3")
        .time(SystemTime::from(now))
        .settings(settings(expires_in_seconds))
        .build()?
        .into();
    let (instructions, _) = sign_request(request, &signing)?.into_parts();
    let (_, signature) = instructions.into_parts();
    parameters.extend(signature.into_iter().map(|(name, value)| (Cow::Borrowed(name), value.into_owned())));
    Ok(SignedUrl(format!("{address}?{}", query(&mut parameters))))
}

/// The URL of an object, without a query.
fn address(location: &Location, object_key: &str) -> String {
    let scheme = location.endpoint.scheme();
    let authority = location.endpoint.authority();
    let bucket = location.bucket_name.as_str();
    let path = utf8_percent_encode(object_key, RESERVED_IN_PATH);
    match location.addressing {
        Addressing::Path => format!("{scheme}://{authority}/{bucket}/{path}"),
        Addressing::VirtualHosted => format!("{scheme}://{bucket}.{authority}/{path}"),
    }
}

/// Sorts by name, as the contract's example is, and encodes.
fn query(parameters: &mut [(Cow<'static, str>, String)]) -> String {
    parameters.sort_unstable();
    let mut text = String::with_capacity(512);
    for (name, value) in parameters {
        if !text.is_empty() {
            text.push('&');
        }
        text.extend(utf8_percent_encode(name, RESERVED));
        text.push('=');
        text.extend(utf8_percent_encode(value, RESERVED));
    }
    text
}

fn identity(credential: &Credential) -> Identity {
    let token = credential.session_token.as_ref().map(|token| token.expose_secret().to_owned());
    Credentials::new(
        &credential.access_key_id,
        credential.secret_access_key.expose_secret(),
        token,
        None,
        "presign-gateway",
    )
    .into()
}

fn settings(expires_in_seconds: u32) -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.expires_in = Some(Duration::from_secs(expires_in_seconds.into()));
    settings
}
