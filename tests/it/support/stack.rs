//! A gateway of its own for each test, in this process: fresh database, own object store, real HTTP on free ports.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use presign_gateway::admin::{Actor, Admin, TenantChanges};
use presign_gateway::app::{App, Services};
use presign_gateway::config::Config;
use presign_gateway::crypto::keyring::Keyring;
use presign_gateway::dev::demo::Demo;
use presign_gateway::dev::object_store::{self, Account};
use presign_gateway::domain::clock::Clock;
use presign_gateway::domain::credential::Credential;
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::sealing_key::SealingKey;
use presign_gateway::domain::tenant::{Slug, TenantStatus};
use presign_gateway::store::Store;
use presign_gateway::telemetry::Signals;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sqlx::PgConnection;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{canary, postgres};

/// The demo's tenants on a running gateway.
pub struct TestStack {
    pub url: String,
    pub ops_url: String,
    pub s3_url: String,
    pub demo: Demo,
    pub token: String,
    pub tenants: Admin,
    pub store: Store,
    pub keyring: Arc<Keyring>,
    pub database_url: SecretString,
    pub client: Client,
    pub files: TempDir,
    pub sealing_key: SecretString,
    /// The gateway's settings.
    environment: Vec<(String, String)>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

/// One more gateway on the same database; stops when it is dropped.
pub struct Instance {
    pub url: String,
    pub ops_url: String,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Instance {
    async fn start(environment: &[(String, String)], clock: Clock, randomness: Randomness) -> Self {
        let config = Config::load(None, environment.iter().cloned()).unwrap();
        let app = App::build(&config, Signals::local(&config.telemetry), clock, randomness).await.unwrap();
        let url = format!("http://{}", app.public_address().unwrap());
        let ops_url = format!("http://{}", app.ops_address().unwrap());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(app.run(async { drop(stopped.await) }));
        Self { url, ops_url, stop, running }
    }
}

/// How a test's gateway differs from the usual one.
pub struct Setup {
    settings: Vec<(String, String)>,
    clock: Clock,
    randomness: Randomness,
    database_url: Option<SecretString>,
    gateway_database_url: Option<SecretString>,
}

impl Setup {
    pub fn new() -> Self {
        let usual = [
            // Nothing is remembered, so that tests see changes at once.
            ("PRESIGN__AUTH__CACHE_SECONDS", "0"),
            ("PRESIGN__VAULT__CACHE_SECONDS", "0"),
            // A machine that runs all tests at once may be slow.
            ("PRESIGN__DATABASE__ACQUIRE_TIMEOUT_MS", "5000"),
            ("PRESIGN__DATABASE__READ_TIMEOUT_MS", "5000"),
        ];
        Self {
            settings: usual.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            clock: Clock::System,
            randomness: Randomness::System,
            database_url: None,
            gateway_database_url: None,
        }
    }

    /// Sets one setting, named as in the environment without its prefix.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        let name = format!("PRESIGN__{name}");
        self.settings.retain(|(known, _)| *known != name);
        self.settings.push((name, value.to_owned()));
        self
    }

    pub fn at(mut self, clock: Clock, randomness: Randomness) -> Self {
        self.clock = clock;
        self.randomness = randomness;
        self
    }

    /// The gateway reaches the database by another way than the test does.
    pub fn database(mut self, direct: &SecretString, gateway: SecretString) -> Self {
        self.database_url = Some(direct.clone());
        self.gateway_database_url = Some(gateway);
        self
    }

    pub async fn start(self) -> TestStack {
        canary::start();
        let files = tempfile::tempdir().unwrap();
        let database_url = match self.database_url {
            Some(url) => url,
            None => postgres::fresh_database().await,
        };
        let demo = Demo::load_or_make(&files.path().join("demo.json"), &Randomness::System).unwrap();
        let s3_listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let s3_url = format!("http://{}", s3_listener.local_addr().unwrap());
        let mut accounts = demo.accounts();
        accounts.push(Account { bucket: demo.alpha.bucket.clone(), credential: second_credential(&demo) });
        let s3_router = object_store::router(&files.path().join("buckets"), &accounts).unwrap();
        tokio::spawn(object_store::run(s3_listener, s3_router, std::future::pending()));

        let sealing_key = SealingKey::generate("test", &Randomness::System);
        // Operators' calls of the tests themselves: patient, and free to name any host.
        let operator = [
            ("PRESIGN__DATABASE__ACQUIRE_TIMEOUT_MS", "20000"),
            ("PRESIGN__DATABASE__READ_TIMEOUT_MS", "20000"),
            ("PRESIGN__DATABASE__MAX_CONNECTIONS", "4"),
            ("PRESIGN__VAULT__KEYS", sealing_key.expose_secret()),
            ("PRESIGN__OUTBOUND__ALLOWED_HOSTS", "*"),
            ("DATABASE_URL", database_url.expose_secret()),
        ];
        let operator = operator.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::load(None, operator).unwrap();
        let services = Services::for_command(&config).unwrap();
        let keyring = services.keyring().unwrap();
        let store = services.store.clone();
        let tenants = services.admin(Actor { name: "test".to_owned(), origin: None });
        demo.ensure(&tenants, &keyring, &s3_url).await.unwrap();
        let token = demo.token(&tenants).unwrap().expose_secret().to_owned();
        watch(&demo, &token, &sealing_key);

        let gateway_url = self.gateway_database_url.as_ref().unwrap_or(&database_url);
        let always = [
            ("PRESIGN__SERVER__LISTEN", "127.0.0.1:0"),
            ("PRESIGN__SERVER__OPS_LISTEN", "127.0.0.1:0"),
            ("PRESIGN__VAULT__KEYS", sealing_key.expose_secret()),
            ("PRESIGN__OUTBOUND__ALLOWED_HOSTS", "127.0.0.1"),
            ("DATABASE_URL", gateway_url.expose_secret()),
        ];
        let always = always.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment: Vec<_> = always.into_iter().chain(self.settings).collect();
        let Instance { url, ops_url, stop, running } = Instance::start(&environment, self.clock, self.randomness).await;
        let keyring = Arc::new(keyring);
        let client = Client::builder().no_proxy().build().unwrap();
        TestStack {
            url,
            ops_url,
            s3_url,
            demo,
            token,
            tenants,
            store,
            keyring,
            database_url,
            client,
            files,
            sealing_key,
            environment,
            stop,
            running,
        }
    }
}

/// Another credential that the store takes for alpha's bucket.
fn second_credential(demo: &Demo) -> Credential {
    Credential {
        access_key_id: "demo-alpha-second".to_owned(),
        secret_access_key: format!("second-{}", demo.alpha.secret_access_key).into(),
        session_token: None,
    }
}

fn watch(demo: &Demo, token: &str, sealing_key: &SecretString) {
    for tenant in [&demo.alpha, &demo.beta] {
        canary::watch(&tenant.api_key);
        canary::watch(&tenant.secret_access_key);
    }
    for secret in [&demo.operator_key, &demo.jwt_secret, token, sealing_key.expose_secret()] {
        canary::watch(secret);
    }
}

impl TestStack {
    pub async fn start() -> Self {
        Setup::new().start().await
    }

    /// Starts one more gateway on the same database; `settings` are those that differ.
    pub async fn another(&self, settings: &[(&str, &str)]) -> Instance {
        let differing = settings.iter().map(|(name, value)| (format!("PRESIGN__{name}"), (*value).to_owned()));
        let environment: Vec<_> = self.environment.iter().cloned().chain(differing).collect();
        Instance::start(&environment, Clock::System, Randomness::System).await
    }

    /// The same stack, seen through another gateway.
    pub fn call(&self, method: Method, url: String) -> Call<'_> {
        Call::new(self, method, url)
    }

    /// A request to the public listener.
    pub fn get(&self, path: &str) -> Call<'_> {
        Call::new(self, Method::GET, format!("{}{path}", self.url))
    }

    /// A request to the public listener in alpha's name.
    pub fn post(&self, path: &str) -> Call<'_> {
        self.get(path).method(Method::POST).bearer(&self.demo.alpha.api_key)
    }

    /// Asks for an upload in alpha's name.
    pub async fn issue(&self, asked: &Value) -> Answer {
        self.post("/v1/uploads").json(asked).send().await
    }

    /// A request to the operators' listener, in the operator's name.
    pub fn admin(&self, method: Method, path: &str) -> Call<'_> {
        Call::new(self, method, format!("{}/admin/v1{path}", self.ops_url)).bearer(&self.demo.operator_key)
    }

    /// A presign in alpha's name.
    pub async fn presign(&self, query: &str) -> Answer {
        self.get(&format!("/oss/presign?{query}")).bearer(&self.demo.alpha.api_key).send().await
    }

    /// A presign in somebody's name.
    pub async fn presign_as(&self, credential: &str) -> Answer {
        self.get("/oss/presign?ext=jpg").bearer(credential).send().await
    }

    pub async fn connect(&self) -> PgConnection {
        postgres::connect(&self.database_url).await
    }

    /// How many uploads are on record.
    pub async fn recorded(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM uploads").fetch_one(&mut self.connect().await).await.unwrap()
    }

    /// Another credential that the store takes for alpha's bucket.
    pub fn second_credential(&self) -> Credential {
        second_credential(&self.demo)
    }

    pub fn alpha(&self) -> Slug {
        Slug::parse(&self.demo.alpha.slug).unwrap()
    }

    pub fn beta(&self) -> Slug {
        Slug::parse(&self.demo.beta.slug).unwrap()
    }

    pub async fn change_alpha(&self, changes: TenantChanges) {
        self.tenants.update_tenant(&self.alpha(), changes, None).await.unwrap();
    }

    pub async fn set_alphas_status(&self, status: TenantStatus) {
        self.tenants.set_tenant_status(&self.alpha(), status).await.unwrap();
    }

    /// Tells the gateway to stop, and waits until it has.
    pub async fn stop(self) {
        drop(self.stop);
        self.running.await.unwrap();
    }

    /// Tells the gateway to stop; the rest of the stack stays.
    pub fn begin_stop(self) -> JoinHandle<()> {
        drop(self.stop);
        self.running
    }
}

/// A request in the making.
pub struct Call<'a> {
    stack: &'a TestStack,
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Option<String>,
}

impl<'a> Call<'a> {
    fn new(stack: &'a TestStack, method: Method, url: String) -> Self {
        Self { stack, method, url, headers: HeaderMap::new(), body: None }
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").text(body.to_string())
    }

    pub fn text(mut self, body: String) -> Self {
        self.body = Some(body);
        self
    }

    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, value.parse().unwrap());
        self
    }

    pub fn bearer(self, credential: &str) -> Self {
        self.header("authorization", &format!("Bearer {credential}"))
    }

    pub fn from(self, address: IpAddr) -> Self {
        self.header("x-forwarded-for", &address.to_string())
    }

    pub async fn send(self) -> Answer {
        let request = self.stack.client.request(self.method, self.url).headers(self.headers);
        let response = request.body(self.body.unwrap_or_default()).send().await.unwrap();
        let status = response.status();
        let headers = response.headers().clone();
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status, headers, text, body }
    }
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn reason(&self) -> &str {
        self.body["reason"].as_str().unwrap_or_default()
    }

    pub fn message(&self) -> &str {
        self.body["msg"].as_str().unwrap_or_default()
    }

    /// The presigned URL of a successful answer.
    pub fn url(&self) -> &str {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self.body["data"]["url"].as_str().unwrap()
    }

    /// The object key of a successful answer.
    pub fn object_key(&self) -> &str {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self.body["data"]["key"].as_str().unwrap()
    }

    /// The `data` of an answer with this status.
    pub fn data(&self, status: u16) -> &Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.body["code"], 0);
        &self.body["data"]
    }

    /// Asserts an error that names a field.
    pub fn assert_field(&self, status: u16, reason: &str, field: &str) {
        assert_eq!((self.status.as_u16(), self.reason()), (status, reason), "{}", self.text);
        assert_eq!(self.body["field"], field, "{}", self.text);
        assert!(self.message().contains(field) || reason == "already_exists", "{}", self.text);
    }

    /// Asserts an error in the envelope, and nothing else in it.
    pub fn assert_error(&self, status: u16, reason: &str) {
        assert_eq!((self.status.as_u16(), self.reason()), (status, reason), "{}", self.text);
        assert_eq!(self.body["code"], status);
        assert!(self.body["data"].is_null());
        assert_eq!(self.body["request_id"].as_str(), self.header("x-request-id"));
        assert_eq!(self.body.as_object().unwrap().len(), 5, "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/json"));
    }
}
