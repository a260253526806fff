//! One name explained: where its record comes from, where it stands, what became of it, or why it is
//! nowhere.
//!
//! Pure: what is known comes in as values, of a running daemon or of its stored state alone, so that the
//! same words are said whether the daemon runs or not.

mod absence;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use absence::Absent;

use super::status::{
    FindingStatus, HoldStatus, RecordStatus, SecondaryZoneStatus, TargetProblem, record_status,
};
use crate::serve::SecondaryState;
use crate::targets::{LedgerEntry, TargetState};
use crate::zones::{
    Difference, DnsName, EndpointPolicy, Finding, Form, Generation, Hold, NameError, Placement, ResourceId,
    Share, public_suffix, timeline,
};

/// Names that are listed when a label stands for several.
const LISTED: usize = 20;

/// What is known.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The accepted generation.
    pub generation: Option<&'a Generation>,
    /// The differences that led to it, oldest first.
    pub history: &'a VecDeque<Difference>,
    /// Held removals; of a state directory those that were rejected.
    pub holds: &'a [Hold],
    /// What a person should know; nothing of a state directory.
    pub findings: &'a [Finding],
    /// Who takes the zones over; nobody of a state directory.
    pub secondaries: &'a [SecondaryState],
    /// What is kept in step by writing to it; nothing of a state directory.
    pub targets: &'a [TargetState],
    /// This is all of a running daemon.
    pub live: bool,
}

/// What a question is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The text of the question, in lower case and without a dot at its end.
    pub asked: String,
    /// The public name; nothing for a label or wildcard that no name was ever known by.
    pub public: Option<DnsName>,
    /// Its names in privatelink zones.
    pub owners: BTreeSet<DnsName>,
}

/// Why a question cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// It is no name.
    #[error("{text:?} is no host name: {reason}")]
    NoName {
        /// What was asked.
        text: String,
        /// Why.
        reason: NameError,
    },
    /// A label of several names.
    #[error("{label:?} stands for several names, ask for one of them: {}", list(names))]
    Ambiguous {
        /// The label.
        label: String,
        /// The names.
        names: BTreeSet<DnsName>,
    },
}

/// All that is known of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// What was asked.
    pub asked: String,
    /// The public name; nothing for a label or wildcard that no name was ever known by.
    pub name: Option<DnsName>,
    /// Whether any zone has it.
    pub published: bool,
    /// Whether this is what the running daemon knows, or what it has stored last.
    pub live: bool,
    /// The current generation.
    pub generation: Option<u64>,
    /// Where it comes from: what each endpoint gives.
    pub records: Vec<Provenance>,
    /// Where it stands.
    pub zones: Vec<Place>,
    /// What became of it, newest first.
    pub changes: Vec<Change>,
    /// The oldest generation that the history reaches back to.
    pub history_from: Option<u64>,
    /// Removals that are held back.
    pub holds: Vec<HoldStatus>,
    /// What each target has.
    pub targets: Vec<AtTarget>,
    /// What each secondary has of its zones.
    pub secondaries: Vec<AtSecondary>,
    /// What a person should know about it.
    pub findings: Vec<FindingStatus>,
    /// Why no zone has it; most likely first.
    pub absent: Vec<Absent>,
}

/// What one endpoint gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The record.
    #[serde(flatten)]
    pub record: RecordStatus,
    /// The application's policy for several endpoints: `all`, `prefer` or `by-subnet`.
    pub policy: String,
    /// Clients outside all prefixes get these addresses.
    pub counts: bool,
}

/// A zone that has the name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The zone.
    pub origin: DnsName,
    /// Its form.
    pub form: Form,
    /// The name in it.
    pub owner: DnsName,
    /// The zone's serial.
    pub serial: u32,
    /// When the zone last changed.
    pub changed: Timestamp,
    /// The addresses that clients outside all prefixes get.
    pub addresses: BTreeSet<Ipv4Addr>,
    /// Client prefix → the addresses that its clients get instead.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub views: BTreeMap<String, BTreeSet<Ipv4Addr>>,
}

/// A generation that changed the name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The generation.
    pub generation: u64,
    /// When it was accepted.
    pub at: Timestamp,
    /// Why.
    pub cause: String,
    /// The addresses before; none when the name came.
    pub old: BTreeSet<Ipv4Addr>,
    /// The addresses afterwards; none when it went.
    pub new: BTreeSet<Ipv4Addr>,
}

/// The name at a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtTarget {
    /// The target.
    pub name: String,
    /// Its type; nothing of a ledger alone.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none", default)]
    pub kind: Option<String>,
    /// The generation that it holds.
    pub generation: Option<u64>,
    /// Whether it holds the last change of the name; nothing where that is not known.
    pub current: Option<bool>,
    /// Since when it fails, and how.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<TargetProblem>,
    /// What its ledger says; for servers that stay primary.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ledger: Vec<LedgerEntry>,
}

/// The name's zones at a secondary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtSecondary {
    /// The secondary.
    pub name: String,
    /// Where it is.
    pub address: SocketAddr,
    /// Those of the name's zones that it is expected to have or has asked for.
    pub zones: Vec<SecondaryZoneStatus>,
}

impl Subject {
    /// Every name that it may have in a zone or ledger.
    #[must_use]
    pub fn names(&self) -> BTreeSet<DnsName> {
        self.owners.iter().chain(&self.public).cloned().collect()
    }

    /// Texts by which findings may mean it: the name, its owners, its first label.
    fn is_meant_by(&self, subject: &str) -> bool {
        let subject = subject.trim_end_matches('.');
        let same = |name: &DnsName| name.as_str().eq_ignore_ascii_case(subject);
        let label = self.asked.split('.').next().filter(|label| *label != "*");
        self.asked.eq_ignore_ascii_case(subject)
            || self.public.iter().chain(&self.owners).any(same)
            || label.is_some_and(|label| label.eq_ignore_ascii_case(subject))
    }
}

impl<'a> Known<'a> {
    fn placements(&self) -> impl Iterator<Item = (&'a Share, &'a ResourceId, &'a DnsName, &'a Placement)> {
        let shares = self.generation.into_iter().flat_map(|generation| generation.shares.values());
        shares.flat_map(|share| {
            share.placements().map(move |(endpoint, name, p)| (&**share, endpoint, name, p))
        })
    }

    /// What a public name, a privatelink name or the first label of one name means.
    ///
    /// # Errors
    /// When it is no name, or a label of several names.
    pub fn subject(&self, asked: &str) -> Result<Subject, ExplainError> {
        let asked = asked.trim_end_matches('.').to_ascii_lowercase();
        if asked.starts_with("*.") {
            return Ok(Subject { asked, public: None, owners: BTreeSet::new() });
        }
        let name: DnsName =
            asked.parse().map_err(|reason| ExplainError::NoName { text: asked.clone(), reason })?;
        let public = if asked.contains('.') { Some(Self::public(&name)) } else { self.labelled(&asked)? };
        let owners = public.iter().flat_map(|public| self.owners(public)).collect();
        Ok(Subject { asked, public, owners })
    }

    /// The public name of a name that may be one of a privatelink zone, whether that is published or not.
    fn public(name: &DnsName) -> DnsName {
        let parts = name.as_str().split_once(".privatelink.");
        let public = parts.and_then(|(below, suffix)| format!("{below}.{suffix}").parse().ok());
        public.unwrap_or_else(|| name.clone())
    }

    /// The one name with this first label or member, now or else ever.
    fn labelled(&self, label: &str) -> Result<Option<DnsName>, ExplainError> {
        let is_first = |name: &DnsName| name.labels().next() == Some(label);
        let now =
            self.placements().filter(|(_, _, name, p)| is_first(name) || p.member.as_deref() == Some(label));
        let mut names: BTreeSet<DnsName> = now.map(|(_, _, name, _)| name.clone()).collect();
        if let Some(generation) = self.generation.filter(|_| names.is_empty()) {
            let ever = timeline::entries(self.history, generation).flat_map(|entry| entry.names);
            names.extend(ever.map(|change| change.name).filter(is_first));
        }
        if names.len() > 1 {
            return Err(ExplainError::Ambiguous { label: label.to_owned(), names });
        }
        Ok(names.pop_first())
    }

    /// The names of a public name in privatelink zones.
    fn owners(&self, public: &DnsName) -> BTreeSet<DnsName> {
        let placed = self.placements().filter(|(_, _, name, _)| *name == public);
        let mut owners: BTreeSet<DnsName> = placed.filter_map(|(_, _, name, p)| p.owner(name)).collect();
        if owners.is_empty() {
            let shares = self.generation.into_iter().flat_map(|generation| generation.shares.values());
            let zones = shares.flat_map(|share| &share.zones);
            let owner = |zone: &DnsName| zone.prepend(public.below(&public_suffix(zone)?)?).ok();
            owners.extend(zones.filter_map(owner));
        }
        owners
    }

    /// All that is known of the subject; `ledger` is what ledgers say of its names.
    #[must_use]
    pub fn explain(&self, subject: &Subject, ledger: Vec<LedgerEntry>) -> Explanation {
        let zones = self.places(subject);
        let changes = self.changes(subject);
        let given: Vec<_> =
            self.placements().filter(|(_, _, name, _)| Some(*name) == subject.public.as_ref()).collect();
        let holds: Vec<&Hold> =
            self.holds.iter().filter(|hold| Some(&hold.name) == subject.public.as_ref()).collect();
        let published = !zones.is_empty();
        let mut about: BTreeSet<String> = BTreeSet::new();
        for (share, endpoint, _, placement) in &given {
            about.extend([share.application.to_string(), endpoint.to_string(), placement.zone.to_string()]);
            about.extend(placement.member.clone());
        }
        let absent = if published { Vec::new() } else { self.absent(subject, &changes, !given.is_empty()) };
        let is_relevant = |finding: &&Finding| {
            subject.is_meant_by(&finding.subject)
                || about.contains(&finding.subject)
                || !published && absence::may_explain(finding.kind)
        };
        Explanation {
            asked: subject.asked.clone(),
            name: subject.public.clone(),
            published,
            live: self.live,
            generation: self.generation.map(|generation| generation.number),
            records: self
                .generation
                .into_iter()
                .flat_map(|generation| given.iter().map(move |given| (generation, given)))
                .map(|(generation, (share, e, n, p))| provenance(generation, share, e, n, p, &zones))
                .collect(),
            targets: self.at_targets(changes.first().map(|change| change.generation), ledger),
            secondaries: self.at_secondaries(&zones),
            history_from: self.generation.map(|generation| timeline::oldest(self.history, generation)),
            holds: holds.into_iter().map(HoldStatus::of).collect(),
            findings: self.findings.iter().filter(is_relevant).map(FindingStatus::of).collect(),
            zones,
            changes,
            absent,
        }
    }

    /// The zones that have the subject.
    fn places(&self, subject: &Subject) -> Vec<Place> {
        let Some((generation, public)) = self.generation.zip(subject.public.as_ref()) else {
            return Vec::new();
        };
        let place = |(origin, zone): (&DnsName, &crate::zones::Zone)| {
            let owners = match zone.form {
                Form::Privatelink => subject.owners.iter().cloned().collect(),
                Form::PerName => vec![public.clone()],
                Form::Rpz => origin.prepend(public.as_str()).into_iter().collect(),
                Form::Catalog => Vec::new(),
            };
            let owner = owners.into_iter().find(|owner| zone.addresses.contains_key(owner))?;
            let serial = generation.serials.get(origin)?;
            let views = zone.views.iter();
            let views =
                views.filter_map(|(prefix, seen)| Some((prefix.to_string(), seen.get(&owner)?.clone())));
            Some(Place {
                origin: origin.clone(),
                form: zone.form,
                serial: serial.serial,
                changed: serial.changed,
                addresses: zone.addresses.get(&owner).cloned().unwrap_or_default(),
                views: views.collect(),
                owner,
            })
        };
        generation.zones.iter().filter_map(place).collect()
    }

    /// What became of the subject, newest first.
    fn changes(&self, subject: &Subject) -> Vec<Change> {
        let Some((generation, public)) = self.generation.zip(subject.public.as_ref()) else {
            return Vec::new();
        };
        let change = |entry: timeline::HistoryEntry| {
            let change = entry.names.into_iter().find(|change| change.name == *public)?;
            let (old, new) = (change.old, change.new);
            Some(Change { generation: entry.number, at: entry.created, cause: entry.cause, old, new })
        };
        timeline::entries(self.history, generation).filter_map(change).collect()
    }

    /// What the targets have; those that only a ledger tells of too. `last` is the generation that changed
    /// the name last.
    fn at_targets(&self, last: Option<u64>, ledger: Vec<LedgerEntry>) -> Vec<AtTarget> {
        let mut targets: BTreeMap<String, AtTarget> = self
            .targets
            .iter()
            .map(|state| {
                let problem = |(since, message): &(Timestamp, String)| TargetProblem {
                    since: *since,
                    message: message.clone(),
                };
                let target = AtTarget {
                    name: state.name.clone(),
                    kind: Some(state.kind.to_owned()),
                    generation: state.applied,
                    // Without a change in the history, it is older than all that is known of the target.
                    current: state.applied.map(|applied| last.is_none_or(|last| applied >= last)),
                    error: state.error.as_ref().map(problem),
                    ledger: Vec::new(),
                };
                (state.name.clone(), target)
            })
            .collect();
        for entry in ledger {
            let target = targets.entry(entry.target.clone()).or_insert_with(|| AtTarget {
                name: entry.target.clone(),
                kind: None,
                generation: None,
                current: None,
                error: None,
                ledger: Vec::new(),
            });
            target.ledger.push(entry);
        }
        targets.into_values().collect()
    }

    fn at_secondaries(&self, zones: &[Place]) -> Vec<AtSecondary> {
        let has = |origin: &DnsName| zones.iter().any(|zone| zone.origin == *origin);
        let of = |state: &SecondaryState| AtSecondary {
            name: state.summary.name.clone(),
            address: state.summary.address,
            zones: state.zones.iter().filter(|zone| has(&zone.origin)).map(SecondaryZoneStatus::of).collect(),
        };
        self.secondaries.iter().map(of).collect()
    }
}

/// Some names, for a message.
fn list(names: &BTreeSet<DnsName>) -> String {
    let named: Vec<&str> = names.iter().take(LISTED).map(DnsName::as_str).collect();
    match names.len().saturating_sub(LISTED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

fn provenance(
    generation: &Generation,
    share: &Share,
    endpoint: &ResourceId,
    name: &DnsName,
    placement: &Placement,
    zones: &[Place],
) -> Provenance {
    let policy = match generation.publication.endpoints.get(&share.application) {
        None => "all",
        Some(EndpointPolicy::Prefer(_)) => "prefer",
        Some(EndpointPolicy::BySubnet(_)) => "by-subnet",
    };
    Provenance {
        record: record_status(generation, share, endpoint, name, placement),
        policy: policy.to_owned(),
        counts: zones.iter().any(|zone| zone.addresses.is_superset(&placement.addresses)),
    }
}
