//! Our URLs against those of aws-sdk-s3, the oracle.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region as SdkRegion};
use aws_sdk_s3::presigning::PresigningConfig;
use chrono::{DateTime, Utc};
use presign_gateway::domain::binding::{Bindings, Sha256};
use presign_gateway::domain::bucket::{Addressing, BucketName, Endpoint, Location, Provider, Region};
use presign_gateway::domain::credential::Credential;
use presign_gateway::domain::egress::AllowedHosts;
use presign_gateway::presign::{Operation, Signer};
use presign_gateway::uploads::prepare::headers;
use proptest::prelude::*;

/// One request to sign.
#[derive(Debug, Clone)]
struct Case {
    endpoint: String,
    region: String,
    bucket: String,
    virtual_hosted: bool,
    object_key: String,
    metadata: Vec<(&'static str, Cow<'static, str>)>,
    /// What the client must send, and the signature covers.
    headers: Vec<(&'static str, String)>,
    session_token: Option<String>,
    expires_in_seconds: u32,
    unix_seconds: i64,
}

prop_compose! {
    fn cases()(
        endpoint in prop_oneof![
            Just("https://0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com".to_owned()),
            Just("https://s3.eu-central-1.amazonaws.com".to_owned()),
            Just("http://store.example:9000".to_owned()),
        ],
        region in prop_oneof![Just("auto"), Just("us-east-1"), Just("apac"), Just("eu-central-1")],
        bucket in "[a-z][a-z0-9-]{1,20}[a-z0-9]",
        virtual_hosted in any::<bool>(),
        // Everything that a later template may make, and more: spaces, plus signs, unicode.
        object_key in "[a-zA-Z0-9][a-zA-Z0-9._~+ =&%$é日-]{0,20}(/[a-zA-Z0-9._~+ =&%$é日-]{1,20}){0,3}",
        width in proptest::option::of(1..=i32::MAX),
        duration in proptest::option::of(0.0..1e9f64),
        kind in proptest::option::of("[a-zA-Z0-9 +/=,;:@]{1,12}"),
        size in proptest::option::of(0..5_u64 << 30),
        content_type in proptest::option::of(prop_oneof![Just("image/jpeg"), Just("video/mp4")]),
        sha256 in proptest::option::of(any::<[u8; 32]>()),
        write_once in any::<bool>(),
        session_token in proptest::option::of("[a-zA-Z0-9+/=]{16,200}"),
        expires_in_seconds in 1..=604_800u32,
        unix_seconds in 1_500_000_000..4_000_000_000i64,
    ) -> Case {
        let width = width.map(|width| ("width", width.to_string().into()));
        let duration = duration.map(|duration| ("duration", duration.to_string().into()));
        let kind = kind.map(|kind| ("type", kind.into()));
        let metadata = [width, duration, kind].into_iter().flatten().collect();
        let bindings = Bindings { size_bytes: size, content_type, sha256: sha256.map(Sha256::from), write_once };
        let headers = headers(&bindings);
        Case { endpoint, region: region.to_owned(), bucket, virtual_hosted, object_key, metadata, headers, session_token, expires_in_seconds, unix_seconds }
    }
}

const ACCESS_KEY_ID: &str = "6e6c43651abc34a6293142ae2f243c42";
const SECRET: &str = "an/example+secret";

fn ours(case: &Case) -> String {
    let location = Location {
        endpoint: Endpoint::parse(&case.endpoint, &AllowedHosts::any()).unwrap(),
        region: Region::parse(&case.region).unwrap(),
        bucket_name: BucketName::parse(&case.bucket).unwrap(),
        addressing: if case.virtual_hosted { Addressing::VirtualHosted } else { Addressing::Path },
        provider: Provider::Generic,
    };
    let credential = Credential {
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: SECRET.into(),
        session_token: case.session_token.as_deref().map(Into::into),
    };
    let now = DateTime::<Utc>::from_timestamp(case.unix_seconds, 0).unwrap();
    let operation = Operation::Put { metadata: &case.metadata, headers: &case.headers };
    let signer = Signer::new(&credential, &location);
    signer.sign(operation, &case.object_key, case.expires_in_seconds, now).expose().to_owned()
}

async fn theirs(case: &Case) -> String {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(Credentials::new(ACCESS_KEY_ID, SECRET, case.session_token.clone(), None, "test"))
        .region(SdkRegion::new(case.region.clone()))
        .endpoint_url(&case.endpoint)
        .force_path_style(!case.virtual_hosted)
        .build();
    // What the SDK would put into headers goes into the query, where a bare PUT finds it.
    let mut extra = vec![("X-Amz-Content-Sha256".to_owned(), "UNSIGNED-PAYLOAD".to_owned())];
    extra.extend(case.metadata.iter().map(|(name, value)| (format!("x-amz-meta-{name}"), value.to_string())));
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(case.unix_seconds.try_into().unwrap());
    let presigning = PresigningConfig::builder()
        .start_time(start)
        .expires_in(Duration::from_secs(case.expires_in_seconds.into()))
        .build()
        .unwrap();
    let headers = case.headers.clone();
    let put = aws_sdk_s3::Client::from_conf(config).put_object().bucket(&case.bucket).key(&case.object_key);
    let request = put.customize().mutate_request(move |request| {
        let query: Vec<String> = extra.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let uri = format!("{}&{}", request.uri(), query.join("&"));
        request.set_uri(uri).unwrap();
        for (name, value) in headers.clone() {
            request.headers_mut().insert(name, value);
        }
    });
    request.presigned(presigning).await.unwrap().uri().to_owned()
}

fn encoded(text: &str) -> String {
    const RESERVED: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    percent_encoding::utf8_percent_encode(text, RESERVED).to_string()
}

/// The URL without its query, and its parameters by name.
fn parts(url: &str) -> (String, BTreeMap<String, String>) {
    let (address, query) = url.split_once('?').unwrap();
    let parameters: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let by_name: BTreeMap<_, _> = parameters.iter().cloned().collect();
    assert_eq!(by_name.len(), parameters.len(), "no parameter is there twice");
    (address.to_owned(), by_name)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn presigned_url_equals_the_sdks(case in cases()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        prop_assert_eq!(parts(&ours(&case)), parts(&runtime.block_on(theirs(&case))));
    }

    #[test]
    fn our_parameters_are_sorted_by_name(case in cases()) {
        let url = ours(&case);
        let (_, query) = url.split_once('?').unwrap();
        let names: Vec<&str> = query.split('&').map(|pair| pair.split_once('=').unwrap().0).collect();
        prop_assert!(names.is_sorted(), "{:?}", names);
    }
}
