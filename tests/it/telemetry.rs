//! Exported telemetry: the program in its own process, and a real receiver.

mod context;
mod faults;
mod logs;
mod metrics;
mod reach;
mod resource;
mod secrets;
mod traces;
mod unwatched;

use nix::sys::signal::Signal;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};

use crate::support::binary::{Server, Workbench};
use crate::support::collector::{Collector, Span};
use crate::support::stack::{Answer, Call, Setup, TestStack};
use crate::v1::id_in;

/// Everything is sent at once, and there is time enough for a machine that runs all tests at once.
const USUAL: [(&str, &str); 7] = [
    ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ("OTEL_BLRP_SCHEDULE_DELAY", "50"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
    ("PRESIGN__DATABASE__ACQUIRE_TIMEOUT_MS", "5000"),
    ("PRESIGN__DATABASE__READ_TIMEOUT_MS", "5000"),
    ("PRESIGN__UPLOADS__COMMIT_TIMEOUT_MS", "5000"),
    ("PRESIGN__UPLOADS__SWEEP_SECONDS", "0"),
];

/// A gateway in a process of its own, and who is told of it.
struct Watched {
    stack: TestStack,
    workbench: Workbench,
    collector: Collector,
    server: Server,
}

impl Watched {
    async fn start(settings: &[(&str, &str)]) -> Self {
        Self::with(Collector::start(), settings).await
    }

    async fn with(collector: Collector, settings: &[(&str, &str)]) -> Self {
        let stack = stack().await;
        let database_url = stack.database_url.clone();
        Self::on(stack, database_url, collector, settings).await
    }

    /// A gateway that reaches the stack's database by a way of its own.
    async fn on(stack: TestStack, database_url: SecretString, collector: Collector, settings: &[(&str, &str)]) -> Self {
        let workbench = Workbench::new(database_url, stack.sealing_key.expose_secret());
        let server = serve(&workbench, &collector, settings).await;
        Self { stack, workbench, collector, server }
    }

    /// A request to the public listener.
    fn call(&self, method: Method, path: &str) -> Call<'_> {
        self.stack.call(method, format!("{}{path}", self.server.url))
    }

    /// A presign in alpha's name, to be sent.
    fn presigning(&self) -> Call<'_> {
        self.call(Method::GET, "/oss/presign?ext=jpg").bearer(&self.stack.demo.alpha.api_key)
    }

    /// A presign in alpha's name, which must succeed.
    async fn presign(&self) -> Answer {
        let answer = self.presigning().send().await;
        answer.url();
        answer
    }

    /// The span of an answered request.
    async fn span_of(&self, answer: &Answer) -> Span {
        self.collector.server_span(request_id(answer)).await
    }

    /// What stands in the row of an upload.
    async fn recorded_trace_id(&self, answer: &Answer) -> Option<String> {
        let query = sqlx::query_scalar("SELECT trace_id FROM uploads WHERE id = $1::uuid");
        query.bind(id_in(answer.object_key())).fetch_one(&mut self.stack.connect().await).await.unwrap()
    }

    /// What the operators' listener tells Prometheus.
    async fn scrape(&self) -> String {
        let answer = self.stack.client.get(format!("{}/metrics", self.server.ops_url)).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap()
    }

    /// Tells the gateway to stop, and waits until it has: all that it had to say has been said.
    async fn stop(self) -> (TestStack, Collector) {
        let Self { stack, workbench: _workbench, collector, server } = self;
        server.signal(Signal::SIGTERM);
        assert!(server.ended().await.success());
        (stack, collector)
    }
}

/// A stack whose own gateway leaves the sweeping to the one that is watched.
async fn stack() -> TestStack {
    Setup::new().set("UPLOADS__SWEEP_SECONDS", "0").start().await
}

/// Starts `serve`; `settings` are those that differ.
async fn serve(workbench: &Workbench, collector: &Collector, settings: &[(&str, &str)]) -> Server {
    let url = collector.url();
    let always = [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str())];
    // The last one of a name counts.
    let settings: Vec<_> = always.iter().chain(&USUAL).chain(settings).copied().collect();
    Server::start(workbench, &settings).await
}

fn request_id(answer: &Answer) -> &str {
    answer.header("x-request-id").unwrap()
}

/// The value of the first series of a scrape that has this name and all these labels.
fn scraped(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let is_it = |line: &&str| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|(label, value)| line.contains(&format!("{label}=\"{value}\"")))
    };
    text.lines().find(is_it).and_then(|line| line.rsplit(' ').next()?.parse().ok())
}
