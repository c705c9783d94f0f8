//! Whole requests, through every layer and route of both listeners, as far as the database, which is away.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, Uri};
use axum::response::Response;
use http_body_util::BodyExt;
use presign_gateway::app::App;
use presign_gateway::config::Config;
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::sealing_key::SealingKey;
use presign_gateway::http::state::Gateway;
use presign_gateway::http::{ops_service, public_service};
use presign_gateway::telemetry::Signals;
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::runtime::Runtime;
use tower::ServiceExt;
use tower::util::BoxCloneService;

use super::told::MARK;

type Service = BoxCloneService<Request, Response, std::convert::Infallible>;

struct Fixture {
    runtime: Runtime,
    public: Service,
    ops: Service,
}

thread_local! {
    static FIXTURE: Fixture = fixture();
}

fn fixture() -> Fixture {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let sealing_key = SealingKey::generate("fuzz", &Randomness::seeded(1));
    let environment = [
        ("PRESIGN__SERVER__LISTEN", "127.0.0.1:0"),
        ("PRESIGN__SERVER__OPS_LISTEN", "127.0.0.1:0"),
        ("PRESIGN__SERVER__CORS_ORIGINS", "https://a.example"),
        ("PRESIGN__SERVER__TRUSTED_PROXIES", "0.0.0.0/0"),
        ("PRESIGN__VAULT__KEYS", sealing_key.expose_secret()),
        ("PRESIGN__DATABASE__ACQUIRE_TIMEOUT_MS", "1"),
        ("PRESIGN__AUTH__FAILURES_PER_SECOND", "1000000"),
        ("PRESIGN__AUTH__FAILURES_BURST", "1000000"),
        // Nobody listens there.
        ("DATABASE_URL", "postgres://a@127.0.0.1:1/a"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::load(None, environment).unwrap();
    let signals = Signals::local(&config.telemetry);
    let built = App::build(&config, signals, Clock::System, Randomness::seeded(2));
    let gateway: Arc<Gateway> = runtime.block_on(built).unwrap_or_else(|error| panic!("{error}")).gateway;
    let (public, ops) = (public_service(&gateway), ops_service(&gateway));
    Fixture { runtime, public: BoxCloneService::new(public), ops: BoxCloneService::new(ops) }
}

/// `METHOD target`, header lines, an empty line, a body. Where it begins with `!` it goes to the operators' listener.
pub fn judge(data: &[u8]) {
    let (is_ops, data) = data.strip_prefix(b"!").map_or((false, data), |rest| (true, rest));
    let Some(request) = request(data) else { return };
    let told_of = [request.uri().query().unwrap_or_default(), ""].concat();
    let is_document = ["/docs", "/openapi.json", "/admin/openapi.json", "/metrics", "/readyz"];
    let is_document = is_document.iter().any(|path| request.uri().path().starts_with(path));
    let is_head = request.method() == Method::HEAD;
    let is_preflight = request.method() == Method::OPTIONS;
    FIXTURE.with(|fixture| {
        let service = if is_ops { &fixture.ops } else { &fixture.public };
        let (parts, body) = fixture.runtime.block_on(async {
            let answered = tokio::time::timeout(Duration::from_mins(1), service.clone().oneshot(request)).await;
            let (parts, body) = answered.unwrap_or_else(|_| panic!("it hangs")).unwrap().into_parts();
            (parts, body.collect().await.unwrap().to_bytes())
        });
        let status = parts.status.as_u16();
        assert!(status != 500 && (status < 500 || status == 503), "{status}: {body:?}");
        let request_id = parts.headers["x-request-id"].to_str().unwrap();
        assert!((1..=64).contains(&request_id.len()), "{request_id}");
        if status < 400 || is_document || is_head || (is_preflight && body.is_empty()) {
            return;
        }
        let told: Value = serde_json::from_slice(&body).unwrap_or_else(|_| panic!("no envelope: {status} {body:?}"));
        assert_eq!(told["code"], status);
        assert!(told["data"].is_null() && !told["reason"].as_str().unwrap().is_empty());
        assert!(!told["msg"].as_str().unwrap().is_empty() && told["request_id"] == request_id);
        let repeats = [&told["msg"], &told["field"]].iter().any(|text| text.to_string().contains(MARK));
        // Names of parameters may be told.
        assert!(!repeats || told_of.contains(MARK), "{told}");
    });
}

fn request(data: &[u8]) -> Option<Request> {
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let line = lines.next()?;
    let mut rest = lines.next().unwrap_or_default();
    let (method, target) = str::from_utf8(line).ok()?.split_once(' ')?;
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::from_bytes(method.as_bytes()).ok()?;
    *request.uri_mut() = target.parse::<Uri>().ok()?;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, behind) = rest.split_at(end);
        rest = &behind[1..];
        if line.is_empty() {
            break;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_bytes(name).ok()?;
        let value = HeaderValue::from_bytes(value[1..].trim_ascii()).ok()?;
        request.headers_mut().append(name, value);
    }
    *request.body_mut() = Body::from(rest.to_vec());
    Some(request)
}
