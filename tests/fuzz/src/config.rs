//! The configuration: a file and the environment, and secrets that no fault and no printout shows.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::LazyLock;

use presign_gateway::config::Config;

use super::told::MARK;

/// Lines `NAME=value` before an empty line are the environment, what follows is the file.
pub fn judge(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    // Files of this machine are not what is tried; some never end.
    if text.contains("/dev") || text.contains("/proc") || text.contains("/sys") {
        return;
    }
    let (environment, file) = text.split_once("\n\n").unwrap_or((text, ""));
    let environment: Vec<(String, String)> = environment
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(_, value)| !value.contains('\0'))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    told_without_values(&environment, file);
    secrets_stay(&environment);
}

fn load(file: &str, environment: Vec<(String, String)>) -> Result<Config, String> {
    thread_local! {
        static FOLDER: tempfile::TempDir = tempfile::tempdir().unwrap();
    }
    let path: PathBuf = FOLDER.with(|folder| folder.path().join("gateway.toml"));
    std::fs::write(&path, file).unwrap();
    Config::load(Some(&path), environment).map_err(|faults| {
        assert!(!faults.0.is_empty());
        faults.to_string()
    })
}

fn told_without_values(environment: &[(String, String)], file: &str) {
    static DEFAULT: LazyLock<String> = LazyLock::new(|| format!("{:?}", load("", Vec::new()).unwrap()));
    match load(file, environment.to_vec()) {
        Err(faults) => assert!(faults.len() < 100_000, "as long as what was written"),
        Ok(config) => {
            // What is shown and written again gives the same. Secrets are masked, so they are left out.
            let mut written = String::new();
            for (path, shown) in config.shown.iter().filter(|(_, shown)| shown.value != "(hidden)") {
                let (section, setting) = path.split_once('.').unwrap();
                writeln!(written, "[{section}]\n{setting} = {}", shown.value).unwrap();
            }
            if !DEFAULT.is_empty() && !config.shown.values().any(|shown| shown.value == "(hidden)") {
                let again = load(&sections(&written), Vec::new());
                let again = again.unwrap_or_else(|faults| panic!("what is shown is not taken: {faults}"));
                let values = |config: &Config| {
                    config.shown.iter().map(|(path, shown)| (path.clone(), shown.value.clone())).collect::<Vec<_>>()
                };
                assert_eq!(values(&again), values(&config));
            }
        }
    }
}

/// TOML has each section once.
fn sections(text: &str) -> String {
    let mut current = "";
    let mut out = String::new();
    for line in text.lines() {
        if line.starts_with('[') && !line.contains('=') {
            if line == current {
                continue;
            }
            current = line;
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// Each secret setting is given a value with the mark in it, behind what the bytes say.
fn secrets_stay(environment: &[(String, String)]) {
    let before = environment.first().map(|(_, value)| value.as_str()).unwrap_or_default();
    if before.contains(MARK) {
        return;
    }
    let secret = [
        ("PRESIGN__VAULT__KEYS", format!("{before}:{MARK}")),
        ("DATABASE_URL", format!("{before}{MARK}")),
        ("OTEL_EXPORTER_OTLP_HEADERS", format!("{before}={MARK}")),
    ];
    let secret = secret.map(|(name, value)| (name.to_owned(), value));
    for some in [&secret[..], &secret[..1], &secret[1..2], &secret[2..]] {
        match load("", some.to_vec()) {
            Err(faults) => assert!(!faults.contains(MARK), "{faults}"),
            Ok(config) => {
                assert!(!format!("{config:?}").contains(MARK), "a secret is printed");
                assert!(!config.shown.values().any(|shown| shown.value.contains(MARK)), "a secret is shown");
            }
        }
    }
}
