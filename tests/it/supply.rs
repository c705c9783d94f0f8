//! What the program is made of: `deny.toml` is held without cargo-deny, which is not installed everywhere (`.ci/audit` runs it, and asks
//! for advisories as well); and the image holds the program and nothing else.

mod image;
mod license;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use self::license::is_allowed;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// `deny.toml`.
fn policy() -> toml::Table {
    include_str!("../../deny.toml").parse().unwrap()
}

fn texts<'a>(policy: &'a toml::Table, section: &str, list: &str) -> Vec<&'a str> {
    policy[section][list].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// The crates that a list names, each with the reason that must be given.
fn crates<'a>(policy: &'a toml::Table, list: &str) -> Vec<&'a str> {
    let entries = policy["bans"][list].as_array().unwrap().iter();
    let crates: Vec<&str> = entries
        .map(|entry| {
            assert!(entry["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{entry} has no reason");
            entry["crate"].as_str().unwrap()
        })
        .collect();
    assert!(!crates.is_empty());
    crates
}

/// Every package that is built, tests' own among them, as Cargo sees it.
fn packages() -> Vec<Value> {
    let mut packages = BTreeMap::new();
    for target in texts(&policy(), "graph", "targets") {
        let arguments =
            ["metadata", "--offline", "--locked", "--format-version", "1", "--all-features", "--filter-platform"];
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(arguments).arg(target).current_dir(env!("CARGO_MANIFEST_DIR"));
        let output = cargo.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        for package in metadata["packages"].as_array().unwrap() {
            packages.insert(package["id"].to_string(), package.clone());
        }
    }
    assert!(packages.len() > 200);
    packages.into_values().collect()
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap()
}

/// The part of a version that another one of may be built beside it: `1` of 1.2.3, `0.4` of 0.4.5.
fn line(version: &str) -> String {
    let parts: Vec<&str> = version.split('.').collect();
    if parts[0] == "0" { parts[..2].join(".") } else { parts[0].to_owned() }
}

#[test]
fn every_crate_has_a_license_that_is_allowed_comes_from_crates_io_and_is_not_banned() {
    let (policy, packages) = (policy(), packages());
    let (allowed, banned) = (texts(&policy, "licenses", "allow"), crates(&policy, "deny"));
    let mut wrong = Vec::new();
    for package in packages.iter().filter(|package| name(package) != env!("CARGO_PKG_NAME")) {
        let license = package["license"].as_str().unwrap_or_default();
        if !is_allowed(license, &allowed) {
            wrong.push(format!("{}: licence {license}", name(package)));
        }
        if package["source"] != CRATES_IO {
            wrong.push(format!("{}: from {}", name(package), package["source"]));
        }
        if banned.contains(&name(package)) {
            wrong.push(format!("{}: banned", name(package)));
        }
    }
    assert!(wrong.is_empty(), "deny.toml does not allow: {wrong:#?}");
}

#[test]
fn what_is_locked_is_from_crates_io_and_has_a_checksum() {
    let lock: toml::Table = include_str!("../../Cargo.lock").parse().unwrap();
    for package in lock["package"].as_array().unwrap() {
        if package["name"].as_str() != Some(env!("CARGO_PKG_NAME")) {
            assert_eq!(package.get("source").and_then(toml::Value::as_str), Some(CRATES_IO), "{package}");
            assert!(package.get("checksum").is_some(), "{package}");
        }
    }
}

#[test]
fn a_crate_is_there_in_two_versions_only_where_deny_toml_says_why() {
    let (policy, packages) = (policy(), packages());
    let mut versions: BTreeMap<&str, BTreeSet<Vec<u64>>> = BTreeMap::new();
    for package in &packages {
        let version = package["version"].as_str().unwrap().split(['+', '-']).next().unwrap();
        let numbers = version.split('.').map(|number| number.parse().unwrap()).collect();
        versions.entry(name(package)).or_default().insert(numbers);
    }
    let mut older = BTreeSet::new();
    for (name, versions) in &versions {
        for version in versions.iter().take(versions.len() - 1) {
            let version: Vec<String> = version.iter().map(u64::to_string).collect();
            older.insert(format!("{name}@{}", line(&version.join("."))));
        }
    }
    let excepted: BTreeSet<String> = crates(&policy, "skip").into_iter().map(str::to_owned).collect();
    let unsaid: Vec<_> = older.difference(&excepted).collect();
    let idle: Vec<_> = excepted.difference(&older).collect();
    assert!(
        unsaid.is_empty() && idle.is_empty(),
        "two versions, and no word why: {unsaid:?}; a word too many: {idle:?}"
    );
}

#[test]
fn we_ask_for_no_crate_in_whatever_version() {
    let packages = packages();
    let ours = packages.iter().find(|package| name(package) == env!("CARGO_PKG_NAME")).unwrap();
    let dependencies = ours["dependencies"].as_array().unwrap();
    assert!(dependencies.len() > 50);
    for dependency in dependencies {
        assert!(dependency["req"] != "*" && dependency["path"].is_null(), "{dependency}");
    }
}
