//! What the book says when it is asked; nothing here changes it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::super::endpoints;
use super::{Book, Report};
use crate::zones::{Difference, Finding, FindingKind, Generation, Hold, ResourceId};

impl Book {
    /// Applications without a complete poll for longer than the configuration allows.
    #[must_use]
    pub fn stale(&self, now: Timestamp) -> BTreeSet<ResourceId> {
        let old = |since: Timestamp| {
            Duration::try_from(now.duration_since(since)).is_ok_and(|age| age > self.config.dns.stale_after)
        };
        let reports = self.reports.iter().filter(|(_, r)| old(r.last_success.unwrap_or(r.since)));
        reports.map(|(id, _)| id.clone()).collect()
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

    /// Whether secondaries may have the zones: every application was once read completely, in this run
    /// or one before. From then on they always may, because nothing leaves a zone without proof; before,
    /// as after a loss of the state, the names of an application that was not read yet would be missing.
    #[must_use]
    pub fn is_released(&self) -> bool {
        self.released
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
            .chain(self.guards.values().flat_map(|state| &state.holds).map(Hold::finding))
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
}
