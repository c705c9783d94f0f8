//! A real Prometheus, with our rules, that scrapes a gateway of a test.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::files::{prometheus_folder, read};

/// Whether Debian's package `prometheus` is there, which `.ci/run` installs; says so if not.
pub fn is_installed() -> bool {
    let answers = |program: &str| {
        let started = std::process::Command::new(program).arg("--version").stdout(Stdio::null()).status();
        started.is_ok_and(|status| status.success())
    };
    let is_installed = answers("promtool") && answers("prometheus");
    if !is_installed {
        #[expect(clippy::print_stderr, reason = "somebody should know what was not checked")]
        {
            eprintln!("not checked for want of Prometheus (Debian: apt-get install prometheus): rules and queries");
        }
    }
    is_installed
}

/// A running Prometheus; ends when it is dropped, or with the test's thread.
pub struct Prometheus {
    url: String,
    client: reqwest::Client,
    _child: Child,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes the gateway with this operators' URL, by the settings of `deploy/`, but more often.
    pub async fn start(ops_url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = read("deploy/prometheus/prometheus.yml")
            .replace("gateway:3001", ops_url.strip_prefix("http://").unwrap())
            .replace(": 10s", ": 500ms")
            .replace(": 5s", ": 500ms");
        assert!(settings.contains("500ms") && !settings.contains("gateway:3001"), "{settings}");
        std::fs::write(folder.path().join("prometheus.yml"), settings).unwrap();
        std::fs::copy(prometheus_folder().join("rules.yml"), folder.path().join("rules.yml")).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "prometheus", "--web.listen-address=127.0.0.1:0"]);
        command.arg("--config.file=prometheus.yml").arg("--storage.tsdb.path=data").current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = String::new();
        let address = loop {
            let line = lines.next_line().await.unwrap().unwrap_or_else(|| panic!("Prometheus ended: {log}"));
            log.extend([line.as_str(), "\n"]);
            if line.contains("\"Listening on\"") {
                let (_, address) = line.split_once(" address=").unwrap();
                break address.split(' ').next().unwrap().to_owned();
            }
        };
        // The pipe must be emptied, or the server would wait for us.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { url: format!("http://{address}"), client, _child: child, _folder: folder }
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, String> {
        let mut url: url::Url = format!("{}{path}", self.url).parse().unwrap();
        url.query_pairs_mut().extend_pairs(query);
        let answer = self.client.get(url).send().await.map_err(|error| error.to_string())?;
        let body: Value = answer.json().await.map_err(|error| error.to_string())?;
        if body["status"] == "success" { Ok(body["data"].clone()) } else { Err(body["error"].to_string()) }
    }

    /// What a query gives now: one value for each series.
    ///
    /// # Errors
    /// What Prometheus says is wrong with it.
    pub async fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let data = self.get("/api/v1/query", &[("query", query)]).await?;
        Ok(data["result"].as_array().cloned().unwrap_or_default())
    }

    /// The same where it must be right, as a number; none where there is no series.
    pub async fn number(&self, query: &str) -> Option<f64> {
        let found = self.query(query).await.unwrap();
        found.first().map(|series| series["value"][1].as_str().unwrap().parse().unwrap())
    }

    /// The state of each alert; all rules must have gone well.
    pub async fn alert_states(&self) -> BTreeMap<String, String> {
        let data = self.get("/api/v1/rules", &[]).await.unwrap();
        let groups = data["groups"].as_array().unwrap();
        let mut states = BTreeMap::new();
        for rule in groups.iter().flat_map(|group| group["rules"].as_array().unwrap()) {
            assert!(["ok", "unknown"].contains(&rule["health"].as_str().unwrap()), "{rule}");
            if let Some(state) = rule["state"].as_str() {
                states.insert(rule["name"].as_str().unwrap().to_owned(), state.to_owned());
            }
        }
        states
    }
}
