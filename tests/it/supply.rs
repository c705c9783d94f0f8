//! Dependencies and the image: enforces `deny.toml` without cargo-deny, which is not installed
//! everywhere (`.ci/audit` runs it and also checks advisories). The image contains the program and
//! nothing else.

mod image;
mod license;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

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

/// A crate that is built, here or for a test.
struct Package {
    name: String,
    version: String,
    license: String,
}

/// Every crate that is built on this machine. `cargo tree` tells what is; `cargo metadata` would add what could be.
fn packages() -> Vec<Package> {
    let format = ["--format", "{p}|{l}", "--prefix", "none", "--edges", "normal,build,dev"];
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["tree", "--offline", "--locked", "--all-features"])
        .args(format)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: BTreeSet<&str> = text.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    let packages: Vec<Package> = lines
        .into_iter()
        .filter_map(|line| line.split_once('|'))
        .map(|(package, license)| {
            let mut words = package.split_whitespace();
            let (name, version) = (words.next().unwrap(), words.next().unwrap().trim_start_matches('v'));
            Package { name: name.to_owned(), version: version.to_owned(), license: license.to_owned() }
        })
        .filter(|package| package.name != env!("CARGO_PKG_NAME"))
        .collect();
    assert!(packages.len() > 200);
    packages
}

/// The part of a version that another one of may be built beside it: `1` of 1.2.3, `0.4` of 0.4.5.
fn line(version: &[u64]) -> String {
    let significant = if version[0] == 0 { &version[..2] } else { &version[..1] };
    significant.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
}

#[test]
fn every_crate_has_a_license_that_is_allowed_and_is_not_banned() {
    let policy = policy();
    let (allowed, banned) = (texts(&policy, "licenses", "allow"), crates(&policy, "deny"));
    let mut wrong = Vec::new();
    for Package { name, license, .. } in packages() {
        if !is_allowed(&license, &allowed) {
            wrong.push(format!("{name}: licence {license}"));
        }
        if banned.contains(&name.as_str()) {
            wrong.push(format!("{name}: banned"));
        }
    }
    assert!(wrong.is_empty(), "deny.toml does not allow: {wrong:#?}");
}

#[test]
fn what_is_locked_is_from_crates_io_and_has_a_checksum() {
    assert_eq!(texts(&policy(), "sources", "allow-registry"), [CRATES_IO.trim_start_matches("registry+")]);
    let lock: toml::Table = include_str!("../../Cargo.lock").parse().unwrap();
    for package in lock["package"].as_array().unwrap() {
        if package["name"].as_str() != Some(env!("CARGO_PKG_NAME")) {
            assert_eq!(package.get("source").and_then(toml::Value::as_str), Some(CRATES_IO), "{package}");
            assert!(package.get("checksum").is_some(), "{package}");
        }
    }
}

#[test]
fn duplicate_crate_versions_need_a_reason_in_deny_toml() {
    let mut versions: BTreeMap<String, BTreeSet<Vec<u64>>> = BTreeMap::new();
    for Package { name, version, .. } in packages() {
        let version = version.split(['+', '-']).next().unwrap();
        let numbers = version.split('.').map(|number| number.parse().unwrap()).collect();
        versions.entry(name).or_default().insert(numbers);
    }
    let mut older = BTreeSet::new();
    for (name, versions) in &versions {
        for version in versions.iter().take(versions.len() - 1) {
            older.insert(format!("{name}@{}", line(version)));
        }
    }
    let excepted: BTreeSet<String> = crates(&policy(), "skip").into_iter().map(str::to_owned).collect();
    let unsaid: Vec<_> = older.difference(&excepted).collect();
    let idle: Vec<_> = excepted.difference(&older).collect();
    assert!(
        unsaid.is_empty() && idle.is_empty(),
        "two versions, and no word why: {unsaid:?}; a word too many: {idle:?}"
    );
}

#[test]
fn we_ask_for_no_crate_in_whatever_version_nor_from_elsewhere() {
    let manifest: toml::Table = include_str!("../../Cargo.toml").parse().unwrap();
    for kind in ["dependencies", "dev-dependencies"] {
        for (name, dependency) in manifest[kind].as_table().unwrap() {
            let version = dependency.as_str().or_else(|| dependency.get("version")?.as_str()).unwrap_or_default();
            assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{name}: {dependency}");
            assert!(["git", "path", "registry"].iter().all(|place| dependency.get(place).is_none()), "{name}");
        }
    }
}
