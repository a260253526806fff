//! One run at one server: guess or look, plan, write down, send, settle.
//!
//! What has changed goes out first, without asking; then, when a check is due, the rest is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::Mutex;

use super::file::{FileError, LedgerFile};
use super::ledger::{Book, Ledger};
use super::metrics::PushCounters;
use super::plan::{Conflict, Desired, Drift, Holding, Hosted, Plan, Rules, concerned, guess, list, plan};
use super::send::owners;
use super::session::{Session, SessionError, Zones};
use super::talk::Peer;
use crate::config::Rfc2136;
use crate::targets::writer::blocking;
use crate::wire::tsig::Key;
use crate::wire::update::NameChange;
use crate::zones::DnsName;

/// How often names are looked at again because somebody else changed them, or nobody answered.
const ROUNDS: usize = 4;

/// Lines of a kind in the log; more are counted.
const LINES: usize = 20;

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
    pub(super) ledger: &'a Arc<Mutex<Ledger>>,
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

/// The names of a round.
#[derive(Debug, Default)]
struct Step {
    /// These are looked at.
    look: BTreeSet<DnsName>,
    /// Of these it is known, or guessed, what they hold.
    held: BTreeMap<DnsName, Holding>,
}

impl Step {
    fn is_empty(&self) -> bool {
        self.look.is_empty() && self.held.is_empty()
    }
}

/// What a run came to.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Records of ours.
    pub(super) records: usize,
    /// Of a dry run: the plan, and what the server holds.
    pub(super) plan: Plan,
    pub(super) held: BTreeMap<DnsName, Holding>,
    pub(super) adopted: usize,
    pub(super) added: usize,
    pub(super) removed: usize,
}

impl Report {
    /// A change is done.
    pub(super) fn count(&mut self, change: &NameChange) {
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
    /// Brings one server up to date. With an approved report of a dry run only what its plan says, and
    /// without another look.
    pub(super) async fn run(
        &self,
        book: &str,
        server: SocketAddr,
        known: &mut Known,
        approved: Option<&Report>,
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
        let mut problems: Vec<String> = zones.hosted.broken.values().cloned().collect();
        let (mut drift, mut unknown, mut open) = (Vec::new(), None, Vec::new());
        // Names that were looked at or written in this run.
        let mut seen = BTreeSet::new();
        let mut is_check_due = is_full && approved.is_none();
        let mut step = match approved {
            Some(approved) => Step { held: approved.held.clone(), ..Step::default() },
            None if self.dry_run => Step::default(),
            None => self.changed(&desired, &zones.hosted, book, known).await,
        };
        let mut rounds = 0;
        loop {
            if step.is_empty() && mem::take(&mut is_check_due) {
                (step, rounds) = (self.rest(&desired, book, &seen).await, 0);
            }
            if step.is_empty() || rounds == ROUNDS {
                break;
            }
            rounds += 1;
            let Step { look, mut held } = mem::take(&mut step);
            let (looked, trouble) = session.look(&zones, &look).await?;
            problems.extend(trouble);
            held.extend(looked);
            let is_done = |change: &&NameChange| {
                held.get(&change.owner).is_some_and(|holding| holding.addresses == change.after())
            };
            open.iter().filter(is_done).for_each(|change| report.count(change));
            let rules = self.rules();
            let mut settled = false;
            let plan = {
                let mut ledger = self.ledger.lock().await;
                let book = of(&mut ledger, book);
                for (owner, holding) in &held {
                    settled |= book.settle(owner, &holding.addresses, rules.now);
                }
                plan(&desired, book, &zones.hosted, &held, rules)
            };
            known.conflicts.retain(|owner, _| {
                !look.contains(owner) && !held.contains_key(owner) && desired.names.contains_key(owner)
            });
            known.conflicts.extend(plan.conflicts.iter().map(|c| (c.owner.clone(), c.clone())));
            drift.extend_from_slice(&plan.drift);
            seen.extend(look);
            if self.dry_run {
                (report.plan, report.held) = (plan, held);
                continue;
            }
            if let Some(approved) = approved {
                let lines = approved.plan.lines();
                if plan.lines().iter().any(|line| lines.binary_search(line).is_err()) {
                    return Err(PushError::Moved);
                }
            }
            if plan.is_empty() {
                if settled {
                    self.change(|_| ()).await?;
                }
                continue;
            }
            self.tell(&plan);
            self.change(|ledger| of(ledger, book).intend(&plan, desired.generation, rules.now)).await?;
            let sent = self.send(&mut session, &zones, &plan, book, &mut report).await;
            // What is not settled yet stays an intent.
            self.change(|_| ()).await?;
            report.adopted += plan.adoptions.len();
            problems.extend(sent.problems);
            let done = owners(plan.changes.values().flatten()).filter(|owner| !sent.again.contains(owner));
            seen.extend(done);
            (unknown, open) = (sent.unknown, sent.open);
            step.look = sent.again;
        }
        report.records = of(&mut *self.ledger.lock().await, book).len();
        if is_full || !drift.is_empty() {
            known.drift = drift;
        }
        if !problems.is_empty() {
            known.doubt();
            let more = problems.len().saturating_sub(LINES);
            problems.truncate(LINES);
            problems.extend((more > 0).then(|| format!("and {more} more")));
            return Err(PushError::Refused { server, problems });
        }
        if !step.is_empty() {
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

    fn rules(&self) -> Rules {
        Rules { take_over: self.settings.take_over, refresh: self.settings.refresh, now: Timestamp::now() }
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

    /// What to do about the names that cannot be left as they are, judged by the ledger.
    ///
    /// Nobody is asked where a guess will do: that a name holds what is in the ledger, or that it is not in
    /// use. The prerequisites of the update prove the guess, and a wrong one leads to a look.
    async fn changed(&self, desired: &Desired, zones: &Hosted, book: &str, known: &Known) -> Step {
        let mut ledger = self.ledger.lock().await;
        let book = of(&mut ledger, book);
        let mut step = Step::default();
        for owner in concerned(desired, book, self.rules()) {
            let guess = guess(&owner, zones, book).filter(|_| !known.conflicts.contains_key(&owner));
            match guess {
                Some(holding) => {
                    step.held.insert(owner, holding);
                }
                None => {
                    step.look.insert(owner);
                }
            }
        }
        step
    }

    /// All other names, which are looked at.
    async fn rest(&self, desired: &Desired, book: &str, seen: &BTreeSet<DnsName>) -> Step {
        let mut ledger = self.ledger.lock().await;
        let ours = of(&mut ledger, book).names().map(|(owner, _)| owner);
        let all = desired.names.keys().chain(ours).filter(|owner| !seen.contains(*owner));
        Step { look: all.cloned().collect(), ..Step::default() }
    }

    /// Changes the ledger; afterwards it is on the disk.
    async fn change(&self, act: impl FnOnce(&mut Ledger)) -> Result<(), PushError> {
        let mut ledger = self.ledger.clone().lock_owned().await;
        act(&mut ledger);
        let file = self.file.clone();
        // The lock is held: two writers would write over each other.
        let saved = blocking(move || Ok(file.save(&ledger))).await;
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
}

pub(super) fn of<'a>(ledger: &'a mut Ledger, book: &str) -> &'a mut Book {
    ledger.books.entry(book.to_owned()).or_default()
}
