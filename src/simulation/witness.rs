//! Who remembers what Azure was at every poll, and holds it against what the daemon does.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::azure::Truth;
use super::daemon::{BULK_POLLS, REMOVAL_POLLS};
use super::peers::{Records, records};
use crate::zones::generation::is_greater;
use crate::zones::{DnsName, Generation, ResourceId};

/// What was seen so far.
#[derive(Default)]
pub(super) struct Witness {
    /// The polls of each application, the latest last.
    polls: BTreeMap<ResourceId, Vec<Poll>>,
    /// Every address that Azure ever had for a name.
    ever: BTreeMap<DnsName, BTreeSet<Ipv4Addr>>,
    /// Zone → its last serial and content; nothing while it is not published.
    zones: BTreeMap<DnsName, (u32, Option<Records>)>,
}

/// What is known of a poll.
struct Poll {
    /// What was true while it went on: one truth only where polls take no time.
    truths: Vec<Truth>,
    /// It may have come to nothing.
    is_doubtful: bool,
}

/// The published addresses of an application's names.
pub(super) fn published(
    generation: Option<&Arc<Generation>>,
    application: &ResourceId,
) -> BTreeMap<DnsName, BTreeSet<Ipv4Addr>> {
    let mut names = BTreeMap::<DnsName, BTreeSet<Ipv4Addr>>::new();
    let share = generation.and_then(|generation| generation.shares.get(application));
    for (_, name, placement) in share.iter().flat_map(|share| share.placements()) {
        names.entry(name.clone()).or_default().extend(&placement.addresses);
    }
    names
}

impl Witness {
    /// Before a poll: what Azure could show.
    pub(super) fn note(&mut self, truth: &Truth) {
        for (name, addresses) in &truth.given {
            self.ever.entry(name.clone()).or_default().extend(addresses);
        }
    }

    /// After a complete poll (promises 1, 3 and 4).
    pub(super) fn polled(
        &mut self,
        application: &ResourceId,
        truth: &Truth,
        is_certain: bool,
        before: Option<&Arc<Generation>>,
        after: Option<&Arc<Generation>>,
    ) -> Result<(), String> {
        let polls = self.polls.entry(application.clone()).or_default();
        polls.push(Poll { truths: vec![truth.clone()], is_doubtful: false });
        let has = published(after, application);
        for (name, addresses) in truth.given.iter().filter(|_| is_certain) {
            let missing = has.get(name).is_none_or(|held| !held.is_superset(addresses));
            if missing {
                return Err(format!(
                    "{name} is not published with {addresses:?} at once, but with {:?}",
                    has.get(name)
                ));
            }
        }
        self.removals(application, before, after)?;
        self.given(application, after)
    }

    /// A poll begins while this is true.
    pub(super) fn begins(&mut self, application: &ResourceId, truth: Truth, is_doubtful: bool) {
        let poll = Poll { truths: vec![truth], is_doubtful };
        self.polls.entry(application.clone()).or_default().push(poll);
    }

    /// This has become true, perhaps while a poll is under way.
    pub(super) fn becomes(&mut self, application: &ResourceId, truth: &Truth) {
        self.note(truth);
        if let Some(poll) = self.polls.get_mut(application).and_then(|polls| polls.last_mut()) {
            poll.truths.push(truth.clone());
        }
    }

    /// Polls that are under way may come to nothing.
    pub(super) fn disturb(&mut self) {
        self.polls.values_mut().filter_map(|polls| polls.last_mut()).for_each(|poll| poll.is_doubtful = true);
    }

    /// Names go only after as many polls as that takes, and the last one of an application after more
    /// (promises 3 and 4).
    pub(super) fn removals(
        &self,
        application: &ResourceId,
        before: Option<&Arc<Generation>>,
        after: Option<&Arc<Generation>>,
    ) -> Result<(), String> {
        let (had, has) = (published(before, application), published(after, application));
        let polls = self.polls.get(application);
        // Endpoint by endpoint: one that is gone, or not approved any more, takes its names with it.
        let share = before.and_then(|generation| generation.shares.get(application));
        let givers = |name: &DnsName| -> BTreeSet<&ResourceId> {
            let placements = share.iter().flat_map(|share| share.placements());
            placements.filter(|(_, given, _)| *given == name).map(|(endpoint, ..)| endpoint).collect()
        };
        let is_cut =
            |truth: &Truth, name: &DnsName| givers(name).iter().all(|e| !truth.approved.contains(*e));
        let is_absent = |truth: &Truth, name: &DnsName| {
            !truth.given.contains_key(name) && (is_cut(truth, name) || !truth.required.contains(name))
        };
        // Back to the one that has surely seen it there, unless that may be still under way.
        let proofs = |is_proof: &dyn Fn(&Truth) -> bool| {
            let polls = polls.iter().flat_map(|polls| polls.iter().rev().enumerate());
            let proves = |poll: &Poll| poll.truths.iter().any(is_proof);
            let since = polls.take_while(|(age, poll)| *age == 0 || poll.is_doubtful || proves(poll));
            since.filter(|(_, poll)| proves(poll)).count()
        };
        let gone = || had.keys().filter(|name| !has.contains_key(*name));
        for name in gone() {
            let proofs = proofs(&|truth| is_absent(truth, name));
            if proofs < REMOVAL_POLLS {
                return Err(format!("{name} went with {proofs} proofs"));
            }
        }
        if !had.is_empty() && has.is_empty() {
            let proofs = proofs(&|truth| gone().all(|name| is_cut(truth, name)));
            if proofs < BULK_POLLS {
                return Err(format!("the last name of {application} went with {proofs} proofs"));
            }
        }
        Ok(())
    }

    /// Nothing is published that Azure never gave (promise 1).
    pub(super) fn given(
        &self,
        application: &ResourceId,
        after: Option<&Arc<Generation>>,
    ) -> Result<(), String> {
        for (name, addresses) in published(after, application) {
            let known = self.ever.get(&name);
            let is_strange = |address: &&Ipv4Addr| known.is_none_or(|known| !known.contains(*address));
            if let Some(other) = addresses.iter().find(is_strange) {
                return Err(format!("{name} has {other}, which Azure never gave it"));
            }
        }
        Ok(())
    }

    /// Whatever happened: serials rise exactly when content changes (promise 6).
    pub(super) fn serials(
        &mut self,
        generation: Option<&Arc<Generation>>,
        was_raised: bool,
    ) -> Result<(), String> {
        for (origin, zone) in generation.iter().flat_map(|generation| &generation.zones) {
            let serial = generation.and_then(|generation| generation.serial(origin));
            let serial = serial.ok_or_else(|| format!("{origin} has no serial"))?;
            let content = records(zone);
            if let Some((last, before)) = self.zones.get(origin) {
                let is_same = before.as_ref() == Some(&content);
                let right = match is_same {
                    true => serial == *last || was_raised && is_greater(serial, *last),
                    false => is_greater(serial, *last),
                };
                if !right {
                    let what = if is_same { "the same" } else { "another" };
                    return Err(format!("{origin} went from {last} to {serial} with {what} content"));
                }
            }
            self.zones.insert(origin.clone(), (serial, Some(content)));
        }
        let is_gone = |origin: &DnsName| generation.is_none_or(|g| !g.zones.contains_key(origin));
        for (_, (_, content)) in self.zones.iter_mut().filter(|(origin, _)| is_gone(origin)) {
            *content = None;
        }
        Ok(())
    }

    /// The daemon has lost a change, or everything: its serials may be those of an earlier time.
    pub(super) fn forget_serials(&mut self) {
        self.zones.clear();
    }
}
