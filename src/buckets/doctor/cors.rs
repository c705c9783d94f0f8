//! Checks CORS: the doctor sends a browser's preflight and lists everything that blocks a web page.

use std::time::Duration;

use reqwest::header::{self, HeaderName};
use reqwest::{Client, Method, Response};

use crate::buckets::BucketClient;
use crate::domain::cors::CorsRule;
use crate::egress;
use crate::presign::SignedUrl;

use super::Finding;

const CHECK: &str = "send a preflight like a browser (CORS)";
/// What browsers send with a file on their own.
const HEADER: &str = "content-type";
/// A method for a second preflight after PUT was rejected, to see whether the method is the cause.
const OTHER_METHODS: [Method; 4] = [Method::GET, Method::HEAD, Method::POST, Method::DELETE];

/// What pages of an origin may do.
#[derive(Debug, Clone, Copy, Default)]
struct Allowed {
    origin: bool,
    method: bool,
    header: bool,
    etag: bool,
}

impl Allowed {
    fn or(self, other: Self) -> Self {
        Self {
            origin: self.origin || other.origin,
            method: self.method || other.method,
            header: self.header || other.header,
            etag: self.etag || other.etag,
        }
    }

    fn by(answer: &Response, origin: &str) -> Self {
        let origin = answer.status().is_success() && allows_origin(answer, origin);
        Self {
            origin,
            method: origin && lists(answer, header::ACCESS_CONTROL_ALLOW_METHODS, "PUT"),
            header: origin && lists(answer, header::ACCESS_CONTROL_ALLOW_HEADERS, HEADER),
            etag: origin && lists(answer, header::ACCESS_CONTROL_EXPOSE_HEADERS, "ETag"),
        }
    }

    /// What rules allow to whatever origins they name.
    fn by_rules(rules: &[CorsRule]) -> Self {
        Self {
            origin: false,
            method: rules.iter().any(|rule| rule.allows_method("PUT")),
            header: rules.iter().any(|rule| rule.allows_header(HEADER)),
            etag: rules.iter().any(|rule| rule.exposes_header("ETag")),
        }
    }

    fn missing(self, origin: &str) -> Vec<String> {
        [
            (self.origin, format!("origin {origin} is not allowed")),
            (self.method, "method PUT is not allowed".to_owned()),
            (self.header, format!("header {HEADER} is not allowed")),
            (self.etag, "ETag is not exposed".to_owned()),
        ]
        .into_iter()
        .filter_map(|(allowed, missing)| (!allowed).then_some(missing))
        .collect()
    }
}

/// Time limit of all preflights together, because they are not vital for the result.
const BUDGET: Duration = Duration::from_secs(20);

/// Runs [`check`] with a time limit.
pub(super) async fn check_in_time(
    client: &Client,
    url: &SignedUrl,
    origin: &str,
    exposes_etag: bool,
    bucket: &BucketClient,
) -> Finding {
    let check = check(client, url, origin, exposes_etag, bucket);
    let late = |_| Finding::fair(CHECK, "no response in time", by_hand(origin));
    tokio::time::timeout(BUDGET, check).await.unwrap_or_else(late)
}

/// Evaluates real preflights and the response to the real PUT; `exposes_etag` is the result of
/// [`exposes_etag`].
async fn check(client: &Client, url: &SignedUrl, origin: &str, exposes_etag: bool, bucket: &BucketClient) -> Finding {
    let (whole, seen) = match ask(client, url, origin).await {
        Ok(answers) => answers,
        Err(error) => return Finding::fair(CHECK, egress::kind(&error).to_string(), by_hand(origin)),
    };
    // Where no rule fits a PUT, its answer tells nothing; the other preflights may.
    let seen = Allowed { etag: if seen.method { exposes_etag } else { seen.etag }, ..seen };
    let mut missing = seen.missing(origin);
    if missing.is_empty() && whole.method && whole.header {
        return Finding::good(CHECK, format!("pages of {origin} can upload and read the ETag"));
    }
    if missing.is_empty() {
        missing.push(format!("no single rule allows both method PUT and header {HEADER}"));
    }
    let rules = bucket.cors_rules().await;
    if !seen.origin {
        // A store says nothing to an origin that it does not know: the rest is seen in the rules, or not at all.
        missing = match &rules {
            Ok(rules) => Allowed::by_rules(rules).missing(origin),
            Err(_) => vec![format!("origin {origin} is not allowed; other gaps show once it is")],
        };
    }
    let remedy = match rules {
        Ok(rules) if rules.is_empty() => by_command(origin),
        Ok(rules) => format!("{} (replaces the bucket's {} CORS rules)", by_command(origin), rules.len()),
        Err(error) => format!("{}; this credential may not read them: {error}", by_hand(origin)),
    };
    Finding::fair(CHECK, missing.join(", "), remedy)
}

fn by_command(origin: &str) -> String {
    format!("presign-gateway bucket cors set TENANT --origin {origin}")
}

fn by_hand(origin: &str) -> String {
    format!(
        "for uploads from web pages allow origin {origin}, method PUT, header {HEADER}, and expose ETag in the bucket's CORS rules"
    )
}

/// Sends a browser's preflight for a PUT. If it is rejected, sends smaller ones to find out which
/// part is allowed.
async fn ask(client: &Client, url: &SignedUrl, origin: &str) -> reqwest::Result<(Allowed, Allowed)> {
    let whole = preflight(client, url, origin, &Method::PUT, true).await?;
    let mut seen = whole;
    if !(whole.method && whole.header) {
        seen = seen.or(preflight(client, url, origin, &Method::PUT, false).await?);
        for method in &OTHER_METHODS {
            for with_header in [true, false] {
                seen = seen.or(preflight(client, url, origin, method, with_header).await?);
            }
        }
    }
    Ok((whole, seen))
}

async fn preflight(
    client: &Client,
    url: &SignedUrl,
    origin: &str,
    method: &Method,
    with_header: bool,
) -> reqwest::Result<Allowed> {
    let mut request = client
        .request(Method::OPTIONS, url.expose())
        .header(header::ORIGIN, origin)
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, method.as_str());
    if with_header {
        request = request.header(header::ACCESS_CONTROL_REQUEST_HEADERS, HEADER);
    }
    Ok(Allowed::by(&request.send().await?, origin))
}

/// Whether a page of this origin may read the ETag of this response.
pub(super) fn exposes_etag(answer: &Response, origin: &str) -> bool {
    allows_origin(answer, origin) && lists(answer, header::ACCESS_CONTROL_EXPOSE_HEADERS, "ETag")
}

fn allows_origin(answer: &Response, origin: &str) -> bool {
    let allowed = answer.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).and_then(|value| value.to_str().ok());
    allowed.is_some_and(|allowed| allowed == "*" || allowed == origin)
}

/// Whether a list header contains this item, or `*`.
fn lists(answer: &Response, name: HeaderName, item: &str) -> bool {
    let values = answer.headers().get_all(name).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|found| found == "*" || found.eq_ignore_ascii_case(item))
}
