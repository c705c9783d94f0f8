//! Signs URLs: pure computation, no I/O.
//!
//! AWS Signature Version 4 with query parameters
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>). All signed
//! values are in the query, so the URL alone is enough for a plain PUT. The query never contains a
//! checksum: some SDKs add the one of an empty body, and stores then reject the real body.
//!
//! The code is our own because signing is most of the cost of a presign
//! (`docs/adr/0012-we-sign-ourselves.md`). A property test compares it with `aws-sdk-s3`.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use chrono::{DateTime, NaiveDate, Timelike, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::domain::bucket::{Addressing, Location};
use crate::domain::credential::Credential;
use crate::domain::digits;

/// The operation of a URL.
#[derive(Debug, Clone, Copy)]
pub enum Operation<'a> {
    /// PUT an object. Names in the metadata are lower-case, without `x-amz-meta-`. The client must
    /// send `headers` exactly; without any, a plain PUT suffices.
    Put { metadata: &'a [(&'a str, Cow<'a, str>)], headers: &'a [(&'static str, String)] },
    /// GET an object, with these fields in the response.
    Get { content_disposition: Option<&'a str>, content_type: Option<&'a str> },
}

impl<'a> Operation<'a> {
    const fn method(self) -> &'static str {
        match self {
            Self::Put { .. } => "PUT",
            Self::Get { .. } => "GET",
        }
    }

    /// The signed header fields, by name.
    fn headers(self, host: &'a str) -> Vec<(&'a str, &'a str)> {
        let bound = match self {
            Self::Put { headers, .. } => headers,
            Self::Get { .. } => &[],
        };
        let mut headers = Vec::with_capacity(bound.len() + 1);
        headers.push(("host", host));
        headers.extend(bound.iter().map(|(name, value)| (*name, value.as_str())));
        headers.sort_unstable();
        headers
    }

    /// The parameters of the operation, by name; SDKs add `x-id` for their logs.
    fn push_parameters(self, query: &mut String) {
        match self {
            Self::Put { metadata, .. } => {
                let mut metadata: Vec<_> = metadata.iter().collect();
                metadata.sort_unstable();
                for (name, value) in metadata {
                    query.push_str("&x-amz-meta-");
                    push_encoded(query, name);
                    query.push('=');
                    push_encoded(query, value);
                }
                query.push_str("&x-id=PutObject");
            }
            Self::Get { content_disposition, content_type } => {
                let named =
                    [("response-content-disposition", content_disposition), ("response-content-type", content_type)];
                for (name, value) in named {
                    let Some(value) = value else { continue };
                    query.extend(["&", name, "="]);
                    push_encoded(query, value);
                }
                query.push_str("&x-id=GetObject");
            }
        }
    }
}

/// A presigned URL. It is a bearer token until it expires, so it cannot be printed.
pub struct SignedUrl(String);

impl SignedUrl {
    /// The URL itself, for the one response that reveals it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The URL itself, without a copy.
    #[must_use]
    pub fn reveal(self) -> String {
        self.0
    }
}

impl std::fmt::Debug for SignedUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignedUrl(…)")
    }
}

/// Everything but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same, except the slashes of an object key.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// Signs with one credential, for one bucket.
pub struct Signer {
    /// Scheme, host and port.
    base_url: String,
    /// As it is signed: host and port.
    host: String,
    /// The path up to the object key.
    folder: String,
    region: String,
    access_key_id: String,
    secret_access_key: SecretString,
    /// As written in a query.
    session_token: Option<SecretString>,
    /// The part that is constant for a day. It costs as much as the rest: four hashes in sequence.
    today: Mutex<Option<Arc<Day>>>,
}

/// The part that all URLs of one day (UTC) share.
struct Day {
    date: NaiveDate,
    /// `YYYYMMDD`
    text: String,
    /// `YYYYMMDD/region/s3/aws4_request`
    scope: String,
    /// The access key id and the scope, as written in a query.
    credential: String,
    signing_key: hmac::Key,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

impl Signer {
    #[must_use]
    pub fn new(credential: &Credential, location: &Location) -> Self {
        let (scheme, authority) = (location.endpoint.scheme(), location.endpoint.authority());
        let bucket = location.bucket_name.as_str();
        let (host, folder) = match location.addressing {
            Addressing::Path => (authority.to_owned(), format!("/{bucket}/")),
            Addressing::VirtualHosted => (format!("{bucket}.{authority}"), "/".to_owned()),
        };
        Self {
            base_url: format!("{scheme}://{host}"),
            host,
            folder,
            region: location.region.as_str().to_owned(),
            access_key_id: credential.access_key_id.clone(),
            secret_access_key: credential.secret_access_key.clone(),
            session_token: credential.session_token.as_ref().map(|token| encoded(token.expose_secret()).into()),
            today: Mutex::new(None),
        }
    }

    /// Signs a URL for one operation on one object, valid for `expires_in_seconds` from `now`.
    #[must_use]
    pub fn sign(
        &self,
        operation: Operation<'_>,
        object_key: &str,
        expires_in_seconds: u32,
        now: DateTime<Utc>,
    ) -> SignedUrl {
        let day = self.day(now);
        let time = day.time(now);
        let headers = operation.headers(&self.host);
        let signed_headers = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");

        let mut path = String::with_capacity(128);
        path.push_str(&self.folder);
        path.extend(utf8_percent_encode(object_key, RESERVED_IN_PATH));
        let (before, after) = self.query(operation, &day, &time, expires_in_seconds, &signed_headers);

        let request = canonical_request(operation.method(), &path, [&before, &after], &headers, &signed_headers);
        let signature = day.sign(&time, &request);
        let query = [&self.base_url, &path, "?", &before, "&X-Amz-Signature=", &const_hex::encode(signature), &after];
        SignedUrl(query.concat())
    }

    /// The query by name, in the order of the contract's example: before and after the signature.
    fn query(
        &self,
        operation: Operation<'_>,
        day: &Day,
        time: &str,
        expires_in_seconds: u32,
        signed_headers: &str,
    ) -> (String, String) {
        let mut before = String::with_capacity(256);
        before.push_str("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD&X-Amz-Credential=");
        before.extend([&day.credential, "&X-Amz-Date=", time, "&X-Amz-Expires="]);
        // Writing to a String cannot fail.
        let _ = write!(before, "{expires_in_seconds}");
        if let Some(token) = &self.session_token {
            before.push_str("&X-Amz-Security-Token=");
            before.push_str(token.expose_secret());
        }
        let mut after = String::with_capacity(256);
        after.push_str("&X-Amz-SignedHeaders=");
        push_encoded(&mut after, signed_headers);
        operation.push_parameters(&mut after);
        (before, after)
    }

    fn day(&self, now: DateTime<Utc>) -> Arc<Day> {
        let date = now.date_naive();
        let mut today = self.today.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(day) = today.as_ref().filter(|day| day.date == date) {
            return Arc::clone(day);
        }
        let day = Arc::new(Day::new(date, &self.region, &self.access_key_id, &self.secret_access_key));
        *today = Some(Arc::clone(&day));
        day
    }
}

impl Day {
    fn new(date: NaiveDate, region: &str, access_key_id: &str, secret_access_key: &SecretString) -> Self {
        let text = date.format("%Y%m%d").to_string();
        let scope = format!("{text}/{region}/s3/aws4_request");
        let credential = encoded(&format!("{access_key_id}/{scope}"));
        let secret = Zeroizing::new(format!("AWS4{}", secret_access_key.expose_secret()));
        let mut signing_key = hmac::Key::new(HMAC_SHA256, secret.as_bytes());
        for part in [text.as_str(), region, "s3", "aws4_request"] {
            signing_key = hmac::Key::new(HMAC_SHA256, hmac::sign(&signing_key, part.as_bytes()).as_ref());
        }
        Self { date, text, scope, credential, signing_key }
    }

    /// `YYYYMMDDTHHMMSSZ`
    fn time(&self, now: DateTime<Utc>) -> String {
        let mut time = String::with_capacity(16);
        time.extend([&self.text, "T"]);
        for number in [now.hour(), now.minute(), now.second()] {
            digits::push(&mut time, number, 2);
        }
        time.push('Z');
        time
    }

    /// The signature of a canonical request.
    fn sign(&self, time: &str, canonical_request: &str) -> hmac::Tag {
        let hash = const_hex::encode(digest(&SHA256, canonical_request.as_bytes()));
        let to_sign = ["AWS4-HMAC-SHA256\n", time, "\n", &self.scope, "\n", &hash].concat();
        hmac::sign(&self.signing_key, to_sign.as_bytes())
    }
}

/// The canonical request, which both sides sign.
fn canonical_request(
    method: &str,
    path: &str,
    query: [&str; 2],
    headers: &[(&str, &str)],
    signed_headers: &str,
) -> String {
    let mut request = String::with_capacity(1024);
    request.extend([method, "\n", path, "\n"]);
    request.extend(query);
    request.push('\n');
    for (name, value) in headers {
        request.extend([name, ":", value, "\n"]);
    }
    request.extend(["\n", signed_headers, "\nUNSIGNED-PAYLOAD"]);
    request
}

fn push_encoded(query: &mut String, text: &str) {
    query.extend(utf8_percent_encode(text, RESERVED));
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}
