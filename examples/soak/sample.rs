//! What the daemon needs, looked at from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// One look.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    /// Seconds since the start.
    pub(crate) at: f64,
    /// Resident memory, the share of it that is the process's own, and what of that is no file, in KiB.
    pub(crate) rss: f64,
    pub(crate) pss: f64,
    pub(crate) anonymous: f64,
    pub(crate) descriptors: f64,
    pub(crate) threads: f64,
    /// CPU time of user and system, in seconds.
    pub(crate) cpu: f64,
    /// Size of the state directory in KiB.
    pub(crate) state: f64,
    /// Series of metrics.
    pub(crate) series: f64,
    pub(crate) polls: f64,
    pub(crate) failed: f64,
    pub(crate) generation: f64,
    pub(crate) connections: f64,
    pub(crate) queries: f64,
}

impl Sample {
    /// The columns of the table.
    pub(crate) const COLUMNS: &'static str = "seconds,rss_kib,pss_kib,anonymous_kib,descriptors,threads,cpu_seconds,\
                                              state_kib,series,polls,failed_polls,generation,tcp_connections,queries";

    pub(crate) fn row(&self) -> String {
        let Self { at, rss, pss, anonymous, descriptors, threads, cpu, .. } = self;
        let Self { state, series, polls, failed, generation, connections, queries, .. } = self;
        format!(
            "{at:.1},{rss},{pss},{anonymous},{descriptors},{threads},{cpu:.2},{state},{series},{polls},{failed},\
             {generation},{connections},{queries}"
        )
    }
}

/// Whoever looks, and what he remembers of the metrics.
pub(crate) struct Observer {
    client: reqwest::Client,
    url: String,
    series: BTreeMap<String, f64>,
    /// What must not be.
    pub(crate) complaints: BTreeSet<String>,
}

impl Observer {
    pub(crate) fn new(admin: SocketAddr) -> Self {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10));
        Self {
            client: client.build().expect("a client"),
            url: format!("http://{admin}/metrics"),
            series: BTreeMap::new(),
            complaints: BTreeSet::new(),
        }
    }

    /// The names of all series so far.
    pub(crate) fn series(&self) -> BTreeSet<String> {
        self.series.keys().cloned().collect()
    }

    /// Looks; nothing when the daemon does not answer.
    pub(crate) async fn look(&mut self, at: f64, process: u32, state: &Path) -> Option<Sample> {
        let text = self.client.get(&self.url).send().await.ok()?.text().await.ok()?;
        let now: BTreeMap<String, f64> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(name, value)| (name.to_owned(), value.parse().unwrap_or(f64::NAN)))
            .collect();
        for (name, before) in &self.series {
            let family = name.split('{').next().unwrap_or(name);
            let counts = ["_total", "_count", "_bucket", "_sum"].iter().any(|end| family.ends_with(end));
            match now.get(name) {
                Some(value) if counts && value < before => {
                    self.complaints.insert(format!("{name} fell from {before} to {value}"));
                }
                Some(_) => {}
                None => {
                    self.complaints.insert(format!("{name} is gone"));
                }
            }
        }
        let sum = |of: &str| -> f64 {
            let of = format!("privatelink_dns_{of}");
            now.iter().filter(|(name, _)| name.starts_with(&of)).map(|(_, value)| value).sum()
        };
        let failed = |name: &str| name.contains("poll_total") && name.contains("failure");
        let memory = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let sample = Sample {
            at,
            rss: field(&memory, "Rss:"),
            pss: field(&memory, "Pss:"),
            anonymous: field(&memory, "Anonymous:"),
            descriptors: fs::read_dir(format!("/proc/{process}/fd")).ok()?.count() as f64,
            threads: field(&status, "Threads:"),
            cpu: cpu(process),
            state: octets(state) / 1024.0,
            series: now.len() as f64,
            polls: sum("poll_total"),
            failed: now.iter().filter(|(name, _)| failed(name)).map(|(_, value)| value).sum(),
            generation: sum("generation"),
            connections: now.get("privatelink_dns_dns_tcp_connections").copied().unwrap_or_default(),
            queries: sum("dns_requests_total"),
        };
        self.series = now;
        Some(sample)
    }
}

/// The number behind a word.
fn field(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(f64::NAN)
}

/// Of all threads, also of those that are gone.
fn cpu(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: f64 = after.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum();
    // Linux tells hundredths of a second, whatever its own clock.
    ticks / 100.0
}

fn octets(directory: &Path) -> f64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len() as f64).sum()
}
