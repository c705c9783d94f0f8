//! The log, as a collector gets it.

use reqwest::Method;

use super::{Watched, request_id};
use crate::support::collector::{Attributes, Kept, LogRecord};

/// The request line of a request.
fn line<'a>(kept: &'a Kept, request_id: &str) -> Option<&'a LogRecord> {
    let of_request = |record: &&&LogRecord| record.attributes.values().any(|value| value == request_id);
    kept.logged("request").into_iter().find(|record| of_request(&record))
}

fn has(attributes: &Attributes, name: &str, value: &str) -> bool {
    attributes.get(name).is_some_and(|found| found == value)
}

#[tokio::test]
async fn each_request_has_its_line_with_its_trace() {
    let watched = Watched::start(&[]).await;
    let issued = watched.presign().await;
    let refused = watched.call(Method::GET, "/oss/presign?ext=jpg").send().await;
    let missing = watched.call(Method::GET, "/nothing/here?secret=1").send().await;
    for (answer, severity, level) in [(&issued, 9, "INFO"), (&refused, 13, "WARN"), (&missing, 9, "INFO")] {
        let span = watched.span_of(answer).await;
        let id = request_id(answer);
        let record = watched.collector.find("its line", |kept| line(kept, id).cloned()).await;
        assert_eq!((record.severity, record.severity_text.as_str()), (severity, level));
        assert_eq!((record.trace_id.as_str(), record.span_id.as_str()), (span.trace_id.as_str(), span.id.as_str()));
        let said = &record.attributes;
        assert!(has(said, "http.request.method", "GET"), "{said:?}");
        assert!(has(said, "http.response.status_code", span.attribute("http.response.status_code")), "{said:?}");
        assert!(!said.values().any(|value| value.contains("secret=1")), "{said:?}");
    }
    // What goes on after the answer's head is of the same request.
    let api_key = &watched.stack.demo.alpha.api_key;
    let exported = watched.call(Method::GET, "/v1/uploads/export?format=csv").bearer(api_key).send().await;
    let ended =
        watched.collector.find("the export's end", |kept| kept.logged("export ended").first().copied().cloned());
    assert!(has(&ended.await.attributes, "presign_gateway.request_id", request_id(&exported)));
    let id = request_id(&issued);
    assert!(has(&line(&watched.collector.kept(), id).unwrap().attributes, "http.route", "/oss/presign"));
    let (_stack, collector) = watched.stop().await;
    let kept = collector.kept();
    let ours =
        |record: &&LogRecord| record.scope.starts_with("presign") || has(&record.attributes, "target", "presign");
    let foreign: Vec<_> = kept.logs.iter().filter(|record| !ours(record)).collect();
    assert!(foreign.is_empty(), "{foreign:#?}");
}

/// So many that one record for each of them would be seen. (Metrics are sent once a second.)
const EXPORTS: usize = 8;

#[tokio::test]
async fn what_is_exported_is_not_itself_a_reason_to_export() {
    let watched = Watched::start(&[("PRESIGN__UPLOADS__SWEEP_SECONDS", "0")]).await;
    watched.presign().await;
    watched.collector.metrics_again(1).await;
    let before = {
        let kept = watched.collector.kept();
        (kept.spans.len(), kept.logs.len())
    };
    // All that happens now is that metrics are exported, and that is no request of anybody's.
    watched.collector.metrics_again(EXPORTS).await;
    let kept = watched.collector.kept();
    let after = (kept.spans.len(), kept.logs.len());
    // Upkeep may read or say something of its own.
    let few = EXPORTS / 2;
    assert!(
        after.0 < before.0 + few && after.1 < before.1 + few,
        "{before:?}, then {after:?}: {:#?}",
        kept.logs.last()
    );
}
