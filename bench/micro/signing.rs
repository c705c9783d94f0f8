//! Signing a PUT, with the metadata that pictures usually have.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Region as SdkRegion, RequestChecksumCalculation};
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::identity::Identity;
use axum::http::{Request, Uri};
use criterion::{BatchSize, Criterion, Throughput};
use presign_gateway::domain::bucket::{Addressing, BucketName, Endpoint, Location, Provider, Region};
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::credential::Credential;
use presign_gateway::domain::egress::AllowedHosts;
use presign_gateway::presign::{Operation, SignedUrl, Signer};
use tokio::runtime::Runtime;

const ENDPOINT: &str = "http://127.0.0.1:9000";
const REGION: &str = "auto";
const BUCKET: &str = "alpha-uploads";
const OBJECT_KEY: &str = "2026/11/22/01a203fe-9eeb-7344-910f-c05f00b8cddb.jpg";
const ACCESS_KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const METADATA: [(&str, &str); 3] = [("height", "100"), ("type", "origin"), ("width", "100")];
const EXPIRES_IN: Duration = Duration::from_hours(1);

pub fn measure(criterion: &mut Criterion, runtime: &Runtime) {
    let (signer, client, identity) = (signer(), client(), Identity::from(credentials()));
    let mut group = criterion.benchmark_group("signing");
    group.throughput(Throughput::Elements(1));
    group.bench_function("gateway", |bencher| bencher.iter(|| gateway(&signer)));
    group.bench_function("gateway, the first URL of a day", |bencher| {
        bencher.iter_batched_ref(self::signer, |signer| gateway(signer), BatchSize::SmallInput);
    });
    group.bench_function("baseline aws-sdk-s3", |bencher| super::time_async(bencher, runtime, || sdk(&client)));
    group.bench_function("baseline aws-sigv4", |bencher| bencher.iter(|| floor(&identity)));
    group.finish();
}

fn gateway(signer: &Signer) -> SignedUrl {
    let metadata = METADATA.map(|(name, value)| (name, Cow::Borrowed(value)));
    let operation = Operation::Put { metadata: &metadata, headers: &[] };
    let seconds = u32::try_from(EXPIRES_IN.as_secs()).unwrap();
    signer.sign(operation, OBJECT_KEY, seconds, Clock::System.now())
}

fn signer() -> Signer {
    let credential = Credential {
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: SECRET_ACCESS_KEY.into(),
        session_token: None,
    };
    let location = Location {
        endpoint: Endpoint::parse(ENDPOINT, &AllowedHosts::any()).unwrap(),
        region: Region::parse(REGION).unwrap(),
        bucket_name: BucketName::parse(BUCKET).unwrap(),
        addressing: Addressing::Path,
        provider: Provider::Generic,
    };
    Signer::new(&credential, &location)
}

/// What most would write.
async fn sdk(client: &Client) -> PresignedRequest {
    let put = client.put_object().bucket(BUCKET).key(OBJECT_KEY);
    let metadata = METADATA.map(|(name, value)| (name.to_owned(), value.to_owned()));
    put.set_metadata(Some(metadata.into())).presigned(PresigningConfig::expires_in(EXPIRES_IN).unwrap()).await.unwrap()
}

fn client() -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(SdkRegion::new(REGION))
        .endpoint_url(ENDPOINT)
        .force_path_style(true)
        // Else it signs the checksum of an empty body.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .credentials_provider(credentials())
        .build();
    Client::from_conf(config)
}

fn credentials() -> Credentials {
    Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "bench")
}

/// The signer that is beneath the SDK, alone: the query is already written, and already in order.
fn floor(identity: &Identity) -> Uri {
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.expires_in = Some(EXPIRES_IN);
    let signing = SigningParams::builder()
        .identity(identity)
        .region(REGION)
        .name("s3")
        .time(SystemTime::from(Clock::System.now()))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let url = format!(
        "{ENDPOINT}/{BUCKET}/{OBJECT_KEY}?X-Amz-Content-Sha256=UNSIGNED-PAYLOAD&x-amz-meta-height=100&x-amz-meta-type=origin&x-amz-meta-width=100&x-id=PutObject"
    );
    let request = SignableRequest::new("PUT", &url, std::iter::empty(), SignableBody::UnsignedPayload).unwrap();
    let (instructions, _) = sign(request, &signing).unwrap().into_parts();
    let mut request = Request::builder().uri(&url).body(()).unwrap();
    instructions.apply_to_request_http1x(&mut request);
    request.into_parts().0.uri
}
