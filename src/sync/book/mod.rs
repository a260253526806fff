//! The book: what is accepted, what is held, and how every application's polls went.
//!
//! The engine's state without its I/O. Every entry takes the time as a value and says what it
//! changed, so that the rules can be tested without a clock, a socket or a disk.

mod report;
mod shown;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;

use crate::config::Config;
use crate::store::Saved;
use crate::zones::{
    ApplicationEvidence, ApplicationOutcome, Change, Difference, DnsName, Finding, FindingKind, Generation,
    GuardState, Observation, ResourceId, Share, Shares, derive, generation, guard, journal,
};
pub use report::{Report, Selection, Step};

/// The book.
pub struct Book {
    config: Arc<Config>,
    generation: Option<Arc<Generation>>,
    history: Arc<VecDeque<Difference>>,
    guards: BTreeMap<ResourceId, GuardState>,
    reports: BTreeMap<ResourceId, Report>,
    /// The applications that each discovery listed last; nothing before its first success.
    discovered: Vec<Option<BTreeSet<ResourceId>>>,
    /// Findings of failed discoveries, by discovery.
    discovery_findings: BTreeMap<usize, Finding>,
    /// Secondaries may have the zones.
    released: bool,
}

impl Book {
    /// Opens the book on what was saved; [`configure`](Self::configure) brings it up to date.
    #[must_use]
    pub fn open(saved: Option<Saved>, config: Arc<Config>, now: Timestamp) -> Self {
        let mut book = Self {
            discovered: vec![None; config.discoveries.len()],
            config,
            generation: None,
            history: Arc::default(),
            guards: BTreeMap::new(),
            reports: BTreeMap::new(),
            discovery_findings: BTreeMap::new(),
            released: false,
        };
        let mut last_success = BTreeMap::new();
        if let Some(saved) = saved {
            last_success = saved.last_success;
            book.released = saved.released;
            for hold in saved.rejections {
                let state = book.guards.entry(hold.application.clone()).or_default();
                *state = GuardState::from_rejections(state.holds.drain(..).chain([hold]));
            }
            book.generation = Some(saved.generation);
            book.history = Arc::new(saved.history);
        }
        book.report_on(book.wanted(), now);
        for (id, report) in &mut book.reports {
            report.last_success = last_success.remove(id);
        }
        book
    }

    /// Takes a configuration: what it no longer covers goes, and zones take its form. Being named
    /// in the configuration or not is an operator's word.
    pub fn configure(&mut self, config: Arc<Config>, now: Timestamp) -> Step {
        if self.config.discoveries != config.discoveries {
            self.discovered = vec![None; config.discoveries.len()];
            self.discovery_findings.clear();
        }
        self.config = config;
        let wanted = self.wanted();
        let (kept, gone): (Shares, Shares) =
            self.shares().into_iter().partition(|(id, _)| wanted.contains(id));
        let mut changes = Vec::new();
        for share in gone.values() {
            changes.extend(retired(share, "the configuration no longer names the application"));
        }
        self.accept(kept, changes, "the configuration changed", now)
    }

    /// Takes a complete poll's observation.
    pub fn observe(&mut self, mut observation: Observation, now: Timestamp) -> Step {
        let id = observation.application.clone();
        if let ApplicationOutcome::Found(application) = &observation.outcome
            && !self.selects(&id, &application.tags)
        {
            observation.outcome = ApplicationOutcome::NotSelected;
        }
        let derived = derive(&observation);
        let state = self.guards.entry(id.clone()).or_default();
        let current = self.generation.as_ref().and_then(|g| g.shares.get(&id));
        let review = guard::review(current.map(AsRef::as_ref), &derived, state, &self.config.guard, now);
        let rejections = |state: &GuardState| state.holds.iter().filter(|h| h.rejected).count();
        let dirty = rejections(state) != rejections(&review.state);
        *state = review.state;

        let report = self.reports.entry(id.clone()).or_insert_with(|| Report::new(now));
        report.succeeded += 1;
        report.consecutive_failures = 0;
        report.last_success = Some(now);
        report.last_attempt = Some(now);
        report.findings = derived.findings;
        let is_found = derived.evidence.application != ApplicationEvidence::NotFound;
        report.not_found = if is_found { 0 } else { report.not_found.saturating_add(1) };
        // A single 404 about an application that nobody knows yet may be a passing one. Its share,
        // empty or not, means that it was observed and that missing names may be denied.
        let is_believed = is_found || report.not_found >= self.config.guard.removal_polls;

        let mut shares = self.shares();
        if is_believed || shares.contains_key(&id) {
            shares.insert(id.clone(), Arc::new(review.share));
        }
        let cause = format!("poll of {}", id.name());
        let mut step = self.accept(shares, review.changes, &cause, now);
        step.dirty |= dirty;
        step
    }

    /// Takes a failed poll: nothing changes but the report, and what an operator can decide when
    /// nobody lists the application any more.
    pub fn fail(&mut self, application: &ResourceId, error: &str, now: Timestamp) {
        let report = self.reports.entry(application.clone()).or_insert_with(|| Report::new(now));
        report.failed += 1;
        report.consecutive_failures = report.consecutive_failures.saturating_add(1);
        report.last_attempt = Some(now);
        report.findings.retain(|f| f.kind != FindingKind::PollFailed);
        report.findings.push(Finding::of(
            application,
            FindingKind::PollFailed,
            application.as_str(),
            format!("{error}. No record was changed; the last accepted ones are served."),
        ));
        // As often as a removal has to be seen: a passing failure is no reason to ask a person.
        if report.consecutive_failures >= self.config.guard.removal_polls
            && self.is_unlisted(application)
            && let Some(share) = self.generation.as_ref().and_then(|g| g.shares.get(application))
        {
            let state = self.guards.entry(application.clone()).or_default();
            *state = guard::unreadable(share, state, now);
        }
    }

    /// Takes a discovery's complete list.
    pub fn discovered(&mut self, index: usize, applications: BTreeSet<ResourceId>, now: Timestamp) -> Step {
        if let Some(entry) = self.discovered.get_mut(index) {
            for id in &applications {
                self.guards.entry(id.clone()).and_modify(|state| *state = guard::readable(state));
            }
            *entry = Some(applications);
            self.discovery_findings.remove(&index);
        }
        self.accept(self.shares(), Vec::new(), "a discovery's list", now)
    }

    /// Takes a failed discovery.
    pub fn discovery_failed(&mut self, index: usize, error: &str) {
        let Some(discovery) = self.config.discoveries.get(index) else { return };
        let subject = match &discovery.resource_group {
            Some(group) => format!("/subscriptions/{}/resourceGroups/{group}", discovery.subscription),
            None => format!("/subscriptions/{}", discovery.subscription),
        };
        let message =
            format!("{error}. Applications known from before are polled on; new ones are not found.");
        let finding = Finding::global(FindingKind::DiscoveryFailed, subject, message);
        self.discovery_findings.insert(index, finding);
    }

    /// Ends the selected holds: their names go now. Says how many holds were ended.
    pub fn approve(&mut self, selection: &Selection, now: Timestamp) -> (usize, Step) {
        let before = self.holds().len();
        let mut shares = self.shares();
        let mut all = Vec::new();
        for (id, state) in &mut self.guards {
            let Some(share) = shares.get(id) else { continue };
            let (share, rest, changes) = guard::approve(share, state, |hold| selection.contains(hold));
            *state = rest;
            all.extend(changes);
            shares.insert(id.clone(), Arc::new(share));
        }
        let ended = before - self.holds().len();
        let mut step = self.accept(shares, all, "an operator approved removals", now);
        step.dirty |= ended > 0;
        (ended, step)
    }

    /// Keeps the names of the selected holds until Azure shows them again. Says how many.
    pub fn reject(&mut self, selection: &Selection) -> (usize, Step) {
        let mut count = 0;
        for state in self.guards.values_mut() {
            count += state.holds.iter().filter(|hold| selection.contains(hold)).count();
            *state = guard::reject(state, |hold| selection.contains(hold));
        }
        (count, Step { dirty: count > 0, ..Step::default() })
    }

    /// Makes a zone's serial greater than one that a secondary has seen, of an earlier primary perhaps:
    /// it would wait for a greater one and take nothing meanwhile. Gives the serials before and after;
    /// nothing happens unless the one seen is greater than the zone's (RFC 1982).
    pub fn raise(
        &mut self,
        zone: &DnsName,
        seen: u32,
        secondary: &str,
        now: Timestamp,
    ) -> Option<(u32, u32, Step)> {
        let current = self.generation.as_deref()?;
        let before = current.serial(zone).filter(|serial| generation::is_greater(seen, *serial))?;
        let cause = format!("{secondary} has a greater serial of {zone}");
        let (next, difference) = generation::raise(current, zone, seen, &cause, now)?;
        let after = next.serial(zone)?;
        Some((before, after, self.enter(next, difference)))
    }

    /// What has to survive a restart.
    #[must_use]
    pub fn saved(&self) -> Option<Saved> {
        Some(Saved {
            generation: self.generation.clone()?,
            history: (*self.history).clone(),
            rejections: self.holds().into_iter().filter(|hold| hold.rejected).collect(),
            last_success: self
                .reports
                .iter()
                .filter_map(|(id, report)| Some((id.clone(), report.last_success?)))
                .collect(),
            released: self.released,
        })
    }

    /// The applications to poll: those named, those listed, and those known from before that the
    /// configuration still covers.
    #[must_use]
    pub fn wanted(&self) -> BTreeSet<ResourceId> {
        let nothing = Shares::new();
        self.wanted_with(self.generation.as_ref().map_or(&nothing, |g| &g.shares))
    }

    fn wanted_with(&self, shares: &Shares) -> BTreeSet<ResourceId> {
        let known = shares.values().filter(|share| self.config.covers(&share.application));
        // A discovered application that is gone for good is not asked for any more.
        let known = known.filter(|share| !self.is_forgotten(share)).map(|share| share.application.clone());
        let listed = self.discovered.iter().flatten().flatten().cloned();
        self.config.applications.iter().cloned().chain(listed).chain(known).collect()
    }

    fn shares(&self) -> Shares {
        self.generation.as_ref().map(|g| g.shares.clone()).unwrap_or_default()
    }

    /// Whether the configuration takes an application with these tags.
    fn selects(&self, id: &ResourceId, tags: &BTreeMap<String, String>) -> bool {
        self.config.applications.contains(id)
            || self.config.discoveries.iter().any(|d| d.covers(id) && d.matches(tags))
    }

    /// A discovered application that has no name left and that no discovery lists any more.
    fn is_forgotten(&self, share: &Share) -> bool {
        share.endpoints.is_empty() && self.is_unlisted(&share.application)
    }

    /// Whether the application is not named, and every discovery that could list it has listed
    /// others.
    fn is_unlisted(&self, id: &ResourceId) -> bool {
        let mut discoveries = self.config.discoveries.iter().zip(&self.discovered);
        !self.config.applications.contains(id)
            && discoveries.all(|(discovery, listed)| {
                !discovery.covers(id) || listed.as_ref().is_some_and(|ids| !ids.contains(id))
            })
    }

    /// One report for each wanted application, and none for any other.
    fn report_on(&mut self, wanted: BTreeSet<ResourceId>, now: Timestamp) {
        self.reports.retain(|id, _| wanted.contains(id));
        for id in wanted {
            self.reports.entry(id).or_insert_with(|| Report::new(now));
        }
    }

    /// Accepts shares as the next generation, if anything differs, without what is left of
    /// applications that are not followed any more.
    fn accept(&mut self, mut shares: Shares, changes: Vec<Change>, cause: &str, now: Timestamp) -> Step {
        let wanted = self.wanted_with(&shares);
        shares.retain(|id, _| wanted.contains(id));
        self.guards.retain(|id, _| wanted.contains(id));
        self.report_on(wanted, now);
        let current = self.generation.as_deref();
        // Before anything was observed there is no generation, not an empty one.
        let next = if current.is_none() && shares.is_empty() {
            None
        } else {
            generation::succeed(current, shares, &self.config.publication, cause, now)
        };
        let step = next.map(|(next, difference)| self.enter(next, difference)).unwrap_or_default();
        let dirty = step.dirty | self.release();
        Step { changes, dirty, ..step }
    }

    /// Makes a generation the current one.
    fn enter(&mut self, next: Generation, difference: Difference) -> Step {
        self.generation = Some(Arc::new(next));
        if !difference.zones.is_empty() {
            let history = Arc::make_mut(&mut self.history);
            history.push_back(difference);
            journal::trim(history);
        }
        Step { generation: true, dirty: true, ..Step::default() }
    }

    /// Lets secondaries have the zones from the first time on that every application was read and
    /// every discovery has listed. Says whether this is that time.
    fn release(&mut self) -> bool {
        let first = !self.released && self.is_complete() && self.discovered.iter().all(Option::is_some);
        self.released |= first;
        first
    }
}

/// The changes of a share that goes as a whole.
fn retired(share: &Share, cause: &str) -> Vec<Change> {
    share
        .placements()
        .map(|(endpoint, name, placement)| Change {
            zone: placement.zone.clone(),
            name: name.clone(),
            endpoint: endpoint.clone(),
            old: placement.addresses.clone(),
            new: BTreeSet::new(),
            cause: cause.to_owned(),
        })
        .collect()
}
