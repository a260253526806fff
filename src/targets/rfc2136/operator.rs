//! What an operator asks for: a plan, its application, and the end of a target.
//!
//! These work beside the daemon, with the ledger on the disk and its lock: what the daemon writes is
//! written by nobody else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest;

use super::file::{FileError, LedgerFile};
use super::ledger::{Ledger, Reach};
use super::plan::{Desired, list};
use super::push::{PushError, Report};
use super::session::Session;
use super::talk::Peer;
use super::{ANY, Pusher, create};
use crate::config::{Rfc2136, ServerMode, Target, TargetKind};
use crate::targets::error::TargetError;
use crate::targets::{Surroundings, UnknownKey};
use crate::zones::{DnsName, Generation};

/// Octets of a plan's hash, of which twice as many digits are written.
const HASH: usize = 8;

/// What would be done at a target.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Planned {
    /// Stands for the plan, to have exactly that applied.
    pub hash: String,
    /// What would be sent, adopted and left alone, a line each.
    pub lines: Vec<String>,
    /// Whether something would be sent or adopted.
    pub changes: bool,
    /// Zones that the server does not have, with how to make them.
    pub missing: Vec<String>,
    /// A records in zones of Azure's names that nobody here wrote or wants, or why they could not be
    /// listed. They are left alone.
    pub unaccounted: Vec<String>,
}

/// What was asked for could not be done.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// There is no such target, or it is none with a ledger.
    #[error("{0:?} is no target of type \"rfc2136\" in the configuration")]
    NoTarget(String),
    /// It has no key.
    #[error(transparent)]
    Key(#[from] UnknownKey),
    /// Nothing is known of such a target.
    #[error("there is no {0}: nothing was written to a target of this name, or it is retired already")]
    NoLedger(String),
    /// It is still wanted.
    #[error("the target {0:?} is still in the configuration; take it out and reload the daemon first")]
    Configured(String),
    /// Some records are left.
    #[error(
        "{left} records are left ({names}): {reason}. The ledger stays; try again, or remove {ledger} when the server \
         is gone for good"
    )]
    Left {
        /// How many.
        left: usize,
        /// The first of their names.
        names: String,
        /// Why.
        reason: &'static str,
        /// The ledger.
        ledger: String,
    },
    /// A server or the ledger failed.
    #[error("{0}")]
    Failed(String),
}

impl From<TargetError> for OperatorError {
    fn from(error: TargetError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<FileError> for OperatorError {
    fn from(error: FileError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// A target that an operator looks at or writes.
pub struct Apply {
    name: String,
    pusher: Pusher,
}

impl Apply {
    /// The target of this name.
    ///
    /// # Errors
    /// When there is none, or its key is missing.
    pub fn new(targets: &[Target], name: &str, around: &Surroundings) -> Result<Self, OperatorError> {
        let target = targets.iter().find(|target| target.name == name);
        let Some(TargetKind::Rfc2136(settings)) = target.map(|target| &target.kind) else {
            return Err(OperatorError::NoTarget(name.to_owned()));
        };
        let key = around.key(name, settings.key.as_ref())?;
        let pusher = Pusher::new(name, settings.clone(), key, &around.state, None);
        Ok(Self { name: name.to_owned(), pusher })
    }

    /// What would be done to bring the target to a generation. Changes nothing.
    ///
    /// # Errors
    /// When a server does not tell what it holds.
    pub async fn plan(&mut self, generation: &Generation) -> Result<Planned, OperatorError> {
        let desired = Desired::from(generation);
        let reports = self.pusher.run(&self.name, &desired, true, None).await?;
        let (lines, hash) = self.summarize(&reports);
        let changes = reports.iter().any(|(_, report)| !report.plan.is_empty());
        let key = self.pusher.settings.key.clone();
        let missing = self.pusher.known.values().flat_map(|known| &known.missing);
        let missing = missing
            .map(|(zone, names)| {
                format!("{zone} with {names} names is not there. {}", create(zone, key.as_ref()))
            })
            .collect();
        let unaccounted = self.unaccounted(&desired).await;
        Ok(Planned { hash, lines, changes, missing, unaccounted })
    }

    /// Does what a plan says, if it is still the same; tells what was done.
    ///
    /// # Errors
    /// When the plan is another by now, the daemon writes the target by itself, or a server fails.
    pub async fn apply(&mut self, generation: &Generation, hash: &str) -> Result<String, OperatorError> {
        // Nobody else writes from here on.
        self.pusher.ledger(false).await?;
        let desired = Desired::from(generation);
        let reports = self.pusher.run(&self.name, &desired, true, None).await?;
        if self.summarize(&reports).1 != hash {
            return Err(OperatorError::Failed(PushError::Moved.to_string()));
        }
        let approved = reports.into_iter().collect();
        let reports = self.pusher.run(&self.name, &desired, false, Some(&approved)).await?;
        let sum = |of: fn(&Report) -> usize| reports.iter().map(|(_, report)| of(report)).sum::<usize>();
        let (added, removed, adopted) = (sum(|r| r.added), sum(|r| r.removed), sum(|r| r.adopted));
        Ok(format!("{added} records added, {removed} removed, {adopted} adopted"))
    }

    /// All lines with their hash.
    fn summarize(&self, reports: &[(String, Report)]) -> (Vec<String>, String) {
        let mut lines = Vec::new();
        for (book, report) in reports {
            let at = if book == ANY { String::new() } else { format!(" at {book}") };
            lines.extend(report.plan.lines().into_iter().map(|line| line + &at));
        }
        let text = format!("{}\n{}", self.name, lines.join("\n"));
        let digest = digest::digest(&digest::SHA256, text.as_bytes());
        let mut hash = String::new();
        for octet in digest.as_ref().iter().take(HASH) {
            // Writing to a text does not fail.
            let _ = write!(hash, "{octet:02x}");
        }
        (lines, hash)
    }

    /// A records of zones of Azure's names that are neither ours nor desired.
    async fn unaccounted(&mut self, desired: &Desired) -> Vec<String> {
        let mut lines = Vec::new();
        for (book, servers) in self.pusher.books() {
            let Some(zones) = self.pusher.known.get(&book).and_then(|known| known.zones.clone()) else {
                continue;
            };
            let ours: BTreeSet<DnsName> = match self.pusher.ledger(true).await {
                Ok(ledger) => {
                    let ledger = ledger.lock().await;
                    let book = ledger.books.get(&book);
                    book.into_iter().flat_map(|book| book.names().map(|(owner, _)| owner.clone())).collect()
                }
                Err(error) => return vec![error.to_string()],
            };
            let of_azure = |zone: &&DnsName| {
                desired.origins.contains_key(*zone) && zone.labels().next() == Some("privatelink")
            };
            for zone in zones.hosted.zones.iter().filter(of_azure) {
                let Some(server) = servers.first() else { continue };
                let listed = match Session::open(self.peer(*server)).await {
                    Ok(mut session) => session.list(&zones, zone).await,
                    Err(error) => Err(error.to_string()),
                };
                match listed {
                    Ok(records) => lines.extend(records.iter().filter_map(|(owner, addresses)| {
                        let name = owner.parse::<DnsName>().ok();
                        let is_known = name
                            .is_some_and(|name| ours.contains(&name) || desired.names.contains_key(&name));
                        (!is_known).then(|| format!("{owner} A {}", list(addresses)))
                    })),
                    Err(error) => lines.push(format!(
                        "{zone} could not be listed: {error}; to see what else is in it, allow its transfer"
                    )),
                }
            }
        }
        lines
    }

    fn peer(&self, address: SocketAddr) -> Peer {
        Peer { address, key: self.pusher.key.clone(), kerberos: None, udp: false }
    }
}

/// Removes the records of a target that is configured no more, and its ledger; tells how many.
///
/// # Errors
/// When it is still configured, nothing is known of it, or a server fails or keeps records.
pub async fn retire(targets: &[Target], name: &str, around: &Surroundings) -> Result<String, OperatorError> {
    if targets.iter().any(|target| target.name == name) {
        return Err(OperatorError::Configured(name.to_owned()));
    }
    let mut file = LedgerFile::new(&around.state, name);
    let no_ledger = || OperatorError::NoLedger(file.path().display().to_string());
    let Ledger { reach, books, .. } = file.read()?.ok_or_else(no_ledger)?;
    file.lock()?;
    let before: usize = books.values().map(super::ledger::Book::len).sum();
    // Servers that were taken out of the configuration earlier, too.
    let mut parts = BTreeMap::<bool, Vec<SocketAddr>>::new();
    for book in books.keys() {
        match book.parse() {
            Ok(server) => parts.entry(true).or_default().push(server),
            Err(_) => parts.entry(false).or_default().extend(&reach.servers),
        }
    }
    drop(file);
    for (all, servers) in parts {
        let key = around.key(name, reach.key.as_ref())?;
        let settings = settings(&reach, all, servers);
        let mut pusher = Pusher::new(name, settings, key, &around.state, None);
        pusher.run(name, &Desired::default(), false, None).await?;
    }
    let mut file = LedgerFile::new(&around.state, name);
    file.lock()?;
    let left = file.read()?;
    let names: Vec<String> = left
        .iter()
        .flat_map(|ledger| ledger.books.values())
        .flat_map(|book| book.names().map(|(owner, _)| owner.to_string()))
        .collect();
    if let Some(ledger) = left.filter(|ledger| ledger.len() > 0) {
        return Err(OperatorError::Left {
            left: ledger.len(),
            names: super::some(names.iter().cloned(), names.len(), ", "),
            reason: "the server does not have their zones, somebody made them an alias, or a message may be under way \
                     for five minutes",
            ledger: file.path().display().to_string(),
        });
    }
    file.remove()?;
    Ok(format!("{before} records removed; {name} is retired"))
}

fn settings(reach: &Reach, all: bool, servers: Vec<SocketAddr>) -> Rfc2136 {
    Rfc2136 {
        servers,
        mode: if all { ServerMode::All } else { ServerMode::Failover },
        udp: reach.udp,
        key: reach.key.clone(),
        kerberos: reach.kerberos.clone().map(Into::into),
        zones: Vec::new(),
        take_over: false,
        check_interval: Duration::from_secs(300),
        find_primary: reach.find_primary,
        refresh: None,
    }
}

/// Targets that have a ledger in a state directory.
///
/// # Errors
/// When the directory cannot be read.
pub fn ledgers(state: &Path) -> std::io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(state)? {
        let name = entry?.file_name();
        let name = name.to_str().and_then(|name| name.strip_prefix("ledger-")?.strip_suffix(".json"));
        names.extend(name.map(str::to_owned));
    }
    Ok(names)
}
