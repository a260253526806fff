//! Servers that stay primary: records written by UPDATE (RFC 2136), beside those of others.
//!
//! What is ours stands in a ledger here, not on the server: a TXT record beside each name would be one
//! more thing that others see, change and lose, and Windows does not sign its replies about TXT rightly.
//! Everything else follows from the ledger and from what the server holds: a pure plan, carried out in
//! messages that fail when somebody else has written meanwhile.
//!
//! What a reply leaves open is asked of the server. Nothing is assumed, and nothing is sent again blindly.

mod entries;
mod file;
#[cfg(any(test, fuzzing))]
pub(in crate::targets) mod fuzzing;
mod kerberos;
mod ledger;
mod metrics;
mod operator;
mod plan;
mod push;
mod send;
mod session;
mod talk;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::mem;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Mutex;

pub use entries::LedgerEntry;
pub(crate) use entries::entries;
pub(super) use metrics::{PushCounters, PushMetrics};
pub use operator::{Apply, OperatorError, Planned, ledgers, retire};
pub(super) use push::PushError;

use super::error::TargetError;
use super::writer::{Applied, Job, Notes, blocking};
use crate::config::{Rfc2136, ServerMode};
use crate::wire::tsig::Key;
use crate::zones::{DnsName, FindingKind};
use file::LedgerFile;
use ledger::{Ledger, Reach};
use plan::Desired;
use push::{Known, Report, Work};

/// The book of servers that all hold the same.
const ANY: &str = "any";

/// How often a server is looked at that lacks zones.
const SOON: Duration = Duration::from_secs(60);

/// Conflicts, zones and records that are named in a finding; more are counted.
const NAMED: usize = 5;

/// Keeps records at servers in step.
pub(super) struct Pusher {
    settings: Rfc2136,
    key: Option<Arc<Key>>,
    file: LedgerFile,
    /// Read once it is locked.
    ledger: Option<Arc<Mutex<Ledger>>>,
    known: BTreeMap<String, Known>,
    counters: Option<PushCounters>,
}

impl PushError {
    /// Whether another server of several that hold the same may do.
    fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Session(_) | Self::Unknown { .. })
    }
}

impl Pusher {
    pub(super) fn new(
        name: &str,
        settings: Rfc2136,
        key: Option<Arc<Key>>,
        state: &Path,
        counters: Option<PushCounters>,
    ) -> Self {
        let file = LedgerFile::new(state, name);
        Self { settings, key, file, ledger: None, known: BTreeMap::new(), counters }
    }

    /// The servers of each book.
    fn books(&self) -> Vec<(String, Vec<SocketAddr>)> {
        let servers = &self.settings.servers;
        match self.settings.mode {
            ServerMode::All => servers.iter().map(|server| (server.to_string(), vec![*server])).collect(),
            ServerMode::Failover => vec![(ANY.to_owned(), servers.clone())],
        }
    }

    /// The ledger: one's own while the target is written, else as it is on the disk now.
    async fn ledger(&mut self, dry_run: bool) -> Result<Arc<Mutex<Ledger>>, TargetError> {
        if let Some(ledger) = self.ledger.as_ref().filter(|_| !dry_run) {
            return Ok(ledger.clone());
        }
        let (mut file, reach) = (self.file.clone(), Reach::from(&self.settings));
        let opened = blocking(move || {
            let open = || {
                if dry_run {
                    return Ok((file.read()?.unwrap_or_else(|| Ledger::new(reach)), file));
                }
                file.lock()?;
                Ok((file.open(&reach)?, file))
            };
            Ok(open().map_err(|error: file::FileError| PushError::from(error))?)
        });
        let (ledger, file) = opened.await?;
        let ledger = Arc::new(Mutex::new(ledger));
        if !dry_run {
            (self.file, self.ledger) = (file, Some(ledger.clone()));
        }
        Ok(ledger)
    }

    /// Brings all servers up to date.
    pub(super) async fn apply(&mut self, job: &Job) -> Result<Applied, TargetError> {
        let desired = Desired::from(&*job.generation);
        let run = self.run(&job.name, &desired, job.dry_run, None);
        // The ledger knows what is under way, as after a crash.
        let stopped = job.stop.clone();
        let reports = tokio::select! {
            reports = run => reports?,
            () = stopped.cancelled() => return Err(PushError::Stopped.into()),
        };
        let mut applied = Applied { records: 0, written: Vec::new() };
        let mut messages = 0;
        for (book, report) in reports {
            applied.records += report.records;
            messages += report.added + report.removed;
            if job.dry_run {
                let lines = report.plan.lines().into_iter().filter(|line| !line.starts_with('!'));
                applied.written.extend(lines);
            } else if report.added + report.removed > 0 {
                let (added, removed) = (report.added, report.removed);
                applied.written.push(format!("{added} records added and {removed} removed ({book})"));
            } else if report.adopted > 0 {
                applied.written.push(format!("{} records adopted ({book})", report.adopted));
            }
        }
        job.wrote(messages);
        Ok(applied)
    }

    /// One run at every server, all at once; one that fails holds up no other.
    async fn run(
        &mut self,
        name: &str,
        desired: &Desired,
        dry_run: bool,
        approved: Option<&BTreeMap<String, Report>>,
    ) -> Result<Vec<(String, Report)>, TargetError> {
        let ledger = self.ledger(dry_run).await?;
        let mut known = mem::take(&mut self.known);
        let work = Work {
            name,
            settings: &self.settings,
            key: self.key.as_ref(),
            desired,
            file: &self.file,
            ledger: &ledger,
            counters: self.counters.as_ref(),
            dry_run,
        };
        let books = self.books();
        let runs = books.iter().map(|(book, servers)| {
            let mut known = known.remove(book).unwrap_or_default();
            let (work, approved) = (&work, approved.and_then(|approved| approved.get(book)));
            async move {
                let mut result = Err(PushError::Several(Vec::new()));
                for server in servers {
                    result = work.run(book, *server, &mut known, approved).await;
                    if !result.as_ref().is_err_and(PushError::is_elsewhere) {
                        break;
                    }
                    // Another one may be asked for everything.
                    known.doubt();
                }
                (book.clone(), known, result)
            }
        });
        let ended = join_all(runs).await;
        let (mut reports, mut errors) = (Vec::new(), Vec::new());
        for (book, known, result) in ended {
            self.known.insert(book.clone(), known);
            match result {
                Ok(report) => reports.push((book, report)),
                Err(error) => errors.push(error),
            }
        }
        match errors.len() {
            0 => Ok(reports),
            1 => Err(errors.remove(0).into()),
            _ => Err(PushError::Several(errors.iter().map(ToString::to_string).collect()).into()),
        }
    }

    /// How long all may be left alone when it went well.
    pub(super) fn interval(&self) -> Duration {
        let is_waiting = self.known.values().any(|known| !known.missing.is_empty());
        if is_waiting { self.settings.check_interval.min(SOON) } else { self.settings.check_interval }
    }

    /// What a person should know.
    pub(super) fn notes(&self) -> Notes {
        let known = || self.known.iter();
        let mut notes =
            Notes { conflicts: known().map(|(_, k)| k.conflicts.len()).sum(), findings: Vec::new() };
        for (book, known) in known() {
            let at = if book == ANY { String::new() } else { format!(" at {book}") };
            if !known.conflicts.is_empty() {
                let conflicts = known.conflicts.values().map(ToString::to_string);
                let message = format!(
                    "{}{at}. They were left alone. Remove the other records, or set on_conflict = \"take-over\".",
                    some(conflicts, known.conflicts.len(), "; ")
                );
                notes.findings.push((FindingKind::TargetConflict, message));
            }
            if let Some((zone, _)) = known.missing.first_key_value() {
                let zones = known.missing.iter().map(|(zone, names)| format!("{zone} ({names} names)"));
                let message = format!(
                    "The server{at} does not have {}, so their records are nowhere. {} Or name the zones that it has in \
                     zones.",
                    some(zones, known.missing.len(), ", "),
                    create(zone, self.settings.key.as_ref())
                );
                notes.findings.push((FindingKind::TargetZoneMissing, message));
            }
            if !known.drift.is_empty() {
                let gone = known.drift.iter().map(|drift| match plan::list(&drift.found) {
                    found if found.is_empty() => format!("{} A {}", drift.owner, drift.address),
                    found => format!("{} A {} (found {found})", drift.owner, drift.address),
                });
                let message = format!(
                    "Somebody removed records of ours{at}: {}. They were written again where nobody else has the name. \
                     Find out who: another tool that manages the zone, scavenging (set refresh), a restored backup.",
                    some(gone, known.drift.len(), ", ")
                );
                notes.findings.push((FindingKind::TargetDrift, message));
            }
        }
        notes
    }
}

/// How to make a zone.
fn create(zone: &DnsName, key: Option<&DnsName>) -> String {
    let key = key.map_or("KEY", DnsName::as_str);
    format!(
        "Create them; on BIND, with a file {zone}.db that has SOA and NS: rndc addzone '{zone} {{ type primary; file \
         \"{zone}.db\"; update-policy {{ grant {key} zonesub A; }}; }};'; on Windows: Add-DnsServerPrimaryZone -Name {zone} \
         -ReplicationScope Forest -DynamicUpdate Secure."
    )
}

/// The first few, and how many more.
fn some(all: impl Iterator<Item = String>, count: usize, between: &str) -> String {
    let few: Vec<String> = all.take(NAMED).collect();
    let rest = count.saturating_sub(few.len());
    let more = if rest > 0 { format!("{between}and {rest} more") } else { String::new() };
    few.join(between) + &more
}
