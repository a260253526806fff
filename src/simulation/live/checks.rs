//! What holds at any moment, what must have happened in a bounded time, and whether everybody agrees.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use super::{BOUND, Live, lock};
use crate::outside;
use crate::simulation::event::APPLICATIONS;
use crate::simulation::run::answers;
use crate::simulation::witness::published;
use crate::sync::View;
use crate::zones::{DnsName, FindingKind, Generation};

/// The longest time without a pulse.
const PULSE: SignedDuration = SignedDuration::from_secs(30);

impl Live {
    /// Checks what holds at any moment.
    pub(super) async fn look(&mut self) -> Result<(), String> {
        self.latest = self.latest.max(outside::now());
        let (broken, dies) = {
            let mut common = lock(&self.common);
            (common.broken.take(), std::mem::take(&mut common.dies))
        };
        if let Some(broken) = broken {
            return Err(broken);
        }
        if dies {
            return Box::pin(self.restart(true)).await;
        }
        let running = self.running.as_mut().ok_or("nothing runs")?;
        running.is_well()?;
        let silence = outside::now().duration_since(running.handle.pulse());
        if self.jumped.elapsed() > Duration::from_secs(15) && silence > PULSE {
            return Err(format!("no pulse for {silence}"));
        }
        let view = running.handle.view();
        let after = view.generation.clone();
        let is_new = match (&self.seen, &after) {
            (Some(seen), Some(after)) => !Arc::ptr_eq(seen, after),
            (None, None) => false,
            _ => true,
        };
        if is_new {
            self.generation(&view, self.seen.clone().as_ref())?;
            self.seen = after;
            self.found.clear();
        }
        self.timely(&view)
    }

    /// Checks a generation that is new, and what answers come from.
    fn generation(&mut self, view: &View, before: Option<&Arc<Generation>>) -> Result<(), String> {
        let after = view.generation.as_ref();
        self.tally.generations += 1;
        let durable = lock(&self.disk).durable.clone();
        if after != durable.as_ref() && !is_unsaved(view) {
            return Err(format!(
                "what is served is not on the disk: {:?}",
                numbers(&view.generation, &durable)
            ));
        }
        let running = self.running.as_ref().ok_or("nothing runs")?;
        if let Some(generation) = after {
            answers(&running.serving.load().image, generation, view.complete)?;
        }
        let mut common = lock(&self.common);
        common.witness.serials(after, true)?;
        for id in &self.azure.applications {
            if !self.is_allowed {
                common.witness.removals(id, before, after)?;
            }
            common.witness.given(id, after)?;
            let names = |generation| published(generation, id).len();
            self.tally.removals += names(before).saturating_sub(names(after)) as u64;
        }
        self.is_allowed = false;
        Ok(())
    }

    /// Checks that new names are published in time.
    fn timely(&mut self, view: &View) -> Result<(), String> {
        if self.azure.is_faulty() {
            self.disturbed();
        }
        for index in (0..APPLICATIONS).filter(|index| self.named & 1 << index != 0) {
            let id = &self.azure.applications[usize::from(index)];
            if self.quiet[id].elapsed() < BOUND || self.found.contains(id) {
                continue;
            }
            let has = published(view.generation.as_ref(), id);
            let truth = self.azure.truth(id);
            let missing = |(name, addresses): &(&DnsName, &BTreeSet<Ipv4Addr>)| {
                has.get(*name).is_none_or(|held| !held.is_superset(addresses))
            };
            if let Some((name, addresses)) = truth.given.iter().find(missing) {
                return Err(format!(
                    "{name} with {addresses:?} is not published in time: {:?}",
                    has.get(name)
                ));
            }
        }
        Ok(())
    }

    /// Whether everybody has what Azure has.
    pub(super) fn agree(&self) -> Result<(), String> {
        let running = self.running.as_ref().ok_or("nothing runs")?;
        let view = running.handle.view();
        for index in (0..APPLICATIONS).filter(|index| self.named & 1 << index != 0) {
            let id = &self.azure.applications[usize::from(index)];
            let (has, truth) = (published(view.generation.as_ref(), id), self.azure.truth(id));
            if has != truth.given {
                return Err(format!("{id} has {has:?}, and Azure {:?}", truth.given));
            }
        }
        let Some(generation) = &view.generation else {
            // Nothing was ever found of what is wanted.
            return Ok(());
        };
        if !view.released {
            return Err("nothing is released".to_owned());
        }
        let serving = running.serving.load_full();
        for server in &self.nameservers {
            lock(server).agrees(&serving)?;
        }
        let states = running.secondaries.summaries(outside::now());
        if let Some(state) = states.into_iter().find(|state| state.behind > 0) {
            return Err(format!("a secondary is not known to be current: {state:?}"));
        }
        lock(&self.server).target.agrees(generation)
    }
}

/// Whether it is told that what is served may not be on the disk.
pub(super) fn is_unsaved(view: &View) -> bool {
    view.findings.iter().any(|finding| finding.kind == FindingKind::StoreFailed)
}

pub(super) fn numbers(one: &Option<Arc<Generation>>, other: &Option<Arc<Generation>>) -> [Option<u64>; 2] {
    [one, other].map(|generation| generation.as_ref().map(|generation| generation.number))
}
