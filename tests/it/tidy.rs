//! Rules of the source that no compiler enforces: imports between rooms, owners of foreign crates,
//! how files begin.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A module and the modules of ours that it imports. Exact: an entry that is not used fails, too.
const IMPORTS: &[(&str, &[&str])] = &[
    ("admin", &["auth", "buckets", "crypto", "domain", "egress", "store"]),
    ("auth", &["cache", "config", "crypto", "domain", "egress", "store", "telemetry"]),
    ("buckets", &["cache", "crypto", "domain", "egress", "presign", "store", "telemetry"]),
    ("cache", &["telemetry"]),
    ("config", &["domain"]),
    ("crypto", &["domain"]),
    ("domain", &[]),
    ("egress", &["domain"]),
    (
        "http",
        &[
            "admin",
            "auth",
            "buckets",
            "config",
            "crypto",
            "domain",
            "jobs",
            "rate_limit",
            "readiness",
            "telemetry",
            "uploads",
        ],
    ),
    ("jobs", &["auth", "buckets", "config", "domain", "store", "telemetry", "uploads"]),
    ("presign", &["domain"]),
    ("rate_limit", &["domain", "telemetry"]),
    ("readiness", &["buckets", "crypto", "domain", "store", "telemetry"]),
    ("store", &["config", "domain", "telemetry"]),
    ("telemetry", &["config", "domain"]),
    ("uploads", &["buckets", "config", "domain", "presign", "rate_limit", "store", "telemetry"]),
];

/// Modules at the top, where everything comes together.
const MAY_IMPORT_ALL: &[&str] = &["app", "cli", "dev", "lib", "main"];

/// A foreign crate and the modules that use it. Exact, as above.
const OWNERS: &[(&str, &[&str])] = &[
    ("anyhow", &["cli"]),
    ("arc_swap", &["auth"]),
    ("aws_lc_rs", &["crypto", "domain", "presign"]),
    ("aws_sdk_s3", &["buckets"]),
    ("aws_smithy_http_client", &["buckets"]),
    ("aws_smithy_runtime_api", &["buckets"]),
    ("axum", &["dev", "http"]),
    ("backon", &["jobs"]),
    ("base62", &["auth"]),
    ("clap", &["cli", "main"]),
    ("comfy_table", &["cli"]),
    ("const_hex", &["domain", "presign"]),
    ("csv", &["uploads"]),
    ("governor", &["rate_limit"]),
    ("hyper", &["http"]),
    ("hyper_util", &["http"]),
    ("indicatif", &["cli"]),
    ("jsonwebtoken", &["auth", "dev"]),
    ("md5", &["buckets"]),
    ("nix", &["dev"]),
    ("opentelemetry", &["telemetry"]),
    ("opentelemetry_appender_tracing", &["telemetry"]),
    ("opentelemetry_otlp", &["telemetry"]),
    ("opentelemetry_prometheus", &["telemetry"]),
    ("opentelemetry_sdk", &["telemetry"]),
    ("prometheus", &["telemetry"]),
    ("moka", &["auth", "cache"]),
    ("reqwest", &["buckets", "cli", "egress"]),
    ("rpassword", &["cli"]),
    ("s3s", &["dev"]),
    ("s3s_fs", &["dev"]),
    ("serde_path_to_error", &["http"]),
    ("serde_urlencoded", &["http"]),
    ("shlex", &["dev"]),
    ("socket2", &["http"]),
    // `dev seed` fills the ledger by COPY.
    ("sqlx", &["dev", "store"]),
    ("strum", &["auth", "buckets", "domain", "store", "uploads"]),
    ("tempfile", &["dev"]),
    ("tokio_util", &["app", "jobs"]),
    ("toml", &["config"]),
    ("tower", &["http"]),
    ("tower_http", &["http"]),
    ("tracing_opentelemetry", &["telemetry"]),
    ("tracing_subscriber", &["cli", "dev", "telemetry"]),
    ("utoipa", &["admin", "http", "jobs", "uploads"]),
    ("utoipa_axum", &["http"]),
    ("utoipa_swagger_ui", &["http"]),
    ("whoami", &["cli"]),
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

/// The names in `actual` that are not in `allowed`, and the other way round.
fn differences(actual: &BTreeSet<String>, allowed: &[&str]) -> Vec<String> {
    let missing = actual.iter().filter(|name| !allowed.contains(&name.as_str())).map(|name| format!("uses {name}"));
    let unused = allowed.iter().filter(|name| !actual.contains(**name)).map(|name| format!("never uses {name}"));
    missing.chain(unused).collect()
}

#[test]
fn imports_match_the_table() {
    let mut actual: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        let imports = actual.entry(source.module.clone()).or_default();
        imports.extend(names_after(&source.code, "crate::").map(str::to_owned));
        assert!(
            !source.code.contains("use crate::{"),
            "{}: name each module on a line of its own",
            source.path.display()
        );
    }
    let mut wrong = Vec::new();
    for (module, mut imports) in actual.into_iter().filter(|(module, _)| !MAY_IMPORT_ALL.contains(&module.as_str())) {
        imports.remove(&module);
        // A macro of the crate is no module.
        imports.remove("");
        let rule = IMPORTS.iter().find(|(name, _)| *name == module);
        let (_, allowed) = rule.unwrap_or_else(|| panic!("{module}: add it to IMPORTS"));
        wrong.extend(differences(&imports, allowed).into_iter().map(|difference| format!("{module} {difference}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn foreign_crates_match_their_owners() {
    let sources = sources();
    let mut wrong = Vec::new();
    for (name, owners) in OWNERS {
        let users = sources.iter().filter(|source| is_used(name, &source.code)).map(|source| source.module.clone());
        let users: BTreeSet<String> = users.collect();
        wrong.extend(differences(&users, owners).into_iter().map(|difference| format!("{name}: {difference}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn is_used(name: &str, code: &str) -> bool {
    let is_inside_a_word = |before: char| before.is_alphanumeric() || before == '_' || before == ':';
    code.match_indices(&format!("{name}::")).any(|(at, _)| !code[..at].ends_with(is_inside_a_word))
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

/// Rust files of a folder, in any depth.
fn rust_files(folder: PathBuf) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { rust_files(path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The names of the tests in a file: the function after each attribute that makes a test.
fn test_names(text: &str) -> impl Iterator<Item = &str> {
    let attributes = ["#[test]", "#[tokio::test"].into_iter().flat_map(|attribute| text.match_indices(attribute));
    attributes.filter_map(|(at, _)| text[at..].split_once("fn ")?.1.split(['(', '<']).next())
}

#[test]
fn test_names_have_at_most_60_characters() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = [rust_files(root.join("src")), rust_files(root.join("tests/it"))].concat();
    let mut count = 0;
    let mut long = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        let names: Vec<&str> = test_names(&text).collect();
        count += names.len();
        long.extend(names.into_iter().filter(|name| name.len() > 60).map(str::to_owned));
    }
    assert!(count > 400, "the tests were found: {count}");
    assert_eq!(long, <[String; 0]>::default(), "subject, condition, outcome: 60 characters at most");
}

#[test]
fn only_the_extractor_of_admitted_callers_leads_to_an_upload() {
    let made: Vec<PathBuf> =
        sources().into_iter().filter(|source| source.code.contains("Admitted {")).map(|source| source.path).collect();
    assert_eq!(made, [PathBuf::from("rate_limit.rs")]);
}
