//! CORS rules of a bucket: which web pages may use it from a browser.
//!
//! They protect nothing: a URL works without a browser. They only tell browsers what to allow.

use super::Invalid;
use super::origin::WebOrigin;

/// One CORS rule of a bucket: what pages of some origins may do.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CorsRule {
    /// Origins such as `https://app.example.com`; one `*` in each stands for any text.
    pub allowed_origins: Vec<String>,
    pub allowed_methods: Vec<String>,
    /// Names of request headers; one `*` in each stands for any text.
    pub allowed_headers: Vec<String>,
    /// Names of response headers that a page may read.
    pub expose_headers: Vec<String>,
    /// How long a browser may cache the response to a preflight.
    pub max_age_seconds: Option<u32>,
}

impl CorsRule {
    /// Maximum number of origins in one of our rules.
    pub const MAX_ORIGINS: usize = 100;
    /// PUT to upload; GET and HEAD because pages often show what they uploaded.
    pub const UPLOAD_METHODS: [&str; 3] = ["PUT", "GET", "HEAD"];
    /// Headers of an upload. Browsers send the first by themselves; a URL can be bound to the
    /// others. Listed one by one, because R2 does not accept `*` here.
    pub const UPLOAD_HEADERS: [&str; 5] =
        ["content-type", "cache-control", "content-disposition", "if-none-match", "x-amz-checksum-sha256"];
    const UPLOAD_MAX_AGE_SECONDS: u32 = 3600;

    /// The rule that lets pages of these origins upload, show their uploads, and read the ETag.
    ///
    /// # Errors
    /// No origin or more than [`Self::MAX_ORIGINS`]; an invalid origin; `*` together with others.
    pub fn for_uploads(origins: &[String]) -> Result<Self, Invalid> {
        if origins.is_empty() || origins.len() > Self::MAX_ORIGINS {
            return Err(Invalid::new("origins", format!("must be 1 to {}, not {}", Self::MAX_ORIGINS, origins.len())));
        }
        if !matches!(origins, [any] if any == "*") {
            origins.iter().try_for_each(|origin| check_origin(origin))?;
        }
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Ok(Self {
            allowed_origins: origins.to_vec(),
            allowed_methods: texts(&Self::UPLOAD_METHODS),
            allowed_headers: texts(&Self::UPLOAD_HEADERS),
            expose_headers: texts(&["ETag"]),
            max_age_seconds: Some(Self::UPLOAD_MAX_AGE_SECONDS),
        })
    }

    #[must_use]
    pub fn allows_origin(&self, origin: &str) -> bool {
        self.allowed_origins.iter().any(|pattern| matches_pattern(pattern, origin))
    }

    #[must_use]
    pub fn allows_method(&self, method: &str) -> bool {
        self.allowed_methods.iter().any(|allowed| allowed == method)
    }

    /// Names of headers are compared without case.
    #[must_use]
    pub fn allows_header(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        self.allowed_headers.iter().any(|pattern| matches_pattern(&pattern.to_ascii_lowercase(), &name))
    }

    #[must_use]
    pub fn exposes_header(&self, name: &str) -> bool {
        self.expose_headers.iter().any(|exposed| exposed.eq_ignore_ascii_case(name))
    }
}

/// Whether a text matches a pattern in which one `*` stands for any text
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/ManageCorsUsing.html>).
fn matches_pattern(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => text.strip_prefix(start).is_some_and(|rest| rest.ends_with(end)),
        None => pattern == text,
    }
}

fn check_origin(text: &str) -> Result<(), Invalid> {
    if WebOrigin::parse(text)?.is_secure() {
        return Ok(());
    }
    // Whoever is between such a page and its reader can make it upload whatever they like.
    Err(Invalid::new("origin", format!("{text:?} must be https; plain http only for localhost, 127.0.0.1 and [::1]")))
}
