//! What an OTLP receiver was sent, in the form in which a test asks for it.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::HeaderMap;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::ResourceLogs;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{NumberDataPoint, ResourceMetrics, number_data_point};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{self as trace, ResourceSpans};

/// Values as text: `200`, `true`, `GET`.
pub type Attributes = BTreeMap<String, String>;

#[derive(Debug, Clone)]
pub struct Span {
    /// Ids in hexadecimal digits; of a root, the parent's is empty.
    pub trace_id: String,
    pub id: String,
    pub parent_id: String,
    pub trace_state: String,
    pub name: String,
    pub kind: SpanKind,
    pub status: StatusCode,
    /// In nanoseconds.
    pub started: u64,
    pub ended: u64,
    pub attributes: Attributes,
    pub links: Vec<Link>,
    pub resource: Attributes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub trace_id: String,
    pub span_id: String,
    pub trace_state: String,
}

impl Span {
    /// An attribute as text, empty where there is none.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// The names of its attributes.
    pub fn attribute_names(&self) -> Vec<&str> {
        self.attributes.keys().map(String::as_str).collect()
    }

    pub fn is_linked_to(&self, other: &Self) -> bool {
        self.links.iter().any(|link| link.trace_id == other.trace_id && link.span_id == other.id)
    }
}

/// The last that was said of one time series. A histogram's value is its sum.
#[derive(Debug, Clone)]
pub struct Point {
    pub value: f64,
    /// Of a histogram: how many measurements.
    pub count: u64,
    pub bounds: Vec<f64>,
    pub unit: String,
}

#[derive(Debug, Clone)]
pub struct LogRecord {
    pub event: String,
    pub body: String,
    pub severity: i32,
    pub severity_text: String,
    pub trace_id: String,
    pub span_id: String,
    pub attributes: Attributes,
    pub resource: Attributes,
    pub scope: String,
}

/// All that was received.
#[derive(Default)]
pub struct Kept {
    /// How many exports were tried, whatever became of them.
    pub attempts: usize,
    /// How many exports of metrics were kept.
    pub metric_exports: usize,
    pub spans: Vec<Span>,
    pub logs: Vec<LogRecord>,
    /// Each process, metric and set of labels once.
    pub points: BTreeMap<(String, String, Attributes), Point>,
    pub metric_resources: Vec<Attributes>,
    /// Header fields that came with exports, by protocol.
    pub headers: BTreeSet<(&'static str, String, String)>,
    /// Each export as it was sent.
    pub raw: Vec<Vec<u8>>,
}

impl Kept {
    pub fn trace(&self, trace_id: &str) -> Vec<Span> {
        self.spans.iter().filter(|span| span.trace_id == trace_id).cloned().collect()
    }

    pub fn named(&self, name: &str) -> Vec<Span> {
        self.spans.iter().filter(|span| span.name == name).cloned().collect()
    }

    /// The children of a span, in the order in which they began.
    pub fn children(&self, parent: &Span) -> Vec<Span> {
        let is_child = |span: &&Span| span.trace_id == parent.trace_id && span.parent_id == parent.id;
        let mut children: Vec<Span> = self.spans.iter().filter(is_child).cloned().collect();
        children.sort_by_key(|span| (span.started, span.ended));
        children
    }

    pub fn child(&self, parent: &Span, name: &str) -> Option<Span> {
        self.children(parent).into_iter().find(|span| span.name == name)
    }

    /// The span of the request with this id.
    pub fn server_span(&self, request_id: &str) -> Option<Span> {
        let is_it =
            |span: &&Span| span.kind == SpanKind::Server && span.attribute("presign_gateway.request_id") == request_id;
        self.spans.iter().find(is_it).cloned()
    }

    /// The spans that are linked to a span.
    pub fn linked_to(&self, span: &Span) -> Vec<Span> {
        self.spans.iter().filter(|other| other.is_linked_to(span)).cloned().collect()
    }

    /// The series of a metric that have all these labels.
    pub fn series(&self, name: &str, labels: &[(&str, &str)]) -> Vec<(&Attributes, &Point)> {
        let has_all = |found: &Attributes| {
            labels.iter().all(|(label, value)| found.get(*label).map_or("", String::as_str) == *value)
        };
        let of_name = self.points.iter().filter(|((_, found, _), _)| found == name);
        of_name.map(|((_, _, labels), point)| (labels, point)).filter(|(labels, _)| has_all(labels)).collect()
    }

    /// What the series of a metric with all these labels come to; nothing where there is none.
    pub fn total(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let series = self.series(name, labels);
        (!series.is_empty()).then(|| series.iter().map(|(_, point)| point.value).sum())
    }

    /// How many measurements the histograms of a metric with all these labels have.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.series(name, labels).iter().map(|(_, point)| point.count).sum()
    }

    /// The log records with this text.
    pub fn logged(&self, body: &str) -> Vec<&LogRecord> {
        self.logs.iter().filter(|record| record.body == body || record.event == body).collect()
    }

    pub(super) fn note_headers(&mut self, protocol: &'static str, headers: &HeaderMap) {
        for (name, value) in headers {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            self.headers.insert((protocol, name.as_str().to_owned(), value));
        }
    }

    pub(super) fn spans(&mut self, exported: Vec<ResourceSpans>) {
        for group in exported {
            let resource = resource(group.resource.as_ref());
            for scoped in group.scope_spans {
                self.spans.extend(scoped.spans.into_iter().map(|span| Span::new(span, &resource)));
            }
        }
    }

    pub(super) fn metrics(&mut self, exported: Vec<ResourceMetrics>) {
        self.metric_exports += 1;
        for group in exported {
            let resource = resource(group.resource.as_ref());
            let process = resource.get("service.instance.id").cloned().unwrap_or_default();
            if !self.metric_resources.contains(&resource) {
                self.metric_resources.push(resource);
            }
            for metric in group.scope_metrics.into_iter().flat_map(|scoped| scoped.metrics) {
                let Some(data) = metric.data else { continue };
                for (labels, point) in points(data) {
                    let point = Point { unit: metric.unit.clone(), ..point };
                    self.points.insert((process.clone(), metric.name.clone(), labels), point);
                }
            }
        }
    }

    pub(super) fn logs(&mut self, exported: Vec<ResourceLogs>) {
        for group in exported {
            let resource = resource(group.resource.as_ref());
            for scoped in group.scope_logs {
                let scope = scoped.scope.unwrap_or_default().name;
                self.logs.extend(scoped.log_records.into_iter().map(|record| LogRecord {
                    event: record.event_name,
                    body: record.body.as_ref().map(text_of).unwrap_or_default(),
                    severity: record.severity_number,
                    severity_text: record.severity_text,
                    trace_id: hex(&record.trace_id),
                    span_id: hex(&record.span_id),
                    attributes: attributes(&record.attributes),
                    resource: resource.clone(),
                    scope: scope.clone(),
                }));
            }
        }
    }
}

impl Span {
    fn new(span: trace::Span, resource: &Attributes) -> Self {
        let status = span.status.clone().unwrap_or_default();
        let link = |link: &trace::span::Link| Link {
            trace_id: hex(&link.trace_id),
            span_id: hex(&link.span_id),
            trace_state: link.trace_state.clone(),
        };
        Self {
            trace_id: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent_id: hex(&span.parent_span_id),
            kind: span.kind(),
            status: status.code(),
            started: span.start_time_unix_nano,
            ended: span.end_time_unix_nano,
            attributes: attributes(&span.attributes),
            links: span.links.iter().map(link).collect(),
            trace_state: span.trace_state,
            name: span.name,
            resource: resource.clone(),
        }
    }
}

/// The points of a metric; only of the kinds that we have.
fn points(data: Data) -> Vec<(Attributes, Point)> {
    match data {
        Data::Gauge(gauge) => numbers(gauge.data_points),
        Data::Sum(sum) => numbers(sum.data_points),
        Data::Histogram(histogram) => histogram
            .data_points
            .into_iter()
            .map(|point| {
                let made = Point {
                    value: point.sum.unwrap_or_default(),
                    count: point.count,
                    bounds: point.explicit_bounds,
                    unit: String::new(),
                };
                (attributes(&point.attributes), made)
            })
            .collect(),
        Data::ExponentialHistogram(_) | Data::Summary(_) => panic!("a kind of metric that nobody asked for"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a test are small")]
fn numbers(points: Vec<NumberDataPoint>) -> Vec<(Attributes, Point)> {
    let made = points.into_iter().map(|point| {
        let value = match point.value {
            Some(number_data_point::Value::AsInt(value)) => value as f64,
            Some(number_data_point::Value::AsDouble(value)) => value,
            None => panic!("a point without a value"),
        };
        let made = Point { value, count: 0, bounds: Vec::new(), unit: String::new() };
        (attributes(&point.attributes), made)
    });
    made.collect()
}

fn resource(resource: Option<&Resource>) -> Attributes {
    resource.map(|resource| attributes(&resource.attributes)).unwrap_or_default()
}

fn attributes(pairs: &[KeyValue]) -> Attributes {
    let text = |pair: &KeyValue| pair.value.as_ref().map(text_of).unwrap_or_default();
    pairs.iter().map(|pair| (pair.key.clone(), text(pair))).collect()
}

/// A value as people write it.
fn text_of(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        Some(Value::BytesValue(bytes)) => hex(bytes),
        Some(Value::ArrayValue(array)) => array.values.iter().map(text_of).collect::<Vec<_>>().join(","),
        Some(Value::KvlistValue(list)) => format!("{:?}", attributes(&list.values)),
        _ => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}
