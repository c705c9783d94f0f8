//! Formats log events, as JSON or for people. Each line contains the id of its request.

use std::fmt::{self, Write};

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::correlation;

/// The two formats of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    /// One object: `timestamp`, `level`, `message` (the event), the event's fields, `target` (its
    /// module), and within a request its `request_id`, with `trace_id` and `span_id` if it is
    /// traced.
    Json,
    Pretty,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        match self {
            Self::Json => {
                let mut line = String::with_capacity(512);
                json(&mut line, event)?;
                writeln!(writer, "{line}")
            }
            Self::Pretty => {
                pretty_head(&mut writer, *event.metadata().level())?;
                context.format_fields(writer.by_ref(), event)?;
                request(&mut writer)?;
                writeln!(writer)
            }
        }
    }
}

fn json(line: &mut String, event: &Event<'_>) -> fmt::Result {
    line.push_str("{\"timestamp\":\"");
    SystemTime.format_time(&mut Writer::new(line))?;
    line.push('"');
    let mut fields = Members { line, result: Ok(()) };
    fields.member("level", event.metadata().level().as_str());
    event.record(&mut fields);
    fields.member("target", event.metadata().target());
    correlation::current(|request| {
        fields.member("request_id", request.request_id());
        if let Some(trace) = request.trace() {
            fields.member("trace_id", trace.trace_id.to_string());
            fields.member("span_id", trace.span_id.to_string());
        }
    });
    let written = fields.result;
    line.push('}');
    written
}

/// Writes fields as members of an open JSON object that has members already.
struct Members<'a> {
    line: &'a mut String,
    result: fmt::Result,
}

impl Members<'_> {
    fn member(&mut self, name: &str, value: impl Serialize) {
        match (serde_json::to_string(name), serde_json::to_string(&value)) {
            (Ok(name), Ok(value)) => self.result = self.result.and(write!(self.line, ",{name}:{value}")),
            _ => self.result = Err(fmt::Error),
        }
    }
}

impl Visit for Members<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field.name(), value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.member(field.name(), value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.member(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.member(field.name(), format!("{value:?}"));
    }
}

fn pretty_head(writer: &mut Writer<'_>, level: Level) -> fmt::Result {
    let colour = match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    };
    let (dim, colour, off) = if writer.has_ansi_escapes() { ("\x1b[2m", colour, "\x1b[0m") } else { ("", "", "") };
    write!(writer, "{dim}")?;
    SystemTime.format_time(writer)?;
    write!(writer, "{off} {colour}{level:>5}{off} ")
}

fn request(writer: &mut Writer<'_>) -> fmt::Result {
    let written = correlation::current(|request| {
        write!(writer, " request_id={}", request.request_id())?;
        request.trace().map_or(Ok(()), |trace| write!(writer, " trace_id={}", trace.trace_id))
    });
    written.unwrap_or(Ok(()))
}
