//! The book: what is accepted, what is held, and how every application's polls went.
//!
//! The engine's state without its I/O. Every entry takes the time as a value and says what it
//! changed, so that the rules can be tested without a clock, a socket or a disk.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::endpoints;
use crate::config::Config;
use crate::store::Saved;
use crate::zones::{
    ApplicationOutcome, Change, Difference, DnsName, Finding, FindingKind, Generation, GuardState, Hold,
    Observation, ResourceId, Share, Shares, derive, generation, guard,
};

/// How the polls of one application went.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Complete polls since the start.
    pub succeeded: u64,
    /// Failed polls since the start.
    pub failed: u64,
    /// Failed polls since the last complete one.
    pub consecutive_failures: u32,
    /// When the last complete poll ended.
    pub last_success: Option<Timestamp>,
    /// When the last poll ended.
    pub last_attempt: Option<Timestamp>,
    /// What the last poll found; a failed poll adds its error to the findings before it.
    pub findings: Vec<Finding>,
}

/// What an entry in the book changed.
#[derive(Debug, Default)]
pub struct Step {
    /// Names that changed, for the log.
    pub changes: Vec<Change>,
    /// A new generation was accepted.
    pub generation: bool,
    /// What has to survive a restart changed.
    pub dirty: bool,
}

/// Which holds an operator means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All of them.
    All,
    /// Those of one application.
    Application(ResourceId),
    /// Those of some names.
    Names(BTreeSet<DnsName>),
}

impl Selection {
    /// Whether the hold is meant.
    #[must_use]
    pub fn contains(&self, hold: &Hold) -> bool {
        match self {
            Self::All => true,
            Self::Application(application) => hold.application == *application,
            Self::Names(names) => names.contains(&hold.name),
        }
    }
}

/// The book.
pub struct Book {
    started: Timestamp,
    config: Arc<Config>,
    generation: Option<Arc<Generation>>,
    history: Arc<VecDeque<Difference>>,
    guards: BTreeMap<ResourceId, GuardState>,
    reports: BTreeMap<ResourceId, Report>,
    /// The applications that each discovery listed last; nothing before its first success.
    discovered: Vec<Option<BTreeSet<ResourceId>>>,
    /// Findings of failed discoveries, by discovery.
    discovery_findings: BTreeMap<usize, Finding>,
}

impl Book {
    /// Opens the book on what was saved; [`configure`](Self::configure) brings it up to date.
    #[must_use]
    pub fn open(saved: Option<Saved>, config: Arc<Config>, now: Timestamp) -> Self {
        let mut book = Self {
            started: now,
            discovered: vec![None; config.discoveries.len()],
            config,
            generation: None,
            history: Arc::default(),
            guards: BTreeMap::new(),
            reports: BTreeMap::new(),
            discovery_findings: BTreeMap::new(),
        };
        if let Some(saved) = saved {
            for hold in saved.rejections {
                let state = book.guards.entry(hold.application.clone()).or_default();
                *state = GuardState::from_rejections(state.holds.drain(..).chain([hold]));
            }
            book.generation = Some(saved.generation);
            book.history = Arc::new(saved.history);
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
        self.guards.retain(|id, _| wanted.contains(id));
        self.reports.retain(|id, _| wanted.contains(id));
        let Some(current) = self.generation.clone() else { return Step::default() };
        let (kept, gone): (Shares, Shares) =
            current.shares.clone().into_iter().partition(|(id, _)| wanted.contains(id));
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

        let report = self.reports.entry(id.clone()).or_default();
        report.succeeded += 1;
        report.consecutive_failures = 0;
        report.last_success = Some(now);
        report.last_attempt = Some(now);
        report.findings = derived.findings;
        report.findings.extend(review.findings);

        let mut shares = self.shares();
        shares.insert(id.clone(), Arc::new(review.share));
        let cause = format!("poll of {}", id.name());
        let mut step = self.accept(shares, review.changes, &cause, now);
        step.dirty |= dirty;
        step
    }

    /// Takes a failed poll: nothing changes but the report.
    pub fn fail(&mut self, application: &ResourceId, error: &str, now: Timestamp) {
        let report = self.reports.entry(application.clone()).or_default();
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
    }

    /// Takes a discovery's complete list.
    pub fn discovered(&mut self, index: usize, applications: BTreeSet<ResourceId>) {
        if let Some(entry) = self.discovered.get_mut(index) {
            *entry = Some(applications);
            self.discovery_findings.remove(&index);
        }
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
        self.drop_hold_findings(selection);
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
        self.drop_hold_findings(selection);
        (count, Step { dirty: count > 0, ..Step::default() })
    }

    /// What has to survive a restart.
    #[must_use]
    pub fn saved(&self) -> Option<Saved> {
        Some(Saved {
            generation: self.generation.clone()?,
            history: (*self.history).clone(),
            rejections: self.holds().into_iter().filter(|hold| hold.rejected).collect(),
        })
    }

    /// The applications to poll: those named, those listed, and those known from before that the
    /// configuration still covers.
    #[must_use]
    pub fn wanted(&self) -> BTreeSet<ResourceId> {
        let known = self.generation.iter().flat_map(|g| g.shares.values());
        let known = known
            .filter(|share| self.config.covers(&share.application))
            // A discovered application that is gone for good is not asked for any more.
            .filter(|share| !self.is_forgotten(share))
            .map(|share| share.application.clone());
        let listed = self.discovered.iter().flatten().flatten().cloned();
        self.config.applications.iter().cloned().chain(listed).chain(known).collect()
    }

    /// Applications without a complete poll for longer than the configuration allows.
    #[must_use]
    pub fn stale(&self, now: Timestamp) -> BTreeSet<ResourceId> {
        let old = |since: Timestamp| {
            Duration::try_from(now.duration_since(since)).is_ok_and(|age| age > self.config.dns.stale_after)
        };
        let last =
            |id: &ResourceId| self.reports.get(id).and_then(|r| r.last_success).unwrap_or(self.started);
        self.wanted().into_iter().filter(|id| old(last(id))).collect()
    }

    /// Whether every application has been observed at least once, so that a missing name may be
    /// denied.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let shares = self.generation.as_ref().map(|g| &g.shares);
        let observed = |id: &ResourceId| shares.is_some_and(|shares| shares.contains_key(id));
        let discovered = self.config.discoveries.iter().zip(&self.discovered).all(|(discovery, listed)| {
            listed.is_some() || shares.is_some_and(|s| s.keys().any(|id| discovery.covers(id)))
        });
        discovered && self.wanted().iter().all(observed)
    }

    /// Everything that a person should know, most important first.
    #[must_use]
    pub fn findings(&self, now: Timestamp) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self
            .reports
            .values()
            .flat_map(|r| &r.findings)
            .filter(|f| endpoints::concerns(f, &self.config.publication.endpoints))
            .chain(self.discovery_findings.values())
            .cloned()
            .collect();
        let shares = self.shares();
        findings.extend(endpoints::unknown(&self.config.publication.endpoints, &shares));
        for id in self.wanted() {
            if !shares.contains_key(&id) {
                findings.push(Finding::of(
                    &id,
                    FindingKind::NeverObserved,
                    id.as_str(),
                    "The application has not been read completely yet. Until it is, names that are not held are \
                     answered SERVFAIL instead of NXDOMAIN, because they may be its own.",
                ));
            }
        }
        for id in self.stale(now) {
            let minutes = self.config.dns.stale_after.as_secs() / 60;
            findings.push(Finding::of(
                &id,
                FindingKind::Stale,
                id.as_str(),
                format!("No complete poll for more than {minutes} min; its last accepted records are served, marked stale."),
            ));
        }
        let fallback = self.config.resolver.as_ref().is_some_and(|resolver| resolver.fallback);
        if self.config.publication.privatelink_zones && !fallback {
            findings.push(Finding::global(
                FindingKind::ShadowsPublicNames,
                "privatelink zones",
                "The privatelink zones are answered without a way to public DNS: for whoever resolves through this \
                 daemon, private link names of other tenants in these zones do not exist. Send it only the names \
                 that are yours, or publish per_name_zones instead.",
            ));
        }
        findings.sort_by(|a, b| (a.kind.severity(), a).cmp(&(b.kind.severity(), b)));
        findings.dedup();
        findings
    }

    /// Required members that have no address, in lower case.
    #[must_use]
    pub fn expected(&self) -> BTreeSet<String> {
        let findings = self.reports.values().flat_map(|report| &report.findings);
        let missing = findings.filter(|finding| finding.kind == FindingKind::MemberWithoutAddress);
        missing.map(|finding| finding.subject.to_ascii_lowercase()).collect()
    }

    /// All held removals.
    #[must_use]
    pub fn holds(&self) -> Vec<Hold> {
        self.guards.values().flat_map(|state| &state.holds).cloned().collect()
    }

    /// The accepted generation.
    #[must_use]
    pub fn generation(&self) -> Option<&Arc<Generation>> {
        self.generation.as_ref()
    }

    /// The differences that led to the generation, oldest first.
    #[must_use]
    pub fn history(&self) -> Arc<VecDeque<Difference>> {
        self.history.clone()
    }

    /// How the polls of each application went.
    #[must_use]
    pub fn reports(&self) -> &BTreeMap<ResourceId, Report> {
        &self.reports
    }

    fn shares(&self) -> Shares {
        self.generation.as_ref().map(|g| g.shares.clone()).unwrap_or_default()
    }

    /// Whether the configuration takes an application with these tags.
    fn selects(&self, id: &ResourceId, tags: &BTreeMap<String, String>) -> bool {
        self.config.applications.contains(id)
            || self.config.discoveries.iter().any(|d| d.covers(id) && d.matches(tags))
    }

    /// A discovered application that is empty and that no discovery lists any more.
    fn is_forgotten(&self, share: &Share) -> bool {
        let id = &share.application;
        !self.config.applications.contains(id)
            && share.zones.is_empty()
            && share.endpoints.is_empty()
            && self.discovered.iter().all(|listed| listed.as_ref().is_some_and(|ids| !ids.contains(id)))
    }

    /// Findings about holds that an operator has just decided are not repeated until the next poll.
    fn drop_hold_findings(&mut self, selection: &Selection) {
        for (id, report) in &mut self.reports {
            report.findings.retain(|finding| {
                let meant = match selection {
                    Selection::All => true,
                    Selection::Application(application) => application == id,
                    Selection::Names(names) => {
                        finding.subject.parse().is_ok_and(|name| names.contains(&name))
                    }
                };
                finding.kind != FindingKind::RemovalHeld || !meant
            });
        }
    }

    /// Accepts shares as the next generation, if anything differs.
    fn accept(&mut self, shares: Shares, changes: Vec<Change>, cause: &str, now: Timestamp) -> Step {
        let current = self.generation.as_deref();
        let Some((next, difference)) =
            generation::succeed(current, shares, &self.config.publication, cause, now)
        else {
            return Step { changes, ..Step::default() };
        };
        self.generation = Some(Arc::new(next));
        if !difference.zones.is_empty() {
            let history = Arc::make_mut(&mut self.history);
            history.push_back(difference);
            while history.len() > generation::HISTORY {
                history.pop_front();
            }
        }
        Step { changes, generation: true, dirty: true }
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
