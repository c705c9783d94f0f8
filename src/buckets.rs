//! The client for buckets: complete, delete, verify, sweep, the bucket doctor and CORS rules use
//! it.
//!
//! A presign never does: it needs only [`credentials`].

use std::time::{Duration, Instant};

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, RequestChecksumCalculation};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::SdkBody;
use aws_sdk_s3::types::ChecksumMode;
use aws_smithy_http_client::{Builder as HttpClientBuilder, tls};
use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use http_body_util::Limited;
use secrecy::ExposeSecret;
use tracing::Instrument;
use tracing::field::Empty;

use crate::buckets::credentials::OpenBucket;
use crate::domain::binding::Sha256;
use crate::domain::bucket::Addressing;
use crate::egress::{CheckedNames, Egress};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::bucket::BucketMetrics;

use self::error::{NO_SUCH_BUCKET, of_call};

mod connections;
mod cors;
pub mod credentials;
pub mod doctor;
mod error;

pub use self::connections::BucketConnections;
pub use self::error::{BucketError, Failure};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum bytes of a response. CORS rules are the longest one: at most 100 rules of 100 origins.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;
const OPERATION_TIMEOUT: Duration = Duration::from_secs(15);
/// How long an idle connection is kept, and how many are kept for one host.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
const MAX_IDLE_CONNECTIONS: usize = 16;

/// A client for one bucket.
#[derive(Debug, Clone)]
pub struct BucketClient {
    client: aws_sdk_s3::Client,
    bucket_name: String,
    host: String,
    metrics: BucketMetrics,
}

/// Makes the SDK resolve names by the rules of [`crate::egress`].
#[derive(Debug, Clone)]
struct SdkNames(CheckedNames);

impl ResolveDns for SdkNames {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        DnsFuture::new(async move {
            let addresses = self.0.addresses(name).await.map_err(ResolveDnsError::new)?;
            Ok(addresses.iter().map(std::net::SocketAddr::ip).collect())
        })
    }
}

/// What a bucket reports about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectFacts {
    pub size_bytes: u64,
    /// Without quotes.
    pub etag: Option<String>,
    pub content_type: Option<String>,
    /// Only if it was requested and the store keeps one.
    pub sha256: Option<Sha256>,
    /// The value of one metadata name.
    pub width: Option<String>,
}

impl BucketClient {
    /// Creates a client with its own connections, for the few calls of an operator.
    ///
    /// # Errors
    /// The endpoint's host is not allowed.
    pub fn new(open: &OpenBucket, outbound: &Egress) -> Result<Self, BucketError> {
        let metrics = Metrics::off().bucket();
        let names = outbound.resolver_for_endpoint(&open.bucket.location.endpoint);
        let names = names.map_err(|error| BucketError::other(error.to_string()))?;
        Ok(Self::over(http_client(names), open, OPERATION_TIMEOUT, metrics))
    }

    /// Creates a client that uses existing connections.
    #[must_use]
    pub fn over(http_client: SharedHttpClient, open: &OpenBucket, timeout: Duration, metrics: BucketMetrics) -> Self {
        let location = &open.bucket.location;
        let credential = &open.credential;
        let token = credential.session_token.as_ref().map(|token| token.expose_secret().to_owned());
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT.min(timeout)).operation_timeout(timeout);
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(Credentials::new(
                &credential.access_key_id,
                credential.secret_access_key.expose_secret(),
                token,
                None,
                "presign-gateway",
            ))
            .http_client(http_client)
            .region(Region::new(location.region.as_str().to_owned()))
            .endpoint_url(location.endpoint.to_string())
            .force_path_style(location.addressing == Addressing::Path)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .interceptor(CapAnswers)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts.build())
            .build();
        let bucket_name = location.bucket_name.as_str().to_owned();
        let host = location.endpoint.host().to_owned();
        Self { client: aws_sdk_s3::Client::from_conf(config), bucket_name, host, metrics }
    }

    /// Waits for a call, and records its duration in metrics and trace.
    async fn measured<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, BucketError>>,
    ) -> Result<T, BucketError> {
        let began = Instant::now();
        // <https://opentelemetry.io/docs/specs/semconv/object-stores/s3/>; never the object key.
        let span = tracing::info_span!(
            "bucket",
            otel.kind = "client",
            otel.name = operation,
            otel.status_code = Empty,
            rpc.system = "aws-api",
            rpc.service = "S3",
            rpc.method = operation,
            server.address = self.host,
            error.type = Empty,
        );
        let outcome = Box::pin(call).instrument(span.clone()).await;
        let failure = outcome.as_ref().err().map(|error| error.failure.as_str());
        if let Some(failure) = failure {
            span.record("error.type", failure);
            span.record("otel.status_code", "ERROR");
        }
        self.metrics.record(operation, failure, began.elapsed());
        outcome
    }

    /// Sends a HEAD. `with_sha256` also requests the digest, which may need another permission.
    ///
    /// # Errors
    /// The store rejects the request or does not answer.
    pub async fn head(&self, object_key: &str, with_sha256: bool) -> Result<ObjectFacts, BucketError> {
        let head = self.client.head_object().bucket(&self.bucket_name).key(object_key);
        let head = head.set_checksum_mode(with_sha256.then_some(ChecksumMode::Enabled));
        let head = async { head.send().await.map_err(|error| of_call(&error)) };
        let head = self.measured("HeadObject", head).await?;
        // No size is not a size of none.
        let size_bytes = head.content_length().and_then(|bytes| bytes.try_into().ok());
        Ok(ObjectFacts {
            size_bytes: size_bytes.ok_or_else(|| BucketError::other("a response without a size"))?,
            etag: head.e_tag().map(|etag| crate::domain::upload::bare_etag(etag).to_owned()),
            content_type: head.content_type().map(str::to_owned),
            // The digest of an object that was uploaded in parts is one of digests, and does not parse.
            sha256: head.checksum_sha256().and_then(|text| Sha256::parse(text).ok()),
            width: head.metadata().and_then(|metadata| metadata.get("width")).cloned(),
        })
    }

    /// Returns whether the bucket exists; a HEAD of an object cannot tell. If the credential may
    /// not ask, the bucket is assumed to exist.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn exists(&self) -> Result<bool, BucketError> {
        let head = self.client.head_bucket().bucket(&self.bucket_name);
        let head = async { head.send().await.map_err(|error| of_call(&error)) };
        match self.measured("HeadBucket", head).await {
            Ok(_) => Ok(true),
            Err(error) if error.failure == Failure::Unavailable => Err(error),
            Err(error) => Ok(error.failure != Failure::NotFound && error.code != NO_SUCH_BUCKET),
        }
    }

    /// Sends a DELETE. It succeeds if the object does not exist.
    ///
    /// # Errors
    /// The store rejects the request or does not answer.
    pub async fn delete(&self, object_key: &str) -> Result<(), BucketError> {
        let delete = self.client.delete_object().bucket(&self.bucket_name).key(object_key);
        let delete = async { delete.send().await.map_err(|error| of_call(&error)) };
        match self.measured("DeleteObject", delete).await {
            Err(BucketError { failure: Failure::NotFound, .. }) => Ok(()),
            other => other.map(drop),
        }
    }
}

/// Connections that resolve names with this resolver.
fn http_client(names: CheckedNames) -> SharedHttpClient {
    HttpClientBuilder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
        .build_with_resolver(SdkNames(names))
}

/// Truncates a response that is too long, because it is read into memory completely.
#[derive(Debug)]
struct CapAnswers;

impl Intercept for CapAnswers {
    fn name(&self) -> &'static str {
        "CapAnswers"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response_mut().body_mut();
        *body = SdkBody::from_body_1_x(Limited::new(std::mem::replace(body, SdkBody::taken()), MAX_ANSWER_BYTES));
        Ok(())
    }
}
