//! The guard: additions and changed addresses pass at once, removals only with proof.
//!
//! The zones are small, so a percentage alone protects nothing: there are absolute limits, a
//! streak of agreeing complete polls, and "never to zero" (promise 3). What it holds back stays
//! published and is reported until it is proven, takes itself back, or an operator decides.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Absence, Derived, DnsName, Finding, FindingKind, GuardPolicy, Placement, ResourceId, Share};

/// A removal that Azure showed and the guard holds back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The application.
    pub application: ResourceId,
    /// The endpoint that gave the name.
    pub endpoint: ResourceId,
    /// The public name.
    pub name: DnsName,
    /// Why the latest complete poll lacks it.
    pub absence: Absence,
    /// When it was first missing.
    pub since: Timestamp,
    /// The current streak of complete polls in which the absence was proven.
    pub proven: Streak,
    /// What the streak has to reach.
    pub needs: Needs,
    /// An operator rejected the removal: it stays until Azure shows the name again.
    pub rejected: bool,
}

/// Complete polls in a row that agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Streak {
    /// How many.
    pub polls: u32,
    /// When the first of them was.
    pub since: Option<Timestamp>,
    /// Whether each of them would let the last name of the application go.
    #[serde(default)]
    pub may_empty: bool,
}

/// What ends a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Needs {
    /// Both sides of Azure have to agree first.
    Proof,
    /// That many proven polls in a row over at least that many seconds.
    Polls {
        /// Complete polls in a row.
        polls: u32,
        /// Seconds from the first of them.
        seconds: u64,
    },
    /// Only an operator: it would leave the application without any name.
    Operator,
}

/// What the guard remembers of one application between polls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GuardState {
    /// The removals held back.
    pub holds: Vec<Hold>,
    /// Zones without names that are not required any more.
    zones: BTreeMap<DnsName, Streak>,
}

/// One published name that changes, for logs and history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The privatelink zone now, or the last one of a name that goes.
    pub zone: DnsName,
    /// The public name.
    pub name: DnsName,
    /// The endpoint.
    pub endpoint: ResourceId,
    /// The endpoint's addresses of the name before.
    pub old: BTreeSet<Ipv4Addr>,
    /// The endpoint's addresses of the name now.
    pub new: BTreeSet<Ipv4Addr>,
    /// Why.
    pub cause: String,
}

/// What the guard makes of an observation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// The share to publish.
    pub share: Share,
    /// What to remember.
    pub state: GuardState,
    /// What changes against the current share.
    pub changes: Vec<Change>,
}

/// Reviews what an observation derived against what is published.
#[must_use]
pub fn review(
    current: Option<&Share>,
    derived: &Derived,
    state: &GuardState,
    policy: &GuardPolicy,
    now: Timestamp,
) -> Review {
    let mut share = derived.share.clone();
    let nothing = Share::empty(share.application.clone());
    let current = current.unwrap_or(&nothing);
    keep_ages(current, &mut share);

    let mut holds = missing(current, derived, &share, state, now);
    assess(current, &share, &mut holds, policy);
    let (held, released): (Vec<Hold>, Vec<Hold>) = holds.into_iter().partition(|hold| !hold.is_over(now));
    for hold in &held {
        keep(current, &mut share, hold);
    }
    let zones = zones(current, &mut share, state, policy, now);
    let mut changes = changes(current, &share, &released);
    changes.sort_by(|a, b| (&a.zone, &a.name).cmp(&(&b.zone, &b.name)));
    Review { share, state: GuardState { holds: held, zones }, changes }
}

/// Ends holds by an operator's word: the names go now.
///
/// Returns the share without them, what remains to be remembered, and the changes.
#[must_use]
pub fn approve(
    current: &Share,
    state: &GuardState,
    selected: impl Fn(&Hold) -> bool,
) -> (Share, GuardState, Vec<Change>) {
    let (gone, holds): (Vec<Hold>, Vec<Hold>) = state.holds.iter().cloned().partition(selected);
    let mut share = current.clone();
    for hold in &gone {
        if let Some(endpoint) = share.endpoints.get_mut(&hold.endpoint) {
            endpoint.names.remove(&hold.name);
            if endpoint.names.is_empty() {
                share.endpoints.remove(&hold.endpoint);
            }
        }
    }
    let mut changes = changes(current, &share, &[]);
    for change in &mut changes {
        change.cause = "an operator approved the removal".to_owned();
    }
    (share, GuardState { holds, zones: state.zones.clone() }, changes)
}

/// Holds every name of an application that no discovery lists and that cannot be read, so that an
/// operator can end it; a rejection stays.
#[must_use]
pub fn unreadable(current: &Share, state: &GuardState, now: Timestamp) -> GuardState {
    let known = by_name(&state.holds);
    let holds = current.placements().map(|(endpoint, name, _)| {
        let before = known.get(&(endpoint, name));
        Hold {
            application: current.application.clone(),
            endpoint: endpoint.clone(),
            name: name.clone(),
            absence: Absence::ApplicationUnreadable,
            since: before.map_or(now, |h| h.since),
            // As with every failed poll, what was proven before is neither more nor less so.
            proven: before.map(|h| h.proven).unwrap_or_default(),
            needs: Needs::Operator,
            rejected: before.is_some_and(|h| h.rejected),
        }
    });
    GuardState { holds: holds.collect(), zones: state.zones.clone() }
}

/// Takes back what [`unreadable`] held: the application is listed again.
#[must_use]
pub fn readable(state: &GuardState) -> GuardState {
    let mut state = state.clone();
    state.holds.retain(|hold| hold.absence != Absence::ApplicationUnreadable);
    state
}

/// Keeps names by an operator's word until Azure shows them again.
#[must_use]
pub fn reject(state: &GuardState, selected: impl Fn(&Hold) -> bool) -> GuardState {
    let mut state = state.clone();
    for hold in &mut state.holds {
        hold.rejected |= selected(hold);
    }
    state
}

impl GuardState {
    /// What survives a restart: an operator's rejections. Streaks start anew.
    #[must_use]
    pub fn from_rejections(holds: impl IntoIterator<Item = Hold>) -> Self {
        let holds = holds.into_iter().filter(|h| h.rejected).collect();
        Self { holds, zones: BTreeMap::new() }
    }
}

impl Hold {
    /// Whether the removal may happen now.
    fn is_over(&self, now: Timestamp) -> bool {
        match self.needs {
            Needs::Polls { polls, seconds } if !self.rejected => {
                self.proven.reached(polls, Duration::from_secs(seconds), now)
            }
            _ => false,
        }
    }

    /// The hold as a finding.
    #[must_use]
    pub fn finding(&self) -> Finding {
        let (kind, message) = if self.rejected {
            (
                FindingKind::RemovalRejected,
                format!("{}; an operator rejected the removal, so the record stays.", self.absence),
            )
        } else {
            let outlook = match self.needs {
                Needs::Proof => "Azure is converging: the record stays until both sides agree".to_owned(),
                Needs::Polls { polls, seconds } => format!(
                    "seen in {} of {polls} complete polls in a row, over at least {seconds} s",
                    self.proven.polls
                ),
                Needs::Operator => {
                    "it would leave the application without any name, so it stays until an operator \
                                    decides"
                        .to_owned()
                }
            };
            (
                FindingKind::RemovalHeld,
                format!(
                    "Removal held: {}; {outlook}. `privatelink-dns approve {name}` removes it now, \
                     `privatelink-dns reject {name}` keeps it.",
                    self.absence,
                    name = self.name
                ),
            )
        };
        Finding::of(&self.application, kind, self.name.as_str(), message)
    }
}

impl Streak {
    /// The streak with one more poll; it starts anew when the poll proves something else than those
    /// before, so that a single poll never turns a held removal into one of the last name.
    fn extended(self, may_empty: bool, now: Timestamp) -> Self {
        let before = if self.may_empty == may_empty { self } else { Self::default() };
        Self { polls: before.polls.saturating_add(1), since: before.since.or(Some(now)), may_empty }
    }

    fn reached(self, polls: u32, period: Duration, now: Timestamp) -> bool {
        let lasted = self.since.and_then(|since| Duration::try_from(now.duration_since(since)).ok());
        self.polls >= polls && lasted.is_some_and(|lasted| lasted >= period)
    }
}

/// An address that did not change keeps the time at which it was first observed.
fn keep_ages(current: &Share, share: &mut Share) {
    for (id, endpoint) in &mut share.endpoints {
        for (name, placement) in &mut endpoint.names {
            if let Some(old) = current.placement(id, name)
                && old.addresses == placement.addresses
            {
                placement.since = old.since;
            }
        }
    }
}

/// Holds by endpoint and name.
fn by_name(holds: &[Hold]) -> BTreeMap<(&ResourceId, &DnsName), &Hold> {
    holds.iter().map(|h| ((&h.endpoint, &h.name), h)).collect()
}

/// Everything published that the observation lacks, with the streak so far.
fn missing(
    current: &Share,
    derived: &Derived,
    share: &Share,
    state: &GuardState,
    now: Timestamp,
) -> Vec<Hold> {
    let known = by_name(&state.holds);
    current
        .placements()
        .filter(|(endpoint, name, _)| share.placement(endpoint, name).is_none())
        .map(|(endpoint, name, placement)| {
            let before = known.get(&(endpoint, name));
            let absence = derived.evidence.absence(endpoint, name, placement);
            let streak = before.map(|h| h.proven).unwrap_or_default();
            let may_empty = derived.evidence.may_empty(&absence);
            Hold {
                application: current.application.clone(),
                endpoint: endpoint.clone(),
                name: name.clone(),
                since: before.map_or(now, |h| h.since),
                proven: if absence.is_proven() { streak.extended(may_empty, now) } else { Streak::default() },
                needs: before.map_or(Needs::Proof, |h| h.needs),
                rejected: before.is_some_and(|h| h.rejected),
                absence,
            }
        })
        .collect()
}

/// Decides what each missing name needs, looking at all of them together.
fn assess(current: &Share, share: &Share, holds: &mut [Hold], policy: &GuardPolicy) {
    let total = current.names().len();
    let remaining = share.names();
    let lost: BTreeSet<&DnsName> =
        holds.iter().map(|h| &h.name).filter(|name| !remaining.contains(name)).collect();
    let bulk = lost.len() > policy.bulk_names && lost.len() * 100 > total * usize::from(policy.bulk_percent);
    // Unproven names stay, so then the proven ones cannot empty the application. A rejected one does
    // not count: keeping one name is no word on the others.
    let kept = !remaining.is_empty() || holds.iter().any(|h| !h.absence.is_proven());
    let lost: BTreeSet<DnsName> = lost.into_iter().cloned().collect();
    let many = Needs::Polls { polls: policy.bulk_polls, seconds: policy.bulk_period.as_secs() };
    for hold in holds {
        // Names that left in bulk stay a bulk when some of them are gone, approved or back.
        let in_bulk = (bulk || hold.needs == many) && lost.contains(&hold.name);
        hold.needs = if !hold.absence.is_proven() {
            Needs::Proof
        } else if !kept && !hold.proven.may_empty {
            Needs::Operator
        } else if !kept || in_bulk {
            many
        } else {
            Needs::Polls { polls: policy.removal_polls, seconds: policy.removal_period.as_secs() }
        };
    }
}

/// Puts a held name back into the share.
fn keep(current: &Share, share: &mut Share, hold: &Hold) {
    let Some(placement) = current.placement(&hold.endpoint, &hold.name) else { return };
    share.zones.insert(placement.zone.clone());
    let subnet = || current.endpoints.get(&hold.endpoint).and_then(|e| e.subnet.clone());
    let endpoint = share.endpoints.entry(hold.endpoint.clone()).or_default();
    if endpoint.subnet.is_none() {
        endpoint.subnet = subnet();
    }
    endpoint.names.insert(hold.name.clone(), placement.clone());
}

/// A zone that is not required any more goes when it has no names left and stayed so.
fn zones(
    current: &Share,
    share: &mut Share,
    state: &GuardState,
    policy: &GuardPolicy,
    now: Timestamp,
) -> BTreeMap<DnsName, Streak> {
    let mut streaks = BTreeMap::new();
    for zone in current.zones.difference(&share.zones.clone()) {
        let streak = state.zones.get(zone).copied().unwrap_or_default().extended(false, now);
        if !streak.reached(policy.bulk_polls, policy.bulk_period, now) {
            share.zones.insert(zone.clone());
            streaks.insert(zone.clone(), streak);
        }
    }
    streaks
}

/// The differences between two shares, name by name and endpoint by endpoint.
fn changes(current: &Share, share: &Share, released: &[Hold]) -> Vec<Change> {
    let before: BTreeMap<_, &Placement> = current.placements().map(|(e, n, p)| ((e, n), p)).collect();
    let after: BTreeMap<_, &Placement> = share.placements().map(|(e, n, p)| ((e, n), p)).collect();
    let released = by_name(released);
    let keys: BTreeSet<(&ResourceId, &DnsName)> = before.keys().chain(after.keys()).copied().collect();
    keys.into_iter()
        .filter_map(|(endpoint, name)| {
            let (old, new) = (before.get(&(endpoint, name)), after.get(&(endpoint, name)));
            let addresses = |p: Option<&&Placement>| p.map(|p| p.addresses.clone()).unwrap_or_default();
            let (old_addresses, new_addresses) = (addresses(old), addresses(new));
            let moved = old.zip(new).is_some_and(|(old, new)| old.zone != new.zone);
            if old_addresses == new_addresses && !moved {
                return None;
            }
            let cause = match (old, new) {
                (None, _) => "observed at the endpoint".to_owned(),
                (Some(old), Some(_)) if moved => format!("the name belonged to {} before", old.zone),
                (Some(_), Some(_)) => "the endpoint's address changed".to_owned(),
                (Some(_), None) => released
                    .get(&(endpoint, name))
                    .map(|h| format!("{} (in {} complete polls in a row)", h.absence, h.proven.polls))
                    .unwrap_or_default(),
            };
            Some(Change {
                zone: new.or(old)?.zone.clone(),
                name: name.clone(),
                endpoint: endpoint.clone(),
                old: old_addresses,
                new: new_addresses,
                cause,
            })
        })
        .collect()
}
