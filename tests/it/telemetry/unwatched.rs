//! What nobody wants costs nothing, for it is not made.

use opentelemetry_sdk::trace::SdkTracerProvider;
use presign_gateway::config::Config;
use presign_gateway::telemetry;
use tracing::subscriber::with_default;

#[test]
fn without_a_collector_no_span_is_made() {
    let config = Config::load(None, [("PRESIGN__TELEMETRY__LEVEL".to_owned(), "trace".to_owned())]).unwrap().telemetry;
    with_default(telemetry::subscriber(&config, None, None, None), || {
        let request = tracing::info_span!(target: telemetry::trace::ROOT, "request");
        assert!(request.is_disabled());
        let _entered = request.entered();
        assert!(tracing::info_span!(target: "presign_gateway::uploads", "sign").is_disabled());
        assert!(tracing::enabled!(target: "presign_gateway::uploads", tracing::Level::TRACE), "the log is there");
    });
}

#[test]
fn spans_go_to_the_collector_at_any_log_level() {
    let config = Config::load(None, [("PRESIGN__TELEMETRY__LEVEL".to_owned(), "error".to_owned())]).unwrap().telemetry;
    let traces = SdkTracerProvider::builder().build();
    with_default(telemetry::subscriber(&config, Some(&traces), None, None), || {
        let sign = || tracing::info_span!(target: "presign_gateway::uploads", "sign");
        assert!(sign().is_disabled(), "it is part of no trace");
        let request = tracing::info_span!(target: telemetry::trace::ROOT, "request");
        request.in_scope(|| assert!(!sign().is_disabled()));
        assert!(!tracing::enabled!(target: "presign_gateway::uploads", tracing::Level::WARN), "only errors are logged");
    });
}
