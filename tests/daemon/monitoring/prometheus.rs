//! A Prometheus that scrapes one daemon, and looks at the alert rules, every second.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::tool;
use crate::recipes::a_port;
use crate::support::{DEADLINE, eventually};

/// The server; killed when dropped.
pub(super) struct Prometheus {
    address: String,
    directory: TempDir,
    http: reqwest::Client,
    _child: Child,
}

impl Prometheus {
    /// Starts it; returns when it answers.
    pub(super) async fn start(scraped: SocketAddr) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("prometheus.yml");
        let configuration = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: [{:?}]\n\
             scrape_configs:\n  - job_name: privatelink-dns\n    static_configs:\n      - targets: ['{scraped}']\n",
            super::file("alerts.yml")
        );
        fs::write(&file, configuration).expect("written");
        let log = fs::File::create(directory.path().join("log")).expect("a log");
        // It does not tell a port that it chose itself.
        let address = format!("127.0.0.1:{}", a_port());
        let child = Command::new(tool("prometheus"))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("prometheus starts");
        let http = reqwest::Client::builder().no_proxy().timeout(DEADLINE).build().expect("a client");
        let server = Self { address, directory, http, _child: child };
        eventually("prometheus is ready", async || {
            let ready = server.http.get(format!("http://{}/-/ready", server.address)).send().await;
            if ready.is_ok_and(|ready| ready.status().is_success()) { Ok(()) } else { Err(server.log()) }
        })
        .await;
        server
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// How many series a query has now; an error when Prometheus does not take it.
    pub(super) async fn series(&self, query: &str) -> Result<usize, String> {
        let request = self.http.post(format!("http://{}/api/v1/query", self.address));
        let answer = request.form(&[("query", query)]).send().await.expect("answered");
        let answer: Value = answer.json().await.expect("JSON");
        match answer["data"]["result"].as_array() {
            Some(series) => Ok(series.len()),
            None => Err(answer.to_string()),
        }
    }

    /// The names of alerts that fire, or will when they last; an error until every rule was looked at.
    pub(super) async fn alerts(&self) -> Result<BTreeSet<String>, String> {
        let request = self.http.get(format!("http://{}/api/v1/rules", self.address));
        let answer: Value = request.send().await.expect("answered").json().await.expect("JSON");
        let groups = answer["data"]["groups"].as_array().expect("groups");
        let rules: Vec<&Value> =
            groups.iter().flat_map(|group| group["rules"].as_array().expect("rules")).collect();
        if let Some(rule) = rules.iter().find(|rule| rule["health"] != "ok") {
            return Err(rule.to_string());
        }
        let active = rules.iter().filter(|rule| rule["state"] != "inactive");
        Ok(active.map(|rule| rule["name"].as_str().expect("a name").to_owned()).collect())
    }
}
