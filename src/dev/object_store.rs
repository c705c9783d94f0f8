//! The in-process S3 store: s3s over a folder. It checks signatures, and each credential has access
//! to its own bucket only.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::path::S3Path;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3Result, s3_error};
use s3s_fs::FileSystem;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;

use crate::domain::credential::Credential;
use crate::http::server::{ServerOptions, serve};
use crate::telemetry::metrics::Metrics;

use self::cors::BucketRules;
use self::files::Files;

mod cors;
mod cors_response;
mod digest;
mod files;

/// The region that the store takes itself to be in.
pub const REGION: &str = "us-east-1";

const OPTIONS: ServerOptions = ServerOptions {
    max_connections: 4096,
    header_timeout: Duration::from_secs(75),
    max_header_bytes: 64 * 1024,
    drain_timeout: Duration::from_millis(500),
};

/// A bucket and who may use it; several may use one bucket, each in an account of its own.
#[derive(Debug)]
pub struct Account {
    pub bucket: String,
    pub credential: Credential,
}

/// Makes the store's routes; the buckets' folders are made where they are missing.
///
/// # Errors
/// The folder cannot be used.
pub fn router(folder: &Path, accounts: &[Account]) -> io::Result<Router> {
    let mut auth = SimpleAuth::new();
    let mut own_buckets = OwnBuckets::default();
    for Account { bucket, credential } in accounts {
        std::fs::create_dir_all(folder.join(bucket))?;
        auth.register(credential.access_key_id.clone(), credential.secret_access_key.expose_secret().into());
        own_buckets.0.insert(credential.access_key_id.clone(), bucket.clone());
    }
    let files = FileSystem::new(folder).map_err(|error| io::Error::other(format!("{error:?}")))?;
    let cors = BucketRules::load(folder)?;
    let mut builder = S3ServiceBuilder::new(Files { files, cors: cors.clone() });
    builder.set_auth(auth);
    builder.set_access(own_buckets);
    let service = builder.build();
    Ok(Router::new().fallback(any(move |request| answer(service.clone(), cors.clone(), request))))
}

/// Serves the store until `shutdown` completes.
pub async fn run(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) {
    serve(listener, router, OPTIONS, Metrics::off().connections("store"), shutdown).await;
}

/// Answers as the bucket's CORS rules have it.
async fn answer(service: S3Service, cors: BucketRules, request: Request) -> Response {
    let path = percent_encoding::percent_decode_str(request.uri().path().trim_start_matches('/')).decode_utf8_lossy();
    let rules = cors.in_force(path.split('/').next().unwrap_or_default()).await;
    if request.method() == Method::OPTIONS {
        return cors_response::preflight(&rules, request.headers());
    }
    let added = cors_response::added(&rules, request.headers(), request.method().as_str());
    let mut response = call(service, request).await;
    response.headers_mut().extend(added);
    response
}

async fn call(service: S3Service, request: Request) -> Response {
    match service.call(request.map(s3s::Body::http_body_unsync)).await {
        Ok(response) => response.map(Body::new),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Whether an object key stays within its bucket's folder.
fn is_plain(object_key: &str) -> bool {
    !object_key.split('/').any(|segment| matches!(segment, "." | ".."))
}

/// Whether a request copies nothing, or something from this bucket.
fn copies_from(headers: &HeaderMap, own_bucket: &str) -> bool {
    headers.get_all("x-amz-copy-source").iter().all(|source| {
        let source = percent_encoding::percent_decode(source.as_bytes()).decode_utf8_lossy();
        let (bucket, object_key) = source.trim_start_matches('/').split_once('/').unwrap_or_default();
        bucket == own_bucket && is_plain(object_key)
    })
}

/// Which access key id may use which bucket.
#[derive(Default)]
struct OwnBuckets(HashMap<String, String>);

#[async_trait::async_trait]
impl S3Access for OwnBuckets {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let own = context.credentials().and_then(|credentials| self.0.get(&credentials.access_key));
        let allowed = own.is_some_and(|own| match context.s3_path() {
            S3Path::Root => false,
            S3Path::Bucket { bucket } => **bucket == **own,
            S3Path::Object { bucket, key } => **bucket == **own && is_plain(key) && copies_from(context.headers(), own),
        });
        if allowed { Ok(()) } else { Err(s3_error!(AccessDenied, "Access Denied")) }
    }
}
