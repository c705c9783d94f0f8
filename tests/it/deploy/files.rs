//! What is in `deploy/`.

use std::path::{Path, PathBuf};

use serde_json::Value;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn prometheus_folder() -> PathBuf {
    root().join("deploy/prometheus")
}

pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub fn dashboard() -> Value {
    serde_json::from_str(&read("deploy/grafana/dashboards/presign-gateway.json")).unwrap()
}

/// The dashboard's panels, without the rows between them.
pub fn panels(dashboard: &Value) -> Vec<&Value> {
    dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row").collect()
}

/// Queries of Prometheus, each with the panel that asks it.
pub fn dashboard_queries(dashboard: &Value) -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for panel in panels(dashboard) {
        for target in panel["targets"].as_array().unwrap() {
            if let Some(query) = target["expr"].as_str() {
                queries.push((panel["title"].as_str().unwrap().to_owned(), query.to_owned()));
            }
        }
    }
    queries
}

/// The queries by which the choices at the top are filled.
pub fn variable_queries(dashboard: &Value) -> Vec<String> {
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let queries = variables.iter().filter(|variable| variable["type"] == "query");
    queries.map(|variable| variable["query"]["query"].as_str().unwrap().to_owned()).collect()
}

/// A rule of `rules.yml`: what is recorded, or alerted.
#[derive(Debug, Default)]
pub struct Rule {
    pub record: Option<String>,
    pub alert: Option<String>,
    pub query: String,
    pub severity: String,
    pub runbook: String,
    pub summary: String,
}

/// The rules. (They are written in one way only, and promtool knows whether that is YAML.)
pub fn rules() -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut is_in_query = false;
    for line in read("deploy/prometheus/rules.yml").lines() {
        let depth = line.len() - line.trim_start().len();
        let line = line.trim();
        if let Some(name) = line.strip_prefix("- record: ") {
            rules.push(Rule { record: Some(name.to_owned()), ..Rule::default() });
        } else if let Some(name) = line.strip_prefix("- alert: ") {
            rules.push(Rule { alert: Some(name.to_owned()), ..Rule::default() });
        }
        let Some(rule) = rules.last_mut() else { continue };
        if is_in_query && depth >= 10 {
            rule.query.extend([line, "\n"]);
            continue;
        }
        is_in_query = line == "expr: |";
        match line.split_once(": ") {
            Some(("expr", query)) if !is_in_query => query.clone_into(&mut rule.query),
            Some(("severity", text)) => text.clone_into(&mut rule.severity),
            Some(("runbook_url", text)) => text.clone_into(&mut rule.runbook),
            Some(("summary", text)) => text.clone_into(&mut rule.summary),
            _ => {}
        }
    }
    assert!(rules.len() > 10 && rules.iter().all(|rule| !rule.query.is_empty()), "{rules:#?}");
    rules
}

/// The names that rules record.
pub fn recorded(rules: &[Rule]) -> Vec<String> {
    rules.iter().filter_map(|rule| rule.record.clone()).collect()
}
