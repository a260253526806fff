//! Why no zone has a name.

use serde::{Deserialize, Serialize};

use super::{Change, Known, Subject, list};
use crate::zones::{DnsName, FindingKind, public_suffix, timeline};

/// A reason why no zone has a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// A stable code: that of a finding, or `not-loaded`, `removed`, `not-published`, `wildcard`, `zone`,
    /// `outside-zones`, `never-seen`.
    pub code: String,
    /// The same in words.
    pub text: String,
}

impl Absent {
    fn new(code: &str, text: impl Into<String>) -> Self {
        Self { code: code.to_owned(), text: text.into() }
    }
}

/// Whether findings of this kind keep names away whatever their subject is.
pub(super) const fn may_explain(kind: FindingKind) -> bool {
    matches!(
        kind,
        FindingKind::PollFailed
            | FindingKind::NeverObserved
            | FindingKind::ApplicationNotFound
            | FindingKind::ApplicationNotSelected
            | FindingKind::DiscoveryFailed
            | FindingKind::NoApprovedEndpoint
            | FindingKind::NoRequiredZones
            | FindingKind::NoAddressSource
            | FindingKind::EndpointPending
            | FindingKind::EndpointRejected
            | FindingKind::EndpointDisconnected
            | FindingKind::EndpointUpdating
            | FindingKind::EndpointFailed
            | FindingKind::EndpointForeign
            | FindingKind::EndpointUnreadable
            | FindingKind::ConnectionConverging
            | FindingKind::EndpointStateUnknown
    )
}

impl Known<'_> {
    /// The reasons, most likely first. `given` is set when an endpoint gives the name all the same.
    pub(super) fn absent(&self, subject: &Subject, changes: &[Change], given: bool) -> Vec<Absent> {
        let Some(generation) = self.generation else {
            let text = "Nothing has been accepted yet: queries are answered SERVFAIL until every read of a poll \
                        has succeeded once.";
            return vec![Absent::new("not-loaded", text)];
        };
        if given {
            let text = "An endpoint gives the name, but no form that is published has it: see [publish] \
                        privatelink_zones, per_name_zones and application_name.";
            return vec![Absent::new("not-published", text)];
        }
        let mut reasons = Vec::new();
        if let Some(went) = changes.first() {
            let text =
                format!("It was removed in generation {} at {}: {}.", went.generation, went.at, went.cause);
            reasons.push(Absent::new("removed", text));
        }
        let own = self.findings.iter().filter(|finding| subject.is_meant_by(&finding.subject));
        reasons.extend(own.map(|finding| Absent::new(finding.kind.code(), &finding.message)));
        if !reasons.is_empty() {
            return reasons;
        }
        if subject.asked.starts_with("*.") {
            let text = "Wildcards are never published: they would answer for other tenants' names.";
            return vec![Absent::new("wildcard", text)];
        }
        let zones = generation.shares.values().flat_map(|share| share.zones.iter().cloned());
        let zones: std::collections::BTreeSet<DnsName> = zones.collect();
        let suffixes = zones.iter().filter_map(public_suffix).collect();
        if let Some(public) = &subject.public {
            let asked = DnsName::as_str(public);
            if zones.contains(asked) || zones.iter().any(|zone| zone.as_str() == subject.asked) {
                let text = "It is a zone; names with addresses are below it.";
                return vec![Absent::new("zone", text)];
            }
            if !zones.iter().filter_map(public_suffix).any(|suffix| public.below(&suffix).is_some()) {
                let text = format!(
                    "It lies in none of the zones that Azure requires, which are those of {}; whoever asks gets what \
                     public DNS says, or REFUSED without [resolver].",
                    list(&suffixes)
                );
                return vec![Absent::new("outside-zones", text)];
            }
        }
        let oldest = timeline::oldest(self.history, generation);
        let since = if oldest == 0 { String::new() } else { format!(" since generation {oldest}") };
        let text = format!(
            "No endpoint of an application that is followed has given it{since}. It may be another tenant's, misspelt, or \
             of an application that is not listed{}.",
            if self.live { "" } else { "; ask the running daemon for findings, which are not stored" }
        );
        vec![Absent::new("never-seen", text)]
    }
}
