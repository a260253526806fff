//! A running daemon: its log, its listeners, its signals. Killed when dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use privatelink_dns::admin::status::{ApplicationStatus, RecordStatus, Status};
use privatelink_dns::wire::{Addresses, ask};
use privatelink_dns::zones::FindingKind;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::azure::Azure;
use super::{DEADLINE, eventually};

pub(crate) struct Daemon {
    child: Child,
    log: Log,
    reader: JoinHandle<()>,
    http: reqwest::Client,
    pub(crate) admin: SocketAddr,
    tls: Vec<SocketAddr>,
    https: Vec<SocketAddr>,
    /// Where it answers DNS, in the order of addresses.
    pub(crate) dns: Vec<SocketAddr>,
}

/// The log lines so far; told in full when a test fails.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn lines(&self) -> Vec<String> {
        self.0.lock().expect("nobody panicked").clone()
    }

    fn entries(&self) -> Vec<Value> {
        self.lines().iter().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.log.lines().join("\n"));
        }
    }
}

impl Daemon {
    /// Starts a command that becomes the daemon; returns when it listens.
    pub(crate) async fn start(mut command: Command) -> Self {
        let mut child = command.kill_on_drop(true).stderr(Stdio::piped()).spawn().expect("the daemon starts");
        let log = Log::default();
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let written = log.clone();
        let reader = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                written.0.lock().expect("nobody panicked").push(line);
            }
        });
        let started = eventually("the line `started`", async || {
            let lines = log.lines();
            let started = lines.iter().find(|line| line.contains("\"message\":\"started\""));
            started
                .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
                .ok_or_else(|| lines.join("\n"))
        })
        .await;
        let addresses = |key: &str| -> Vec<SocketAddr> {
            let text = started[key].as_str().expect("addresses").trim_matches(['[', ']']);
            text.split(", ").filter(|a| !a.is_empty()).map(|a| a.parse().expect("an address")).collect()
        };
        Self {
            dns: addresses("dns"),
            tls: addresses("tls"),
            https: addresses("https"),
            admin: started["admin"].as_str().expect("an address").parse().expect("an address"),
            http: reqwest::Client::builder().no_proxy().timeout(DEADLINE).build().expect("a client"),
            child,
            log,
            reader,
        }
    }

    pub(crate) fn dns(&self) -> SocketAddr {
        self.dns[0]
    }

    /// Where it answers DNS over TLS and over HTTPS.
    pub(crate) fn encrypted(&self) -> (SocketAddr, SocketAddr) {
        (self.tls[0], self.https[0])
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.id().cast_signed()).expect("a process id");
        kill_process(id, signal).expect("the daemon runs");
    }

    /// Ends it with a signal; gives its exit status and whole log.
    pub(crate) async fn end(mut self, signal: Signal) -> (ExitStatus, Vec<Value>) {
        self.signal(signal);
        let status = timeout(DEADLINE, self.child.wait()).await.expect("it ends").expect("a status");
        timeout(DEADLINE, &mut self.reader).await.expect("the log ends").expect("the log is read");
        (status, self.log.entries())
    }

    /// Ends it as a power cut would.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("it is killed");
    }

    pub(crate) fn log(&self) -> Vec<Value> {
        self.log.entries()
    }

    /// Status code and body.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let response = self.http.get(format!("http://{}{path}", self.admin)).send().await.expect("answered");
        (response.status().as_u16(), response.text().await.expect("a body"))
    }

    pub(crate) async fn post(&self, path: &str, token: Option<&str>, body: &str) -> (u16, String) {
        let mut request = self.http.post(format!("http://{}{path}", self.admin)).body(body.to_owned());
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = request.send().await.expect("answered");
        (response.status().as_u16(), response.text().await.expect("a body"))
    }

    pub(crate) async fn status(&self) -> Status {
        serde_json::from_str(&self.get("/api/v1/status").await.1).expect("a status")
    }

    pub(crate) async fn records(&self) -> Vec<RecordStatus> {
        serde_json::from_str(&self.get("/api/v1/records").await.1).expect("records")
    }

    /// The value of a metric, written with its labels; 0 when it is not there.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").await.1;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// Waits for a finding; gives its message.
    pub(crate) async fn finding(&self, kind: FindingKind) -> String {
        eventually(kind.code(), async || {
            let findings = self.status().await.findings;
            let found = findings.iter().find(|f| f.kind == kind).map(|f| f.message.clone());
            found.ok_or_else(|| format!("{findings:?}"))
        })
        .await
    }

    /// Waits until a finding is over.
    pub(crate) async fn no_finding(&self, kind: FindingKind) {
        eventually("a finding is over", async || {
            let findings = self.status().await.findings;
            if findings.iter().any(|f| f.kind == kind) { Err(format!("{findings:?}")) } else { Ok(()) }
        })
        .await;
    }

    /// Waits for so many polls of every application that began after now.
    pub(crate) async fn polled(&self, times: usize) {
        // The one that ends next may have begun before.
        for _ in 0..=times {
            let before = self.status().await.applications;
            eventually("a poll of every application", async || {
                let now = self.status().await.applications;
                let is_new = |(then, now): (&ApplicationStatus, &ApplicationStatus)| {
                    then.id == now.id && then.last_attempt < now.last_attempt
                };
                if before.iter().zip(&now).all(is_new) { Ok(()) } else { Err(format!("{now:?}")) }
            })
            .await;
        }
    }

    /// Waits until DNS shows exactly what Azure has, and nothing of what it had before.
    pub(crate) async fn shows(&self, azure: &Azure) {
        for (name, addresses) in azure.names() {
            self.answers(&name, &addresses).await;
        }
        // DNS is the first to know; the API follows at once.
        eventually("the same records in the API", async || {
            let mut shown = BTreeMap::<String, BTreeSet<Ipv4Addr>>::new();
            for record in self.records().await {
                let owner = record.owner.expect("an owner").to_string();
                shown.entry(owner).or_default().extend(record.addresses);
            }
            let mut expected = azure.names();
            expected.retain(|_, addresses| !addresses.is_empty());
            if shown == expected { Ok(()) } else { Err(format!("{shown:?}")) }
        })
        .await;
    }

    /// Waits until a name has these addresses and no other; without any, that it does not exist.
    pub(crate) async fn answers(&self, name: &str, addresses: &BTreeSet<Ipv4Addr>) {
        eventually(&format!("{name} {addresses:?}"), async || match self.ask(name).await {
            Some(answer) => {
                let right = match answer.code.to_string().as_str() {
                    "No Error" => !addresses.is_empty() && answer.addresses.iter().eq(addresses),
                    "Non-Existent Domain" => addresses.is_empty(),
                    _ => false,
                };
                if right { Ok(()) } else { Err(format!("{answer:?}")) }
            }
            None => Err("no answer".to_owned()),
        })
        .await;
    }

    /// Waits until a name is answered without a private address.
    pub(crate) async fn answers_nothing_private(&self, name: &str) {
        eventually(&format!("{name} is not ours"), async || match self.ask(name).await {
            Some(answer) if answer.addresses.iter().all(|address| !address.is_private()) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }

    /// Loads the configuration anew; returns when it is in force.
    pub(crate) async fn reload(&self) {
        let count = || self.log().iter().filter(|line| line["message"] == "configuration reloaded").count();
        let before = count();
        self.signal(Signal::HUP);
        eventually(
            "the reload",
            async || if count() > before { Ok(()) } else { Err(format!("{:?}", self.log())) },
        )
        .await;
    }

    /// Asks once.
    pub(crate) async fn ask(&self, name: &str) -> Option<Addresses> {
        let name = name.parse().expect("a name");
        ask(self.dns(), &name, Duration::from_secs(2)).await.ok()
    }
}
