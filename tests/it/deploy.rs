//! The files of `deploy/` match a real gateway: the dashboard, rules and runbooks name only what
//! exists.

mod catalogue;
mod files;
mod live;
mod promql;
mod server;

use std::collections::BTreeSet;
use std::process::Command;

use self::catalogue::Catalogue;
use self::files::{
    dashboard, dashboard_queries, panels, prometheus_folder, read, recorded, root, rules, variable_queries,
};

const RUNBOOKS: &str = "## 11. Runbooks of the alerts";

/// The part of the operators' manual that has a runbook for each alert.
fn runbooks() -> String {
    let manual = read("docs/operating.md");
    manual.split_once(RUNBOOKS).unwrap().1.to_owned()
}

#[test]
fn dashboard_and_rules_name_only_what_there_is() {
    let (catalogue, rules, dashboard) = (Catalogue::load(), rules(), dashboard());
    let recorded = recorded(&rules);
    let own = rules.iter().map(|rule| (format!("{:?}{:?}", rule.record, rule.alert), rule.query.clone()));
    let shown = dashboard_queries(&dashboard).into_iter().chain(own);
    let mut wrong = Vec::new();
    for (place, query) in shown {
        let names = promql::names(&query);
        assert!(!names.selectors.is_empty(), "{place} asks for nothing: {query}");
        wrong.extend(catalogue.missing(&names, &recorded).into_iter().map(|name| format!("{place}: {name}")));
    }
    for query in variable_queries(&dashboard) {
        let inner = query.strip_prefix("label_values(").unwrap().strip_suffix(')').unwrap();
        let (selector, label) = inner.rsplit_once(", ").unwrap();
        let mut names = promql::names(selector);
        names.grouping.push(label.to_owned());
        wrong.extend(catalogue.missing(&names, &recorded));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_manual_names_only_metrics_that_there_are() {
    let catalogue = Catalogue::load();
    let manual = read("docs/operating.md");
    let known: Vec<_> = catalogue.names().collect();
    let mut found = 0;
    for words in manual.split('`').skip(1).step_by(2) {
        let name: String = words.chars().take_while(|next| next.is_ascii_alphanumeric() || *next == '_').collect();
        let is_ours = ["presign_gateway_", "otel_sdk_", "http_server_", "db_client_", "up{"];
        if is_ours.iter().any(|beginning| words.starts_with(beginning)) {
            found += 1;
            assert!(known.contains(&name.as_str()), "docs/operating.md: {name}");
        }
    }
    assert!(found > 1, "the manual names metrics");
}

#[test]
fn every_panel_has_a_description_and_its_own_position() {
    let dashboard = dashboard();
    let (mut ids, mut titles, mut places) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is there twice");
        assert!(titles.insert(title), "{title}: the title is there twice");
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(x < 24 && places.insert((x, y)), "{title} lies on another panel, or outside");
            }
        }
    }
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().unwrap();
        assert!(panel["description"].as_str().is_some_and(|text| text.len() > 40), "{title}: say what to look for");
        let kind = panel["datasource"]["type"].as_str().unwrap();
        let variable = if kind == "tempo" { "${traces}" } else { "${datasource}" };
        assert_eq!(panel["datasource"]["uid"], variable, "{title}");
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"], panel["datasource"], "{title}");
        }
        if kind == "prometheus" && panel["type"] != "heatmap" {
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has no unit");
        }
    }
}

#[test]
fn every_alert_has_its_runbook_its_words_and_its_cases() {
    let (runbooks, cases) = (runbooks(), read("deploy/prometheus/rules_test.yml"));
    let mut headings: BTreeSet<_> = runbooks.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    for rule in rules() {
        let Some(alert) = rule.alert else { continue };
        assert!(headings.remove(alert.as_str()), "{alert} has no runbook");
        assert_eq!(rule.runbook, format!("docs/operating.md#{}", alert.to_lowercase()));
        assert!(["page", "ticket"].contains(&rule.severity.as_str()), "{alert}");
        let (_, runbook) = runbooks.split_once(&format!("### {alert}\n\n*")).unwrap();
        assert!(runbook.to_lowercase().starts_with(&format!("{}.*", rule.severity)), "{alert}: how urgent is it?");
        assert!(!rule.summary.is_empty(), "{alert}");
        for case in ["fires", "is silent"] {
            assert!(cases.contains(&format!("name: '{alert} {case}: ")), "no case where {alert} {case}");
        }
    }
    assert!(headings.is_empty(), "runbooks of no alert: {headings:?}");
}

#[test]
fn the_runbooks_name_panels_that_there_are() {
    let (dashboard, runbooks) = (dashboard(), runbooks());
    let titles: Vec<_> = panels(&dashboard).iter().map(|panel| panel["title"].as_str().unwrap()).collect();
    // Code has quotes of its own.
    let prose =
        runbooks.split("```").step_by(2).flat_map(|text| text.split('`').step_by(2)).collect::<Vec<_>>().join("");
    let mut found = 0;
    for quoted in prose.split('"').skip(1).step_by(2) {
        if quoted.starts_with(char::is_uppercase) || quoted.starts_with("p5") || quoted.starts_with("p9") {
            found += 1;
            assert!(titles.contains(&quoted), "no panel is called {quoted:?}");
        }
    }
    assert!(found > 15, "the runbooks name panels");
    for panel in panels(&dashboard) {
        let description = panel["description"].as_str().unwrap();
        for (_, rest) in description
            .match_indices("unbook Presign")
            .map(|(at, word)| (at, &description[at + word.len() - "Presign".len()..]))
        {
            let name: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
            assert!(runbooks.contains(&format!("### {name}\n")), "{}: no runbook {name}", panel["title"]);
        }
    }
}

#[test]
fn what_compose_mounts_is_there_and_all_of_it_is_on_loopback() {
    let compose = read("docker-compose.yml");
    let mut mounted = 0;
    for line in compose.lines().map(str::trim) {
        if let Some((path, _)) = line.strip_prefix("- ./").and_then(|mount| mount.split_once(':')) {
            mounted += 1;
            assert!(root().join(path).exists(), "{path}");
        }
        if let Some(image) = line.strip_prefix("image: ") {
            assert!(image.split_once(':').is_some_and(|(_, version)| version != "latest"), "{image}: which version?");
        }
    }
    assert!(mounted > 5, "files are mounted");
    for ports in compose.split("    ports:\n").skip(1) {
        let lines = ports.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        for port in lines.take_while(|line| line.starts_with("- ")) {
            assert!(port.starts_with("- 127.0.0.1:"), "{port}");
        }
    }
}

#[test]
fn promtool_finds_nothing_wrong() {
    if !server::is_installed() {
        return;
    }
    let commands: [&[&str]; 3] = [
        &["check", "config", "prometheus.yml"],
        &["check", "rules", "rules.yml"],
        &["test", "rules", "rules_test.yml"],
    ];
    for arguments in commands {
        let output = Command::new("promtool").args(arguments).current_dir(prometheus_folder()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
    }
}
