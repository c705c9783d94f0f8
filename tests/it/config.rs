//! The configuration: its sources, and problems that are reported together.

use presign_gateway::config::telemetry::{OtlpProtocol, Sampler};
use presign_gateway::config::{Config, ConfigError};
use presign_gateway::domain::randomness::Randomness;
use presign_gateway::domain::sealing_key::SealingKey;
use secrecy::ExposeSecret;

fn load(file: Option<&str>, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    if let Some(text) = file {
        std::fs::write(&path, text).unwrap();
    }
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(file.map(|_| path.as_path()), environment)
}

fn faults(file: Option<&str>, environment: &[(&str, &str)]) -> Vec<String> {
    load(file, environment).unwrap_err().0
}

#[test]
fn the_defaults_are_valid() {
    let config = load(None, &[]).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(config.server.ops_listen.to_string(), "127.0.0.1:3001");
    assert_eq!(config.oss.anonymous_tenant, None);
}

#[test]
fn environment_overrides_file_and_file_overrides_defaults() {
    let file = "[server]\nlisten = \"127.0.0.1:1\"\nops_listen = \"127.0.0.1:2\"\n";
    let config = load(Some(file), &[("PRESIGN__SERVER__LISTEN", "127.0.0.1:3")]).unwrap();
    assert_eq!((config.server.listen.port(), config.server.ops_listen.port()), (3, 2));
    assert_eq!(config.shown["server.listen"].from, "PRESIGN__SERVER__LISTEN");
    assert_eq!(config.shown["server.max_connections"].from, "default");
}

#[test]
fn database_url_is_the_customary_name_and_the_full_name_wins() {
    let customary = ("DATABASE_URL", "postgres://a/x");
    assert_eq!(load(None, &[customary]).unwrap().database.url.expose_secret(), "postgres://a/x");
    let both = load(None, &[("PRESIGN__DATABASE__URL", "postgres://b/x"), customary]).unwrap();
    assert_eq!(both.database.url.expose_secret(), "postgres://b/x");
}

#[test]
fn all_faults_are_told_together_each_with_its_place() {
    let file = "[server]\nlisten = 3000\nlisen = \"x\"\ntrusted_proxies = [\"10.0.0.0/99\"]\n[nonsense]\na = 1\n";
    let environment = [
        ("PRESIGN__AUTH__CACHE_SECONDS", "soon"),
        ("PRESIGN__LIMITS__MAX_ADDRESSES", "0"),
        ("PRESIGN__OSS__ANONYMOUS_TENANT", "Not A Slug"),
        ("PRESIGN__TELEMETRY__LEVEL", "loud"),
        ("PRESIGN__SERVER__CORS_ORIGINS", "https://a.example/path"),
        ("PRESIGN__SERVER__DEFAULT_LANGUAGE", "fr"),
        ("PRESIGN__OUTBOUND__ALLOWED_HOSTS", "store,10.0.0.0/8"),
        ("PRESIGN__NOSUCH", "1"),
    ];
    let faults = faults(Some(file), &environment);
    for expected in [
        "server.listen (",
        "server.lisen (",
        "server.trusted_proxies (",
        "nonsense.a (",
        "auth.cache_seconds (PRESIGN__AUTH__CACHE_SECONDS): must be a whole number",
        "limits.max_addresses (PRESIGN__LIMITS__MAX_ADDRESSES)",
        "oss.anonymous_tenant (PRESIGN__OSS__ANONYMOUS_TENANT)",
        "telemetry.level (PRESIGN__TELEMETRY__LEVEL)",
        "server.cors_origins (PRESIGN__SERVER__CORS_ORIGINS)",
        "server.default_language (PRESIGN__SERVER__DEFAULT_LANGUAGE): unknown variant `fr`, expected `zh` or `en`",
        "outbound.allowed_hosts (PRESIGN__OUTBOUND__ALLOWED_HOSTS): must be hosts",
        "nosuch (PRESIGN__NOSUCH)",
    ] {
        assert!(faults.iter().any(|fault| fault.starts_with(expected)), "{expected} is missing in {faults:#?}");
    }
    assert_eq!(faults.len(), 12, "{faults:#?}");
    assert!(
        faults.iter().any(|fault| fault.contains("[server] has") && fault.contains("listen")),
        "says what there is"
    );
}

#[test]
fn cors_origin_that_no_browser_sends_is_rejected() {
    for origin in ["https://*.example.com", "https://app.example.com/", "ftp://app.example.com"] {
        let faults = faults(None, &[("PRESIGN__SERVER__CORS_ORIGINS", origin)]);
        assert_eq!(faults.len(), 1, "{origin}: {faults:#?}");
        assert!(faults[0].contains(&format!("{origin:?} must be ")), "{faults:#?}");
    }
}

#[test]
fn secrets_are_read_from_files_and_shown_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let key = SealingKey::generate("a", &Randomness::System);
    let keys_file = folder.path().join("keys");
    std::fs::write(&keys_file, format!("# sealing keys, the first seals\n{}\n\n", key.expose_secret())).unwrap();
    let url_file = folder.path().join("url");
    std::fs::write(&url_file, "postgres://user:hunter2@db/x\n").unwrap();
    let environment = [
        ("PRESIGN__VAULT__KEYS_FILE", keys_file.to_str().unwrap()),
        ("PRESIGN__DATABASE__URL_FILE", url_file.to_str().unwrap()),
    ];
    let config = load(None, &environment).unwrap();
    assert_eq!(config.vault.keys.len(), 1);
    assert_eq!(config.database.url.expose_secret(), "postgres://user:hunter2@db/x");

    let open = [("PRESIGN__VAULT__KEYS", key.expose_secret()), ("DATABASE_URL", "postgres://user:hunter2@db/x")];
    let shown = format!("{:?}", load(None, &open).unwrap());
    let secret = key.expose_secret().split_once(':').unwrap().1;
    assert!(!shown.contains("hunter2") && !shown.contains(secret), "{shown}");
}

#[test]
fn a_wrong_secret_is_told_without_being_shown() {
    let environment = [("PRESIGN__VAULT__KEYS", "a:aHVudGVyMg=="), ("DATABASE_URL", "mysql://user:hunter2@db")];
    let faults = faults(None, &environment);
    assert_eq!(faults.len(), 2, "{faults:#?}");
    assert!(!faults.concat().contains("hunter2") && !faults.concat().contains("aHVudGVyMg"), "{faults:#?}");
}

#[test]
fn a_file_that_does_not_parse_is_told_by_line_and_not_shown() {
    let faults = faults(Some("[database]\n\nurl = \"postgres://u:hunter2@db/x\n"), &[]);
    assert!(faults[0].contains("line 3") && !faults[0].contains("hunter2"), "{faults:#?}");
}

#[test]
fn numbers_have_bounds_on_both_sides() {
    for (name, value) in [
        ("PRESIGN__UPLOADS__RECORDER_MAX_BATCH", "9223372036854775807"),
        ("PRESIGN__UPLOADS__RECORDER_WRITERS", "65"),
        ("PRESIGN__SERVER__MAX_HEADER_BYTES", "8191"),
        ("PRESIGN__SERVER__HEADER_TIMEOUT_SECONDS", "0"),
        ("PRESIGN__SERVER__REQUEST_TIMEOUT_SECONDS", "-1"),
    ] {
        let faults = faults(None, &[(name, value)]);
        assert!(faults.len() == 1 && faults[0].contains(name) && faults[0].contains("must be"), "{faults:#?}");
    }
}

#[test]
fn a_secret_and_its_file_at_once_are_a_fault() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let both = [("DATABASE_URL", "postgres://db/x"), ("PRESIGN__DATABASE__URL_FILE", file.path().to_str().unwrap())];
    assert_eq!(faults(None, &both), ["[database]: set database.url or database.url_file, not both"]);
    let missing = [("PRESIGN__DATABASE__URL_FILE", "/nowhere")];
    assert!(faults(None, &missing)[0].contains("/nowhere cannot be read"));
}

#[test]
fn every_default_has_a_comment() {
    let mut commented = false;
    for line in presign_gateway::config::DEFAULTS.lines() {
        if line.starts_with('#') {
            commented = true;
        } else if line.is_empty() || line.starts_with('[') {
            commented = false;
        } else {
            assert!(commented, "no comment above: {line}");
        }
    }
}

#[test]
fn lease_shorter_than_two_bucket_timeouts_is_rejected() {
    let lease = |seconds: &'static str, timeout: &'static str| {
        let environment =
            [("PRESIGN__UPLOADS__SWEEP_LEASE_SECONDS", seconds), ("PRESIGN__UPLOADS__BUCKET_TIMEOUT_MS", timeout)];
        Config::load(None, environment.map(|(name, value)| (name.to_owned(), value.to_owned())))
    };
    assert!(lease("10", "5000").is_ok() && lease("4", "2000").is_ok());
    for (seconds, timeout) in [("9", "5000"), ("1", "501")] {
        let faults = lease(seconds, timeout).unwrap_err().0;
        assert!(faults.len() == 1 && faults[0].contains("uploads.sweep_lease_seconds must be"), "{faults:?}");
    }
}

#[test]
fn open_telemetrys_variables_are_settings_and_ours_win() {
    let customary = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20a-secret-of-ours,x-scope=1"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1500"),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.01"),
        ("OTEL_LOGS_EXPORTER", "none"),
        ("OTEL_SERVICE_NAME", ""),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging,team=a%2Cb"),
        ("PRESIGN__TELEMETRY__OTLP_ENDPOINT", "http://ours:4318"),
    ];
    let config = load(None, &customary).unwrap();
    let telemetry = &config.telemetry;
    assert_eq!(telemetry.otlp_endpoint.0.as_ref().unwrap().as_str(), "http://ours:4318/");
    assert_eq!(telemetry.otlp_protocol, OtlpProtocol::HttpProtobuf);
    assert_eq!(telemetry.otlp_metrics_seconds.get(), 2, "rounded up");
    assert_eq!((telemetry.sampler, telemetry.sampler_ratio.get()), (Sampler::ParentBasedTraceIdRatio, 0.01));
    assert_eq!((telemetry.otlp_traces, telemetry.otlp_logs), (true, false));
    assert_eq!(telemetry.service_name, "presign-gateway", "empty is as good as none");
    assert_eq!(telemetry.resource_attributes[1], ("team".to_owned(), "a,b".to_owned()));
    let headers: Vec<_> =
        telemetry.otlp_headers.0.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
    assert_eq!(headers, [("authorization", "Bearer a-secret-of-ours"), ("x-scope", "1")]);
    assert!(!format!("{config:?}").contains("a-secret-of-ours"));
    assert_eq!(config.shown["telemetry.otlp_headers"].value, "(hidden)");
    assert_eq!(config.shown["telemetry.sampler"].from, "OTEL_TRACES_SAMPLER");
    assert!(config.ignored_variables.is_empty());
    assert!(!load(None, &[("OTEL_SDK_DISABLED", "TRUE")]).unwrap().telemetry.otlp_enabled);
}

#[test]
fn wrong_open_telemetry_variables_are_named() {
    let faults = faults(
        None,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a-secret-without-a-name"),
            ("OTEL_TRACES_SAMPLER", "xray"),
            ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "soon"),
        ],
    );
    for expected in [
        "telemetry.otlp_endpoint (OTEL_EXPORTER_OTLP_ENDPOINT): must be a URL such as http://localhost:4317",
        "telemetry.otlp_headers (OTEL_EXPORTER_OTLP_HEADERS): each must be written name=value",
        "telemetry.sampler (OTEL_TRACES_SAMPLER): unknown variant `xray`",
        "telemetry.sampler_ratio (OTEL_TRACES_SAMPLER_ARG): must be 0 to 1, not 1.5",
        "telemetry.otlp_traces (OTEL_TRACES_EXPORTER): must be otlp or none, not \"zipkin\"",
        "telemetry.otlp_metrics_seconds (OTEL_METRIC_EXPORT_INTERVAL): must be a whole number",
    ] {
        assert!(faults.iter().any(|fault| fault.starts_with(expected)), "{expected} is not in {faults:#?}");
    }
    assert!(!format!("{faults:?}").contains("a-secret-without-a-name"));
}

#[test]
fn variables_of_open_telemetrys_that_nobody_heeds_are_told() {
    let environment = [
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "1"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://logs:4317"),
        ("OTEL_PROPAGATORS", ""),
    ];
    assert_eq!(load(None, &environment).unwrap().ignored_variables, ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"]);
}

#[test]
fn a_ratio_is_a_number_with_a_point_or_without() {
    let ratio = |text: &str| {
        let file = format!("[telemetry]\nsampler_ratio = {text}\n");
        load(Some(&file), &[]).map(|config| config.telemetry.sampler_ratio.get())
    };
    assert_eq!((ratio("1").unwrap(), ratio("0.25").unwrap()), (1.0, 0.25));
    assert_eq!(ratio("\"0.25\"").unwrap_err().0.len(), 1);
}
