//! Metrics of requests: <https://opentelemetry.io/docs/specs/semconv/http/http-metrics/>.

use std::borrow::Cow;
use std::time::Duration;

use opentelemetry::metrics::{BoundHistogram, BoundUpDownCounter, Histogram};
use opentelemetry::{KeyValue, StringValue};

use super::Metrics;

/// A request that was answered.
#[derive(Debug)]
pub struct Answered<'a> {
    /// A known method; others are `_OTHER`.
    pub method: &'static str,
    /// The route's pattern; `None` where there is none.
    pub route: Option<&'a Cow<'static, str>>,
    /// `None` if the client disconnected.
    pub status: Option<u16>,
    /// Why the gateway failed, or that there was no response.
    pub failure: Option<&'static str>,
}

#[derive(Debug)]
pub struct HttpMetrics {
    duration: Histogram<f64>,
    presigned: BoundHistogram<f64>,
    presign_route: &'static str,
}

const PRESIGN_ROUTE: &str = "/oss/presign";

impl HttpMetrics {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let duration =
            metrics.seconds("http.server.request.duration", "Time from the request head to the response head.");
        let route = Cow::Borrowed(PRESIGN_ROUTE);
        let presigned = Answered { method: "GET", route: Some(&route), status: Some(200), failure: None };
        Self { presigned: duration.bind(&labels(&presigned)), duration, presign_route: PRESIGN_ROUTE }
    }

    pub fn record(&self, answered: &Answered<'_>, took: Duration) {
        let is_presign = answered.status == Some(200)
            && answered.method == "GET"
            && answered.route.is_some_and(|route| *route == self.presign_route);
        if is_presign {
            self.presigned.record(took.as_secs_f64());
        } else {
            self.duration.record(took.as_secs_f64(), &labels(answered));
        }
    }
}

/// Client connections of one listener.
#[derive(Debug, Clone)]
pub struct ConnectionMetrics(BoundUpDownCounter<i64>);

impl ConnectionMetrics {
    pub(super) fn new(metrics: &Metrics, listener: &'static str) -> Self {
        let open = metrics.0.meter.i64_up_down_counter("presign_gateway.http.connections");
        let open = open.with_description("Open client connections.").build();
        Self(open.bind(&[KeyValue::new("listener", listener)]))
    }

    /// Counts a connection until the returned value is dropped.
    #[must_use]
    pub fn opened(&self) -> OpenConnection {
        self.0.add(1);
        OpenConnection(self.0.clone())
    }
}

/// A connection, until it is dropped.
#[derive(Debug)]
pub struct OpenConnection(BoundUpDownCounter<i64>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}

fn labels(answered: &Answered<'_>) -> Vec<KeyValue> {
    let text = |text: &Cow<'static, str>| match text {
        Cow::Borrowed(text) => StringValue::from(*text),
        Cow::Owned(text) => StringValue::from(text.clone()),
    };
    let always = [KeyValue::new("http.request.method", answered.method), KeyValue::new("url.scheme", "http")];
    let status = answered.status.map(|status| KeyValue::new("http.response.status_code", i64::from(status)));
    let route = answered.route.map(|route| KeyValue::new("http.route", text(route)));
    let failure = answered.failure.map(|failure| KeyValue::new("error.type", failure));
    always.into_iter().chain(status).chain(route).chain(failure).collect()
}
