//! The floor under `GET /oss/presign`: axum and aws-sigv4, and nothing else. No authentication, no limit, no database.
//!
//! `/constant` answers always the same, `/sign` signs a new URL of the same form as the gateway's.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that meets the unexpected should fail there and then"
)]

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::identity::Identity;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use uuid::Uuid;

/// As in the gateway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONSTANT: &str = r#"{"code":0,"msg":"success","data":null}"#;

#[tokio::main]
async fn main() {
    let credentials =
        Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None, None, "floor");
    let router = Router::new()
        .route("/constant", get(async || ([(CONTENT_TYPE, "application/json")], CONSTANT)))
        .route("/sign", get(presign))
        // For those who have telemetry to be rid of: an OTLP collector that keeps nothing.
        .route("/v1/{signal}", post(async |_: Bytes| ([(CONTENT_TYPE, "application/x-protobuf")], "")))
        .with_state(Identity::from(credentials));
    let listener = TcpListener::bind(std::env::var("LISTEN").unwrap_or("127.0.0.1:0".to_owned())).await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    axum::serve(listener, router).await.unwrap();
}

async fn presign(State(identity): State<Identity>) -> impl IntoResponse {
    let object_key = format!("2026/11/23/{}.jpg", Uuid::from_bytes(rand::random()));
    let url = format!(
        "http://127.0.0.1:9000/alpha-uploads/{object_key}?X-Amz-Content-Sha256=UNSIGNED-PAYLOAD&x-amz-meta-height=100&x-amz-meta-type=origin&x-amz-meta-width=100&x-id=PutObject"
    );
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.expires_in = Some(Duration::from_hours(1));
    #[expect(clippy::disallowed_methods, reason = "no test chooses the time here")]
    let now = SystemTime::now();
    let signing = SigningParams::builder()
        .identity(&identity)
        .region("auto")
        .name("s3")
        .time(now)
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let request = SignableRequest::new("PUT", &url, std::iter::empty(), SignableBody::UnsignedPayload).unwrap();
    let (instructions, _) = sign(request, &signing).unwrap().into_parts();
    let mut request = axum::http::Request::builder().uri(&url).body(()).unwrap();
    instructions.apply_to_request_http1x(&mut request);
    let body = format!(r#"{{"code":0,"msg":"success","data":{{"url":"{}","key":"{object_key}"}}}}"#, request.uri());
    ([(CONTENT_TYPE, "application/json")], body)
}
