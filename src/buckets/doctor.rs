//! The bucket doctor: does what a client would do with a bucket, and explains how to fix what
//! fails.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Response, header};

use crate::buckets::credentials::OpenBucket;
use crate::domain::clock::Clock;
use crate::domain::randomness::Randomness;
use crate::egress::{self, Egress};
use crate::presign::Operation;

use super::{BucketClient, BucketError, OPERATION_TIMEOUT};

mod bindings;
mod cors;

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    Good,
    /// Works, with a limitation worth knowing.
    Fair,
    Bad,
}

/// One check and its outcome.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Finding {
    pub check: &'static str,
    pub health: Health,
    pub found: String,
    /// How to fix it.
    pub remedy: Option<String>,
}

impl Finding {
    fn good(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, health: Health::Good, found: found.into(), remedy: None }
    }

    fn fair(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, health: Health::Fair, found: found.into(), remedy: Some(remedy.into()) }
    }

    fn bad(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, health: Health::Bad, found: found.into(), remedy: Some(remedy.into()) }
    }
}

const BODY: &[u8] = b"presign-gateway doctor\n";
const EXPIRY_SECONDS: u32 = 60;
/// The clock skew that S3 tolerates before it answers RequestTimeTooSkewed.
const MAX_SKEW: TimeDelta = TimeDelta::minutes(15);
const NOTEWORTHY_SKEW: TimeDelta = TimeDelta::seconds(30);
/// How much of an error body is read.
const MAX_ERROR_BYTES: usize = 4096;

/// Checks a bucket and deletes everything it created there.
pub async fn examine(
    open: &OpenBucket,
    origin: &str,
    outbound: &Egress,
    clock: &Clock,
    randomness: &Randomness,
) -> Vec<Finding> {
    let now = clock.now();
    let id = uuid::Uuid::from_bytes(randomness.bytes());
    let object_key = format!("presign-gateway-doctor/{id}.txt");
    let metadata = [("width", "1".into())];
    let url = open.signer.sign(Operation::Put { metadata: &metadata, headers: &[] }, &object_key, EXPIRY_SECONDS, now);
    let reachable = outbound
        .client_for_endpoint(&open.bucket.location.endpoint)
        .map_err(|error| error.to_string())
        .and_then(|client| Ok((client, BucketClient::new(open, outbound).map_err(|error| error.to_string())?)));
    let (client, bucket) = match reachable {
        Ok(clients) => clients,
        Err(error) => {
            let remedy = "add the host to the setting outbound.allowed_hosts, if it is yours";
            return vec![Finding::bad("reach the endpoint", error, remedy)];
        }
    };

    let mut findings = vec![Finding::good(
        "sign a URL",
        format!("{} in {}", open.bucket.location.bucket_name.as_str(), open.bucket.location.endpoint),
    )];
    let put =
        client.put(url.expose()).timeout(OPERATION_TIMEOUT).header(header::ORIGIN, origin).body(BODY).send().await;
    let answer = match put {
        Ok(answer) => answer,
        Err(error) => {
            findings.push(Finding::bad(
                "PUT a file",
                egress::kind(&error).to_string(),
                format!("check the endpoint {}, DNS and the firewall", open.bucket.location.endpoint),
            ));
            return findings;
        }
    };
    findings.extend(check_clock(&answer, clock.now()));
    let exposes_etag = cors::exposes_etag(&answer, origin);
    if !answer.status().is_success() {
        findings.push(refused(answer).await);
        return findings;
    }
    findings.push(Finding::good("PUT a file", format!("{} bytes, no special header", BODY.len())));
    findings.extend(bindings::check(client, open, &object_key, now).await);
    findings.extend(check_object(&bucket, &object_key).await);
    findings.push(cors::check_in_time(client, &url, origin, exposes_etag, &bucket).await);
    findings
}

fn check_clock(answer: &Response, now: DateTime<Utc>) -> Option<Finding> {
    let date = answer.headers().get(header::DATE)?.to_str().ok()?;
    let theirs = DateTime::parse_from_rfc2822(date).ok()?.to_utc();
    let skew = (now - theirs).abs();
    let found = format!("{} s apart", skew.num_seconds());
    let remedy = "set this machine's clock, best by NTP";
    Some(match skew {
        skew if skew > MAX_SKEW => Finding::bad("compare clocks", found, remedy),
        skew if skew > NOTEWORTHY_SKEW => Finding::fair("compare clocks", found, remedy),
        _ => Finding::good("compare clocks", found),
    })
}

async fn refused(answer: Response) -> Finding {
    let status = answer.status().as_u16();
    let code = error_code(answer).await.unwrap_or_else(|| "no error code".to_owned());
    let remedy = match code.as_str() {
        "InvalidAccessKeyId" | "NotSignedUp" | "Unauthorized" => {
            "the store does not know the access key id: set both again with `bucket rotate-credential`"
        }
        "SignatureDoesNotMatch" => {
            "the secret does not belong to the access key id: set both again with `bucket rotate-credential --secret-stdin`"
        }
        "AccessDenied" => {
            "the credential may not write: it needs PutObject, GetObject and DeleteObject on this bucket (R2: Object Read & Write)"
        }
        "NoSuchBucket" => {
            "there is no such bucket at this endpoint: check its name, and for R2 the jurisdiction (.eu.)"
        }
        "RequestTimeTooSkewed" | "RequestExpired" | "ExpiredRequest" => {
            "this machine's clock is wrong: set it, best by NTP"
        }
        "InvalidRegionName" | "AuthorizationHeaderMalformed" | "AuthorizationQueryParametersError" => {
            "the region is wrong: `auto` for R2, the bucket's own elsewhere"
        }
        "PermanentRedirect" | "TemporaryRedirect" => "the bucket belongs to another endpoint: use its region's",
        _ => "look the code up in the store's documentation",
    };
    Finding::bad("PUT a file", format!("HTTP {status}, {code}"), remedy)
}

/// The `<Code>` of an S3 error; nothing else of a foreign body is shown.
async fn error_code(mut answer: Response) -> Option<String> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ERROR_BYTES {
            break;
        }
    }
    let text = String::from_utf8_lossy(&body);
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let plain = code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then(|| code.to_owned())
}

async fn check_object(client: &BucketClient, object_key: &str) -> Vec<Finding> {
    let permission = |what: &str| format!("the credential needs {what} on this bucket (R2: Object Read & Write)");
    let mut findings = Vec::new();
    match client.head(object_key, false).await {
        Ok(facts) => {
            let found = format!("{} bytes", facts.size_bytes);
            let whole = usize::try_from(facts.size_bytes).is_ok_and(|size| size == BODY.len());
            findings.push(if whole {
                Finding::good("HEAD it", found)
            } else {
                Finding::bad("HEAD it", found, "the store changed the file's size")
            });
            findings.push(match facts.width.as_deref() {
                Some("1") => Finding::good("read back its metadata", "x-amz-meta-width=1"),
                _ => Finding::fair(
                    "read back its metadata",
                    "the store keeps no metadata from the query",
                    "nothing to do: the ledger in Postgres has all of it",
                ),
            });
        }
        Err(BucketError { code, .. }) => findings.push(Finding::bad("HEAD it", code, permission("GetObject"))),
    }
    findings.push(match client.delete(object_key).await {
        Ok(()) => Finding::good("DELETE it", "gone"),
        Err(BucketError { code, .. }) => {
            Finding::bad("DELETE it", format!("{code}; {object_key} was not deleted"), permission("DeleteObject"))
        }
    });
    findings
}
