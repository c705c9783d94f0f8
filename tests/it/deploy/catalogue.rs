//! The metrics that there are, with their labels: those of `docs/metrics.md`.

use std::collections::BTreeMap;

use super::files::read;
use super::promql::Names;

/// Prometheus's own.
const OF_PROMETHEUS: [(&str, &[&str]); 2] = [("up", &[]), ("ALERTS", &["alertname", "alertstate"])];
/// Labels that Prometheus gives to each series.
const OF_EACH: [&str; 2] = ["job", "instance"];

/// The labels of each series by its name.
pub struct Catalogue(BTreeMap<String, Vec<String>>);

impl Catalogue {
    pub fn load() -> Self {
        let mut series = BTreeMap::new();
        for line in read("docs/metrics.md").lines() {
            let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let [_, name, kind, labels] = cells[..] else { continue };
            // Their values stand there in the same way; that a metric has such a label is seen in a scrape.
            let labels: Vec<_> = labels.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            for name in name.split('`').skip(1).step_by(2) {
                let suffixes: &[&str] = match kind {
                    "histogram" => &["_bucket", "_sum", "_count"],
                    "gauge" | "counter" => &[""],
                    _ => panic!("docs/metrics.md: {name} is of the kind {kind}"),
                };
                for suffix in suffixes {
                    let own = (*suffix == "_bucket").then(|| "le".to_owned());
                    series.insert(format!("{name}{suffix}"), labels.iter().cloned().chain(own).collect());
                }
            }
        }
        assert!(series.len() > 30, "docs/metrics.md is understood: {series:#?}");
        for (name, labels) in OF_PROMETHEUS {
            series.insert(name.to_owned(), labels.iter().map(|label| (*label).to_owned()).collect());
        }
        Self(series)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What a query names that is not there.
    pub fn missing(&self, names: &Names, recorded: &[String]) -> Vec<String> {
        let mut missing = Vec::new();
        let mut known = OF_EACH.map(str::to_owned).to_vec();
        for selector in &names.selectors {
            if recorded.contains(&selector.metric) {
                continue;
            }
            let Some(labels) = self.0.get(&selector.metric) else {
                missing.push(selector.metric.clone());
                continue;
            };
            let is_there = |label: &String| labels.contains(label) || OF_EACH.contains(&label.as_str());
            let wrong = selector.labels.iter().filter(|label| !is_there(label));
            missing.extend(wrong.map(|label| format!("{}{{{label}}}", selector.metric)));
            known.extend(labels.iter().cloned());
        }
        missing
            .extend(names.grouping.iter().filter(|label| !known.contains(label)).map(|label| format!("by ({label})")));
        missing
    }
}
