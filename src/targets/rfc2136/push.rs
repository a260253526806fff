//! One run at one server: look, plan, write down, send, settle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::Mutex;

use super::file::{FileError, LedgerFile};
use super::ledger::{Book, Ledger};
use super::metrics::PushCounters;
use super::plan::{Conflict, Desired, Drift, Plan, Rules, concerned, list, plan};
use super::session::{Session, SessionError, Zones};
use super::talk::Peer;
use crate::config::Rfc2136;
use crate::targets::writer::blocking;
use crate::wire::tsig::Key;
use crate::wire::update::{LONGEST, NameChange, Reply, messages};
use crate::zones::DnsName;

/// How often names are looked at again because somebody else changed them, or nobody answered.
const ROUNDS: usize = 4;

/// Further messages of a run that find out which names of a refused one are to blame.
const SEARCH: usize = 64;

/// Lines of a kind in the log; more are counted.
const LINES: usize = 20;

const REFUSED: u8 = 5;
const SERVFAIL: u8 = 2;

/// Why a server could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PushError {
    /// The ledger cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The server does not tell what it holds.
    #[error("{0}")]
    Session(Box<SessionError>),
    /// It refuses some updates, or has trouble with some names.
    #[error("not everything can be written at {server}: {}", .problems.join("; "))]
    Refused {
        /// The server.
        server: SocketAddr,
        /// Of which zone, and why.
        problems: Vec<String>,
    },
    /// Nobody knows what became of updates.
    #[error(
        "updates were sent to {server} and it is not known what became of them ({why}); it is asked again"
    )]
    Unknown {
        /// The server.
        server: SocketAddr,
        /// Why.
        why: String,
    },
    /// Somebody else is faster, again and again.
    #[error("names at {0} are changed by somebody else all the time")]
    Restless(SocketAddr),
    /// What was approved is not what would be done.
    #[error("the plan is not that of this hash any more: something has changed since; make a new plan")]
    Moved,
    /// The daemon, or the target, ends.
    #[error("the target ends")]
    Stopped,
    /// Several servers failed.
    #[error("{}", .0.join(". "))]
    Several(Vec<String>),
}

impl From<SessionError> for PushError {
    fn from(error: SessionError) -> Self {
        Self::Session(Box::new(error))
    }
}

/// What is the same for all servers of a target in one run.
pub(super) struct Work<'a> {
    pub(super) name: &'a str,
    pub(super) settings: &'a Rfc2136,
    pub(super) key: Option<&'a Arc<Key>>,
    pub(super) desired: &'a Desired,
    pub(super) file: &'a LedgerFile,
    pub(super) ledger: &'a Mutex<Ledger>,
    pub(super) counters: Option<&'a PushCounters>,
    /// Look, and write nothing.
    pub(super) dry_run: bool,
}

/// What is known of a server between two runs.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub(super) zones: Option<Zones>,
    asked: BTreeSet<DnsName>,
    /// When every name was last looked at.
    checked: Option<Instant>,
    pub(super) conflicts: BTreeMap<DnsName, Conflict>,
    /// Zones that are not there → names in them.
    pub(super) missing: BTreeMap<DnsName, usize>,
    /// What somebody had removed at the last check; nothing when all was there.
    pub(super) drift: Vec<Drift>,
}

/// What a run came to.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Records of ours.
    pub(super) records: usize,
    /// The first plan.
    pub(super) plan: Plan,
    pub(super) added: usize,
    pub(super) removed: usize,
}

impl Report {
    /// A change is done.
    fn count(&mut self, change: &NameChange) {
        self.added += change.add.difference(&change.before).count();
        self.removed += change.remove.len();
    }
}

impl Known {
    /// To be looked at as a whole at the next run.
    pub(super) fn doubt(&mut self) {
        (self.zones, self.checked) = (None, None);
    }
}

impl Work<'_> {
    /// Brings one server up to date. With `expected` only when the plan is exactly that.
    pub(super) async fn run(
        &self,
        book: &str,
        server: SocketAddr,
        known: &mut Known,
        expected: Option<&[String]>,
    ) -> Result<Report, PushError> {
        let peer = Peer {
            address: server,
            key: self.key.cloned(),
            kerberos: self.settings.kerberos.as_ref().map(|kerberos| (&kerberos.identity).into()),
            udp: self.settings.udp,
        };
        let mut session = Session::open(peer).await?;
        // Checks come up to a quarter early.
        let interval = self.settings.check_interval.mul_f64(0.74);
        let is_full = self.dry_run || known.checked.is_none_or(|at| at.elapsed() >= interval);
        let zones = self.discover(&mut session, book, known, is_full).await?;
        let desired = self.within_reach(&zones, known);
        let mut report = Report::default();
        let mut again: Option<BTreeSet<DnsName>> = None;
        let mut problems: Vec<String> = zones.hosted.broken.values().cloned().collect();
        let (mut unknown, mut open) = (None, Vec::new());
        for round in 0..ROUNDS {
            let rules = Rules {
                take_over: self.settings.take_over,
                refresh: self.settings.refresh,
                now: Timestamp::now(),
            };
            let names = match again.take() {
                Some(names) => names,
                None => self.names(&desired, book, is_full, rules).await,
            };
            let (held, trouble) = session.look(&zones, &names).await?;
            problems.extend(trouble);
            let is_done = |change: &&NameChange| {
                held.get(&change.owner).is_some_and(|holding| holding.addresses == change.after())
            };
            open.iter().filter(is_done).for_each(|change| report.count(change));
            let mut settled = false;
            let plan = {
                let mut ledger = self.ledger.lock().await;
                let book = ledger.books.entry(book.to_owned()).or_default();
                for (owner, holding) in &held {
                    settled |= book.settle(owner, &holding.addresses, rules.now);
                }
                plan(&desired, book, &zones.hosted, &held, rules)
            };
            known.conflicts.retain(|owner, _| !names.contains(owner) && desired.names.contains_key(owner));
            known.conflicts.extend(plan.conflicts.iter().map(|c| (c.owner.clone(), c.clone())));
            if round == 0 {
                report.plan = plan.clone();
                if is_full || !plan.drift.is_empty() {
                    known.drift.clone_from(&plan.drift);
                }
                if expected.is_some_and(|expected| expected != plan.lines()) {
                    return Err(PushError::Moved);
                }
            }
            if self.dry_run {
                break;
            }
            if plan.is_empty() {
                if settled {
                    self.change(|_| ()).await?;
                }
                break;
            }
            self.tell(&plan);
            self.change(|ledger| of(ledger, book).intend(&plan, desired.generation, rules.now)).await?;
            let sent = self.send(&mut session, &zones, &plan, book, &mut report).await;
            // What is not settled yet stays an intent.
            self.change(|_| ()).await?;
            problems.extend(sent.problems);
            (unknown, open) = (sent.unknown, sent.open);
            if sent.again.is_empty() {
                break;
            }
            again = Some(sent.again);
        }
        report.records = of(&mut *self.ledger.lock().await, book).len();
        if !problems.is_empty() {
            known.doubt();
            let more = problems.len().saturating_sub(LINES);
            problems.truncate(LINES);
            problems.extend((more > 0).then(|| format!("and {more} more")));
            return Err(PushError::Refused { server, problems });
        }
        if again.is_some() {
            known.doubt();
            return Err(match unknown {
                Some(why) => PushError::Unknown { server, why },
                None => PushError::Restless(server),
            });
        }
        if is_full && !self.dry_run {
            known.checked = Some(Instant::now());
        }
        Ok(report)
    }

    /// The zones of the server.
    async fn discover(
        &self,
        session: &mut Session,
        book: &str,
        known: &mut Known,
        is_full: bool,
    ) -> Result<Zones, PushError> {
        let mut asked: BTreeSet<DnsName> = self.desired.origins.keys().cloned().collect();
        {
            let mut ledger = self.ledger.lock().await;
            asked.extend(of(&mut ledger, book).names().map(|(_, page)| page.zone.clone()));
        }
        match &known.zones {
            Some(zones) if !is_full && known.missing.is_empty() && known.asked == asked => Ok(zones.clone()),
            _ => {
                let zones = session.discover(&asked, self.settings.find_primary).await?;
                known.zones = Some(zones.clone());
                known.asked = asked;
                Ok(zones)
            }
        }
    }

    /// What is desired of the zones that the server has and that may be written to. The rest is missing,
    /// or nobody's business; of what was written there before the ledger knows.
    fn within_reach(&self, zones: &Zones, known: &mut Known) -> Desired {
        let limits = &self.settings.zones;
        let is_wanted = |name: &DnsName| {
            limits.is_empty() || limits.iter().any(|zone| name == zone || name.below(zone).is_some())
        };
        let is_allowed = |name: &DnsName| {
            zones.hosted.zone_of(name).is_some_and(|zone| limits.is_empty() || limits.contains(zone))
        };
        let missing = self.desired.origins.iter().filter(|(origin, names)| {
            **names > 0 && is_wanted(origin) && !is_allowed(origin) && !zones.hosted.is_broken(origin)
        });
        known.missing = missing.map(|(origin, names)| (origin.clone(), *names)).collect();
        let names = self.desired.names.iter().filter(|(name, _)| is_allowed(name));
        Desired { names: names.map(|(n, a)| (n.clone(), a.clone())).collect(), ..self.desired.clone() }
    }

    /// The names to look at.
    async fn names(&self, desired: &Desired, book: &str, is_full: bool, rules: Rules) -> BTreeSet<DnsName> {
        let mut ledger = self.ledger.lock().await;
        let book = of(&mut ledger, book);
        if is_full {
            desired.names.keys().chain(book.names().map(|(owner, _)| owner)).cloned().collect()
        } else {
            concerned(desired, book, rules)
        }
    }

    /// Changes the ledger; afterwards it is on the disk.
    async fn change(&self, act: impl FnOnce(&mut Ledger)) -> Result<(), PushError> {
        let mut ledger = self.ledger.lock().await;
        act(&mut ledger);
        let (copy, file) = (ledger.clone(), self.file.clone());
        // The lock is held: two writers would write over each other.
        let saved = blocking(move || Ok(file.save(&copy))).await;
        match saved {
            Ok(result) => Ok(result?),
            Err(error) => Err(PushError::Several(vec![error.to_string()])),
        }
    }

    /// Tells in the log what is done to others, and what others did.
    fn tell(&self, plan: &Plan) {
        let target_name = self.name;
        for (owner, address) in &plan.taken_over {
            tracing::warn!(target_name, name = %owner, %address, "a record of somebody else is taken over");
        }
        for drift in plan.drift.iter().take(LINES) {
            tracing::warn!(
                target_name, name = %drift.owner, address = %drift.address, found = list(&drift.found),
                "a record of ours was removed by somebody else"
            );
        }
        if plan.drift.len() > LINES {
            tracing::warn!(
                target_name,
                count = plan.drift.len(),
                "more records of ours were removed by somebody else"
            );
        }
        if let Some(counters) = self.counters {
            counters.drift.inc_by(plan.drift.len() as u64);
        }
    }

    /// Sends what a plan says, and settles what is known of it.
    async fn send(
        &self,
        session: &mut Session,
        zones: &Zones,
        plan: &Plan,
        book: &str,
        report: &mut Report,
    ) -> Sent {
        let mut sent = Sent::default();
        let mut search = SEARCH;
        for (zone, changes) in &plan.changes {
            let mut queue: VecDeque<&[NameChange]> =
                messages(zone, changes, LONGEST).into_iter().map(|message| message.changes).collect();
            while let Some(part) = queue.pop_front() {
                if sent.broken {
                    // It is not sent, which is certain.
                    self.settle(book, part, Book::refused).await;
                    sent.again.extend(owners(part));
                    continue;
                }
                let Some(message) = messages(zone, part, usize::MAX).pop() else { continue };
                let service = self.settings.kerberos.as_ref().and_then(|kerberos| kerberos.service.as_ref());
                let reply = session.update(zones, zone, &message.octets, service).await;
                tracing::debug!(target_name = self.name, %zone, names = part.len(), ?reply, "updated");
                if let Some(counters) = self.counters {
                    counters.count(&reply);
                }
                match reply {
                    Reply::Done => {
                        self.settle(book, part, Book::done).await;
                        part.iter().for_each(|change| report.count(change));
                    }
                    Reply::Changed(_) => {
                        self.settle(book, part, Book::refused).await;
                        sent.again.extend(owners(part));
                    }
                    Reply::Unknown { why, answered } => {
                        sent.again.extend(owners(part));
                        sent.open.extend_from_slice(part);
                        sent.unknown = Some(why);
                        sent.broken = !answered;
                    }
                    Reply::Refused { code: REFUSED | SERVFAIL, .. } if part.len() > 1 && search > 0 => {
                        // Maybe one name alone may not be changed.
                        search -= 1;
                        let (first, second) = part.split_at(part.len() / 2);
                        queue.push_front(second);
                        queue.push_front(first);
                    }
                    Reply::Refused { problem, .. } => {
                        self.settle(book, part, Book::refused).await;
                        let what = match part {
                            [change] => format!("{} ({zone})", change.owner),
                            _ => zone.to_string(),
                        };
                        sent.problems.push(format!("{what}: {problem}"));
                    }
                }
            }
        }
        sent
    }

    async fn settle(&self, book: &str, changes: &[NameChange], how: fn(&mut Book, &NameChange)) {
        let mut ledger = self.ledger.lock().await;
        let book = of(&mut ledger, book);
        changes.iter().for_each(|change| how(book, change));
    }
}

/// What became of the messages of a plan.
#[derive(Default)]
struct Sent {
    problems: Vec<String>,
    /// Changes of which nobody knows what became.
    open: Vec<NameChange>,
    /// Why nobody knows what became of one.
    unknown: Option<String>,
    /// It has no answer at all; nothing was sent after it.
    broken: bool,
    /// Names to look at again.
    again: BTreeSet<DnsName>,
}

fn owners(changes: &[NameChange]) -> impl Iterator<Item = DnsName> {
    changes.iter().map(|change| change.owner.clone())
}

fn of<'a>(ledger: &'a mut Ledger, book: &str) -> &'a mut Book {
    ledger.books.entry(book.to_owned()).or_default()
}
