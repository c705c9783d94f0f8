//! What talks to a bucket. The gateway itself never does on the way of a presign: this is for operators: the doctor, and the CORS rules.

use std::time::Duration;

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, RequestChecksumCalculation};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_http_client::{Builder as HttpClientBuilder, tls};
use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};
use http_body_util::Limited;
use secrecy::ExposeSecret;

use crate::domain::bucket::Addressing;
use crate::outbound::{CheckedNames, Outbound};
use crate::vault::OpenBucket;

mod cors;
pub mod doctor;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// CORS rules are the longest answer: at most 100 rules of 100 origins.
const MOST_ANSWER_BYTES: usize = 1024 * 1024;
const OPERATION_TIMEOUT: Duration = Duration::from_secs(15);

/// Calls one bucket.
#[derive(Debug, Clone)]
pub struct BucketClient {
    client: aws_sdk_s3::Client,
    bucket_name: String,
}

/// Lets the SDK resolve names as everything here that reaches out does.
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

/// Why a call failed: the store's stable code, or our own word where there was no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}")]
pub struct BucketError {
    pub code: String,
}

/// What a bucket says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectFacts {
    pub size_bytes: i64,
    /// The value of one metadata name.
    pub width: Option<String>,
}

impl BucketClient {
    /// # Errors
    /// The endpoint's host is one that may not be reached.
    pub fn new(open: &OpenBucket, outbound: &Outbound) -> Result<Self, BucketError> {
        let location = &open.bucket.location;
        let names = outbound.resolver_for_endpoint(&location.endpoint);
        let names = names.map_err(|error| BucketError { code: error.to_string() })?;
        let credential = &open.credential;
        let token = credential.session_token.as_ref().map(|token| token.expose_secret().to_owned());
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(Credentials::new(
                &credential.access_key_id,
                credential.secret_access_key.expose_secret(),
                token,
                None,
                "presign-gateway",
            ))
            .http_client(
                HttpClientBuilder::new()
                    .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
                    .build_with_resolver(SdkNames(names)),
            )
            .region(Region::new(location.region.as_str().to_owned()))
            .endpoint_url(location.endpoint.to_string())
            .force_path_style(location.addressing == Addressing::Path)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .interceptor(CapAnswers)
            .retry_config(RetryConfig::disabled())
            .timeout_config(
                TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_timeout(OPERATION_TIMEOUT).build(),
            )
            .build();
        let bucket_name = location.bucket_name.as_str().to_owned();
        Ok(Self { client: aws_sdk_s3::Client::from_conf(config), bucket_name })
    }

    /// HEAD.
    ///
    /// # Errors
    /// The store refuses, or does not answer.
    pub async fn head(&self, object_key: &str) -> Result<ObjectFacts, BucketError> {
        let head = self
            .client
            .head_object()
            .bucket(&self.bucket_name)
            .key(object_key)
            .send()
            .await
            .map_err(|error| code(&error))?;
        let width = head.metadata().and_then(|metadata| metadata.get("width")).cloned();
        Ok(ObjectFacts { size_bytes: head.content_length().unwrap_or(0), width })
    }

    /// DELETE.
    ///
    /// # Errors
    /// The store refuses, or does not answer.
    pub async fn delete(&self, object_key: &str) -> Result<(), BucketError> {
        self.client
            .delete_object()
            .bucket(&self.bucket_name)
            .key(object_key)
            .send()
            .await
            .map_err(|error| code(&error))?;
        Ok(())
    }
}

/// Whether a store's word for an error can be one; nothing else of a foreign body is shown.
fn is_plain(code: &str) -> bool {
    (1..=64).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Cuts an answer off that is longer than any that is asked for: it is read into memory whole.
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
        *body = SdkBody::from_body_1_x(Limited::new(std::mem::replace(body, SdkBody::taken()), MOST_ANSWER_BYTES));
        Ok(())
    }
}

fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> BucketError {
    let code = match error {
        SdkError::TimeoutError(_) => "no answer in time".to_owned(),
        SdkError::DispatchFailure(_) => "cannot connect".to_owned(),
        // A HEAD has no body, so its status is all that there is.
        other => match (other.code(), other.raw_response()) {
            (Some(code), _) if is_plain(code) => code.to_owned(),
            (_, Some(response)) if response.status().is_success() => "an answer that cannot be read".to_owned(),
            (_, Some(response)) => format!("HTTP {}", response.status().as_u16()),
            (_, None) => "no answer".to_owned(),
        },
    };
    BucketError { code }
}
