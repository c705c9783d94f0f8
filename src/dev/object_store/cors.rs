//! CORS rules of the store's buckets, in a file, so that they survive a restart.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use s3s::dto::CORSRule;
use s3s::{S3Result, s3_error};
use serde::{Deserialize, Serialize};
use tokio::sync::RwLock;

use crate::domain::cors::CorsRule;

/// Beside the buckets' folders; no bucket's name begins with a dot, so that it is none, nor within one.
const FILE_NAME: &str = ".cors.json";
const MAX_RULES: usize = 100;
const METHODS: [&str; 5] = ["GET", "HEAD", "PUT", "POST", "DELETE"];

/// Every bucket's own rules.
#[derive(Debug, Clone)]
pub(super) struct BucketRules {
    file: PathBuf,
    by_bucket: Arc<RwLock<BTreeMap<String, Vec<KeptRule>>>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct KeptRule {
    id: Option<String>,
    #[serde(flatten)]
    rule: CorsRule,
}

impl BucketRules {
    /// Reads what an earlier start kept.
    ///
    /// # Errors
    /// The file cannot be read, or is not ours.
    pub fn load(folder: &Path) -> io::Result<Self> {
        let file = folder.join(FILE_NAME);
        let by_bucket = match std::fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(Self { file, by_bucket: Arc::new(RwLock::new(by_bucket)) })
    }

    /// The rules that browsers are held to.
    ///
    /// A bucket without rules of its own has one that lets every page upload and read the ETag, where S3 would let none: so a
    /// demo's web page works at once, wherever it is served.
    pub async fn in_force(&self, bucket: &str) -> Vec<CorsRule> {
        let by_bucket = self.by_bucket.read().await;
        by_bucket
            .get(bucket)
            .map_or_else(|| vec![any_page()], |kept| kept.iter().map(|kept| kept.rule.clone()).collect())
    }

    /// As GetBucketCors answers.
    pub async fn find(&self, bucket: &str) -> Option<Vec<CORSRule>> {
        self.by_bucket.read().await.get(bucket).map(|kept| kept.iter().map(KeptRule::to_s3).collect())
    }

    /// As PutBucketCors asks: in the place of all that were there.
    ///
    /// # Errors
    /// Rules that S3 would refuse; the file cannot be written.
    pub async fn set(&self, bucket: &str, rules: Vec<CORSRule>) -> S3Result<()> {
        if rules.is_empty() || rules.len() > MAX_RULES {
            return Err(s3_error!(MalformedXML, "There must be 1 to {MAX_RULES} rules"));
        }
        let rules: Vec<_> = rules.into_iter().map(KeptRule::from_s3).collect::<S3Result<_>>()?;
        self.change(|by_bucket| by_bucket.insert(bucket.to_owned(), rules)).await
    }

    /// As DeleteBucketCors asks.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn remove(&self, bucket: &str) -> S3Result<()> {
        self.change(|by_bucket| by_bucket.remove(bucket)).await
    }

    /// Changes the file first: what a caller was told is kept.
    async fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<String, Vec<KeptRule>>) -> T) -> S3Result<()> {
        let mut by_bucket = self.by_bucket.write().await;
        let mut changed = by_bucket.clone();
        change(&mut changed);
        let text = serde_json::to_vec_pretty(&changed).map_err(|error| s3_error!(error, InternalError))?;
        let new = self.file.with_extension("json.new");
        tokio::fs::write(&new, text).await.map_err(|error| s3_error!(error, InternalError))?;
        tokio::fs::rename(&new, &self.file).await.map_err(|error| s3_error!(error, InternalError))?;
        *by_bucket = changed;
        Ok(())
    }
}

fn any_page() -> CorsRule {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    CorsRule {
        allowed_origins: texts(&["*"]),
        allowed_methods: texts(&METHODS),
        allowed_headers: texts(&["*"]),
        expose_headers: texts(&["etag", "x-amz-request-id"]),
        max_age_seconds: None,
    }
}

impl KeptRule {
    /// Refuses what S3 refuses (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_CORSRule.html>).
    fn from_s3(rule: CORSRule) -> S3Result<Self> {
        let kept = Self {
            id: rule.id,
            rule: CorsRule {
                allowed_origins: rule.allowed_origins,
                allowed_methods: rule.allowed_methods,
                allowed_headers: rule.allowed_headers.unwrap_or_default(),
                expose_headers: rule.expose_headers.unwrap_or_default(),
                max_age_seconds: rule.max_age_seconds.and_then(|seconds| u32::try_from(seconds).ok()),
            },
        };
        let CorsRule { allowed_origins, allowed_methods, allowed_headers, expose_headers, .. } = &kept.rule;
        if let Some(method) = allowed_methods.iter().find(|method| !METHODS.contains(&method.as_str())) {
            return Err(s3_error!(InvalidRequest, "Found unsupported HTTP method in CORS config: {method}"));
        }
        let mut patterns = allowed_origins.iter().chain(allowed_headers);
        if let Some(pattern) = patterns.find(|pattern| pattern.matches('*').count() > 1) {
            return Err(s3_error!(InvalidRequest, "{pattern} can not have more than one wildcard"));
        }
        if let Some(name) = expose_headers.iter().find(|name| name.contains('*')) {
            return Err(s3_error!(InvalidRequest, "ExposeHeader {name} contains a wildcard"));
        }
        Ok(kept)
    }

    fn to_s3(&self) -> CORSRule {
        let some = |list: &[String]| Some(list.to_vec()).filter(|list| !list.is_empty());
        CORSRule {
            allowed_headers: some(&self.rule.allowed_headers),
            allowed_methods: self.rule.allowed_methods.clone(),
            allowed_origins: self.rule.allowed_origins.clone(),
            expose_headers: some(&self.rule.expose_headers),
            id: self.id.clone(),
            max_age_seconds: self.rule.max_age_seconds.and_then(|seconds| i32::try_from(seconds).ok()),
        }
    }
}
