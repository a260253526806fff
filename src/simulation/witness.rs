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
    /// The truth at each complete poll, the latest last.
    polls: BTreeMap<ResourceId, Vec<Truth>>,
    /// Every address that Azure ever had for a name.
    ever: BTreeMap<DnsName, BTreeSet<Ipv4Addr>>,
    /// Zone → its last serial and content; nothing while it is not published.
    zones: BTreeMap<DnsName, (u32, Option<Records>)>,
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
        polls.push(truth.clone());
        let (had, has) = (published(before, application), published(after, application));
        for (name, addresses) in truth.given.iter().filter(|_| is_certain) {
            let missing = has.get(name).is_none_or(|held| !held.is_superset(addresses));
            if missing {
                return Err(format!(
                    "{name} is not published with {addresses:?} at once, but with {:?}",
                    has.get(name)
                ));
            }
        }
        let last = |count: usize| polls.iter().rev().take(count);
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
        let gone = || had.keys().filter(|name| !has.contains_key(*name));
        for name in gone() {
            let proofs = last(REMOVAL_POLLS).filter(|truth| is_absent(truth, name)).count();
            if proofs < REMOVAL_POLLS {
                return Err(format!("{name} went with {proofs} proofs"));
            }
        }
        if !had.is_empty() && has.is_empty() {
            let proofs = last(BULK_POLLS).filter(|truth| gone().all(|name| is_cut(truth, name))).count();
            if proofs < BULK_POLLS {
                return Err(format!("the last name of {application} went with {proofs} proofs"));
            }
        }
        for (name, addresses) in &has {
            let known = self.ever.get(name);
            if let Some(other) =
                addresses.iter().find(|address| known.is_none_or(|known| !known.contains(address)))
            {
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
