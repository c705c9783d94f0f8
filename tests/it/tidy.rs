//! The house's rules that no compiler holds: who may import whom, who owns which crate, how files begin.

use std::path::{Path, PathBuf};

/// A module and the modules of ours that it may import.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("config", &["domain"]),
    ("store", &["domain", "telemetry"]),
    ("cache", &["telemetry"]),
    ("outbound", &["domain"]),
    ("auth", &["cache", "domain", "outbound", "store", "telemetry", "vault"]),
    ("limit", &["domain", "store", "telemetry"]),
    ("vault", &["cache", "domain", "presign", "store", "telemetry"]),
    ("changes", &["auth", "error", "store", "vault"]),
    ("upkeep", &["domain", "error", "store"]),
    ("presign", &["domain"]),
    ("bucket", &["domain", "outbound", "store", "presign", "telemetry", "vault"]),
    ("health", &["domain", "error", "store", "vault"]),
    ("uploads", &["auth", "bucket", "domain", "limit", "outbound", "presign", "store", "telemetry", "vault"]),
    ("tenants", &["auth", "bucket", "domain", "limit", "outbound", "presign", "store", "vault"]),
    ("error", &["auth", "domain", "limit", "store", "tenants", "uploads", "vault"]),
    (
        "http",
        &[
            "auth",
            "changes",
            "domain",
            "error",
            "health",
            "limit",
            "outbound",
            "telemetry",
            "tenants",
            "uploads",
            "vault",
        ],
    ),
    ("telemetry", &["config", "dev", "domain"]),
];

/// Modules at the top, where everything comes together.
const MAY_IMPORT_ALL: &[&str] = &["app", "cli", "dev", "lib", "main"];

/// A foreign crate and the modules that it belongs to.
const OWNERS: &[(&str, &[&str])] = &[
    ("sqlx", &["store"]),
    ("axum", &["http", "error", "app", "dev"]),
    ("tower", &["http"]),
    ("tower_http", &["http"]),
    ("hyper", &["http"]),
    ("hyper_util", &["http"]),
    ("socket2", &["http"]),
    ("aws_sdk_s3", &["bucket"]),
    ("aws_credential_types", &["bucket"]),
    ("aws_smithy_runtime_api", &["bucket"]),
    ("aws_smithy_http_client", &["bucket"]),
    ("aws_lc_rs", &["vault", "auth", "presign", "uploads"]),
    ("governor", &["limit"]),
    ("utoipa", &["http", "tenants", "uploads"]),
    ("utoipa_axum", &["http"]),
    ("utoipa_swagger_ui", &["http"]),
    ("serde_urlencoded", &["http"]),
    ("serde_path_to_error", &["http"]),
    ("indicatif", &["cli"]),
    ("whoami", &["cli"]),
    ("const_hex", &["domain", "presign"]),
    ("quick_cache", &["cache", "auth"]),
    ("jsonwebtoken", &["auth", "dev"]),
    ("clap", &["cli", "main"]),
    ("anyhow", &["cli", "main"]),
    ("comfy_table", &["cli"]),
    ("rpassword", &["cli"]),
    ("md5", &["bucket"]),
    ("reqwest", &["bucket", "cli", "outbound"]),
    ("tracing_subscriber", &["telemetry", "dev"]),
    ("tracing_opentelemetry", &["telemetry"]),
    ("opentelemetry", &["telemetry"]),
    ("opentelemetry_appender_tracing", &["telemetry"]),
    ("opentelemetry_otlp", &["telemetry"]),
    ("opentelemetry_prometheus", &["telemetry"]),
    ("opentelemetry_sdk", &["telemetry"]),
    ("prometheus", &["telemetry"]),
    ("toml", &["config"]),
    ("s3s", &["dev"]),
    ("s3s_fs", &["dev"]),
    ("nix", &["dev"]),
];

pub struct Source {
    pub path: PathBuf,
    /// The top-level module that the file belongs to.
    module: String,
    /// The file without comments.
    pub code: String,
    text: String,
}

pub fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let relative = path.strip_prefix(&root).unwrap().to_owned();
                let module = relative
                    .components()
                    .next()
                    .unwrap()
                    .as_os_str()
                    .to_string_lossy()
                    .trim_end_matches(".rs")
                    .to_owned();
                let code =
                    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
                sources.push(Source { path: relative, module, code, text });
            }
        }
    }
    assert!(sources.len() > 50, "the sources were found");
    sources
}

/// Names that follow `prefix` anywhere in the code, as in `crate::store`.
fn names_after<'a>(code: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    code.match_indices(prefix).map(move |(at, _)| {
        let rest = &code[at + prefix.len()..];
        rest.split(|character: char| !character.is_alphanumeric() && character != '_').next().unwrap()
    })
}

#[test]
fn modules_import_only_what_they_may() {
    let mut wrong = Vec::new();
    for source in sources() {
        if MAY_IMPORT_ALL.contains(&source.module.as_str()) {
            continue;
        }
        let rule = MAY_IMPORT.iter().find(|(module, _)| *module == source.module);
        let (_, allowed) = rule.unwrap_or_else(|| panic!("{}: say what it may import", source.module));
        for imported in names_after(&source.code, "crate::") {
            // A macro of the crate is no module.
            if imported != source.module && !imported.is_empty() && !allowed.contains(&imported) {
                wrong.push(format!("{} imports {imported}", source.path.display()));
            }
        }
        assert!(
            !source.code.contains("use crate::{"),
            "{}: name each module on a line of its own",
            source.path.display()
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_foreign_crate_is_used_by_its_owner_only() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, owners) in OWNERS {
            let used = source.code.match_indices(&format!("{name}::")).any(|(at, _)| {
                !source.code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':')
            });
            if used && !owners.contains(&source.module.as_str()) {
                wrong.push(format!("{} uses {name}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    for source in sources() {
        assert!(source.text.starts_with("//! "), "{} begins with //!", source.path.display());
        assert!(source.path.file_name().unwrap() != "mod.rs", "{}: foo.rs stands beside foo/", source.path.display());
    }
}

#[test]
fn files_are_small_enough_to_take_in() {
    for source in sources() {
        let lines = source.text.lines().count();
        assert!(lines <= 400, "{} has {lines} lines", source.path.display());
    }
}

#[test]
fn only_the_extractor_of_admitted_callers_leads_to_an_upload() {
    let made: Vec<PathBuf> =
        sources().into_iter().filter(|source| source.code.contains("Admitted {")).map(|source| source.path).collect();
    assert_eq!(made, [PathBuf::from("limit.rs")]);
}
