//! The obvious version of `GET /oss/presign` in Rust: axum, `aws-sdk-s3`'s own `presigned()`, and one INSERT a request through sqlx.
//!
//! It neither authenticates nor limits anybody, and its table has no index but its primary key. `DATABASE_URL` says where.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that meets the unexpected should fail there and then"
)]

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Region, RequestChecksumCalculation};
use aws_sdk_s3::presigning::PresigningConfig;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::ids::UploadId;
use presign_gateway::domain::randomness::Randomness;
use serde::Deserialize;
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::net::TcpListener;

/// As in the gateway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS uploads (
    id uuid PRIMARY KEY, object_key text NOT NULL, ext text NOT NULL, kind text, width int, height int,
    issued_at timestamptz NOT NULL DEFAULT now())";
const INSERT: &str = "INSERT INTO uploads (id, object_key, ext, kind, width, height) VALUES ($1, $2, $3, $4, $5, $6)";

#[derive(Clone)]
struct Peer {
    client: Client,
    pool: PgPool,
}

#[derive(Deserialize)]
struct Query {
    ext: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    width: Option<i32>,
    height: Option<i32>,
}

#[tokio::main]
async fn main() {
    let pool = PgPoolOptions::new().max_connections(32).connect(&std::env::var("DATABASE_URL").unwrap()).await.unwrap();
    sqlx::query(TABLE).execute(&pool).await.unwrap();
    let router = Router::new().route("/oss/presign", get(presign)).with_state(Peer { client: client(), pool });
    let listener = TcpListener::bind(std::env::var("LISTEN").unwrap_or("127.0.0.1:0".to_owned())).await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    axum::serve(listener, router).await.unwrap();
}

fn client() -> Client {
    let credentials =
        Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None, None, "plain");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("auto"))
        .endpoint_url("http://127.0.0.1:9000")
        .force_path_style(true)
        // Else it signs the checksum of an empty body.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .credentials_provider(credentials)
        .build();
    Client::from_conf(config)
}

async fn presign(State(peer): State<Peer>, RawQuery(query): RawQuery) -> impl IntoResponse {
    let query: Query = serde_urlencoded::from_str(&query.unwrap_or_default()).unwrap();
    let now = Clock::System.now();
    let id = UploadId::generate(now, &Randomness::System).uuid();
    let object_key = format!("{}/{id}.{}", now.format("%Y/%m/%d"), query.ext);
    let signed = peer
        .client
        .put_object()
        .bucket("alpha-uploads")
        .key(&object_key)
        .set_metadata(Some(
            [
                ("width", query.width.map(|pixels| pixels.to_string())),
                ("height", query.height.map(|pixels| pixels.to_string())),
                ("type", query.kind.clone()),
            ]
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect(),
        ))
        .presigned(PresigningConfig::expires_in(Duration::from_hours(1)).unwrap())
        .await
        .unwrap();
    sqlx::query(INSERT)
        .bind(id)
        .bind(&object_key)
        .bind(&query.ext)
        .bind(&query.kind)
        .bind(query.width)
        .bind(query.height)
        .execute(&peer.pool)
        .await
        .unwrap();
    let body = json!({ "code": 0, "msg": "success", "data": { "url": signed.uri(), "key": object_key } });
    ([(CONTENT_TYPE, "application/json")], body.to_string())
}
