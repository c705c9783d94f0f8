//! Reads and sets the CORS rules of a bucket.

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

use crate::domain::cors::CorsRule;

use super::{BucketClient, BucketError, of_call};

impl BucketClient {
    /// Returns the bucket's CORS rules; empty if none were ever set.
    ///
    /// # Errors
    /// The store rejects the request or does not answer.
    pub async fn cors_rules(&self) -> Result<Vec<CorsRule>, BucketError> {
        match self.client.get_bucket_cors().bucket(&self.bucket_name).send().await {
            Ok(answer) => Ok(answer.cors_rules().iter().map(from_store).collect()),
            Err(error) if error.code() == Some("NoSuchCORSConfiguration") => Ok(Vec::new()),
            Err(error) => Err(of_call(&error)),
        }
    }

    /// Replaces all CORS rules of the bucket; an empty list removes them.
    ///
    /// # Errors
    /// The store rejects the request or does not answer.
    pub async fn set_cors_rules(&self, rules: &[CorsRule]) -> Result<(), BucketError> {
        if rules.is_empty() {
            // An empty list is no configuration that S3 accepts.
            let answer = self.client.delete_bucket_cors().bucket(&self.bucket_name).send().await;
            return answer.map(drop).map_err(|error| of_call(&error));
        }
        let rules: Result<_, _> = rules.iter().map(to_store).collect();
        let configuration =
            rules.and_then(|rules| types::CorsConfiguration::builder().set_cors_rules(Some(rules)).build());
        let configuration = configuration.map_err(|_| BucketError::other("not sent: a rule is incomplete"))?;
        self.client
            .put_bucket_cors()
            .bucket(&self.bucket_name)
            .cors_configuration(configuration)
            .customize()
            .mutate_request(|request| {
                // S3 wants some digest of this body. The SDK's own is a CRC32, whatever it is told of checksums; stores that are
                // older than 2025 know the MD5 only, and AWS takes either.
                let Some(md5) = request.body().bytes().map(|body| STANDARD.encode(Md5::digest(body))) else { return };
                let headers = request.headers_mut();
                headers.remove("x-amz-checksum-crc32");
                headers.remove("x-amz-sdk-checksum-algorithm");
                headers.insert("content-md5", md5);
            })
            .send()
            .await
            .map_err(|error| of_call(&error))?;
        Ok(())
    }
}

fn from_store(rule: &types::CorsRule) -> CorsRule {
    CorsRule {
        allowed_origins: rule.allowed_origins().to_vec(),
        allowed_methods: rule.allowed_methods().to_vec(),
        allowed_headers: rule.allowed_headers().to_vec(),
        expose_headers: rule.expose_headers().to_vec(),
        max_age_seconds: rule.max_age_seconds().and_then(|seconds| u32::try_from(seconds).ok()),
    }
}

fn to_store(rule: &CorsRule) -> Result<types::CorsRule, aws_sdk_s3::error::BuildError> {
    types::CorsRule::builder()
        .set_allowed_origins(Some(rule.allowed_origins.clone()))
        .set_allowed_methods(Some(rule.allowed_methods.clone()))
        .set_allowed_headers(Some(rule.allowed_headers.clone()))
        .set_expose_headers(Some(rule.expose_headers.clone()))
        .set_max_age_seconds(rule.max_age_seconds.and_then(|seconds| i32::try_from(seconds).ok()))
        .build()
}
