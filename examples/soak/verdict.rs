//! What is judged at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::azure::Azure;
use crate::sample::Sample;
use crate::servers::{KEY, SECRET, Site};

/// A name and an address of it.
type Records = BTreeSet<(String, Ipv4Addr)>;

/// Growth from the end of the first fifth to the end that is no trend: so many KiB, or this share.
const MEMORY: f64 = 1024.0;
const SHARE: f64 = 0.05;

/// The same of descriptors and threads, which come and go with connections.
const HANDLES: f64 = 4.0;

/// Findings of severity error that the faults cause.
const EXPECTED: [&str; 8] = [
    "poll-failed",
    "stale",
    "discovery-failed",
    "target-failing",
    "secondary-lagging",
    "reload-refused",
    "endpoint-failed",
    "no-approved-endpoint",
];

/// Where what is published differs from Azure; nothing when all agree.
pub(crate) async fn differences(azure: &Azure, site: &Site) -> Vec<String> {
    let truth = azure.truth();
    let private: Records = truth.iter().filter_map(|r| Some((r.privatelink.clone()?, r.address))).collect();
    // Applications ask the hosts file for either.
    let public = truth.iter().map(|r| (r.fqdn.clone(), r.address));
    let hosts_file: Records = public.chain(private.iter().cloned()).collect();
    let mut differences = Vec::new();
    let mut compare = |who: &str, expected: &Records, found: Records| {
        if found != *expected {
            let missing: Vec<_> = expected.difference(&found).take(3).collect();
            let surplus: Vec<_> = found.difference(expected).take(3).collect();
            differences.push(format!(
                "{who}: {} of {} records; missing {missing:?}; too many {surplus:?}",
                found.len(),
                expected.len()
            ));
        }
    };
    for (who, at) in
        [("the daemon", site.addresses.dns), ("BIND", site.addresses.bind), ("Knot", site.addresses.knot)]
    {
        let mut found = Records::new();
        for zone in azure.zones() {
            found.extend(transfer(at, &zone).await);
        }
        // BIND's own name server.
        found.retain(|(name, _)| !name.starts_with("ns1."));
        compare(who, &private, found);
    }
    compare("the hosts file", &hosts_file, hosts(&site.directory.join("hosts")));
    differences
}

/// The addresses of a zone.
async fn transfer(server: SocketAddr, zone: &str) -> Records {
    let output = Command::new("dig")
        .args(["+noall", "+answer", "+time=10", "+tries=1", "-y", &format!("hmac-sha256:{KEY}:{SECRET}")])
        .args(["-p", &server.port().to_string(), &format!("@{}", server.ip()), zone, "AXFR"])
        .stdin(Stdio::null())
        .output()
        .await
        .expect("dig is installed by scripts/test");
    let record = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [name, _, "IN", "A", address] => {
            Some((name.trim_end_matches('.').to_ascii_lowercase(), address.parse().ok()?))
        }
        _ => None,
    };
    String::from_utf8_lossy(&output.stdout).lines().filter_map(record).collect()
}

fn hosts(file: &Path) -> Records {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut records = Records::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse::<Ipv4Addr>().ok()) else { continue };
        if !address.is_loopback() {
            records.extend(words.map(|name| (name.to_owned(), address)));
        }
    }
    records
}

/// What the log holds: lines by level, and errors that no fault explains.
pub(crate) fn log(file: &Path) -> (BTreeMap<String, usize>, Vec<String>) {
    let (mut levels, mut unexpected) = (BTreeMap::new(), Vec::new());
    let octets = fs::read(file).unwrap_or_default();
    for line in String::from_utf8_lossy(&octets).lines() {
        let Ok(value) = serde_json::from_str::<Value>(line) else {
            // A panic, or what a library prints.
            unexpected.push(line.to_owned());
            continue;
        };
        let level = value["level"].as_str().unwrap_or("none").to_owned();
        let finding = value["finding"].as_str().unwrap_or_default();
        let wrong = value["message"].as_str().is_some_and(|message| {
            message.starts_with("the reload is refused") && message.contains("tcp_idle_timeout")
        });
        if level == "ERROR" && !wrong && !EXPECTED.contains(&finding) {
            unexpected.push(line.to_owned());
        }
        *levels.entry(level).or_default() += 1;
    }
    (levels, unexpected)
}

/// How a quantity went after the first fifth.
pub(crate) struct Trend {
    /// Median of the second and the last fifth, and the greatest values in both.
    medians: [f64; 2],
    greatest: [f64; 2],
    /// Theil and Sen's slope, times the time between.
    growth: f64,
    tolerance: f64,
}

impl Trend {
    /// Of memory in KiB.
    pub(crate) fn memory(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> Self {
        let mut trend = Self::of(samples, of);
        trend.tolerance = MEMORY.max(SHARE * trend.medians[0]);
        trend
    }

    /// Of a number of things.
    pub(crate) fn handles(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> Self {
        Self { tolerance: HANDLES, ..Self::of(samples, of) }
    }

    fn of(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> Self {
        let fifth = samples.len() / 5;
        let points: Vec<(f64, f64)> = samples.iter().map(|sample| (sample.at, of(sample))).collect();
        let part = |range: &[(f64, f64)]| range.iter().map(|point| point.1).collect::<Vec<_>>();
        let [second, last] = [part(&points[fifth..2 * fifth]), part(&points[4 * fifth..])];
        let after = &points[fifth..];
        // 600 points make 180,000 slopes.
        let thin: Vec<_> = after.iter().step_by(after.len().div_ceil(600)).collect();
        let slopes = thin
            .iter()
            .enumerate()
            .flat_map(|(i, a)| thin[i + 1..].iter().map(|b| (b.1 - a.1) / (b.0 - a.0)).collect::<Vec<_>>());
        let span = after.last().map_or(0.0, |last| last.0 - after[0].0);
        let greatest = |values: &[f64]| values.iter().copied().fold(f64::MIN, f64::max);
        Self {
            greatest: [greatest(&second), greatest(&last)],
            growth: median(slopes.collect()) * span,
            medians: [median(second), median(last)],
            tolerance: 0.0,
        }
    }

    /// Whether it does not grow: neither by its slope, nor from the one fifth to the other.
    pub(crate) fn is_flat(&self) -> bool {
        self.growth <= self.tolerance && self.medians[1] - self.medians[0] <= self.tolerance
    }

    pub(crate) fn tell(&self) -> String {
        format!(
            "median {:.0} → {:.0}, greatest {:.0} → {:.0} (second and last fifth), slope over the last four fifths \
             {:+.1}, tolerance {:.0}",
            self.medians[0], self.medians[1], self.greatest[0], self.greatest[1], self.growth, self.tolerance
        )
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
