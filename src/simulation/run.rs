//! One list of events, carried out with the promises checked after each.

use std::net::Ipv4Addr;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RData;
use jiff::Timestamp;

use super::azure::{Azure, Polls};
use super::daemon::{BULK_POLLS, Crashed, Daemon, config};
use super::event::{APPLICATIONS, Event, Mishap, SECONDARIES};
use super::peers::Secondary;
use super::tally::Book as Tally;
use super::witness::{Witness, published};
use crate::serve::{Asker, Context, Counters, Image, Transport, answer};
use crate::sync::Selection;
use crate::targets::SimulatedTarget;
use crate::zones::{DnsName, Generation, ResourceId};

struct Simulation {
    azure: Azure,
    polls: Polls,
    daemon: Daemon,
    secondaries: Vec<Secondary>,
    target: SimulatedTarget,
    witness: Witness,
    counters: Counters,
    now: Timestamp,
    /// The latest that the clock ever showed.
    latest: Timestamp,
    named: u8,
    tally: Tally,
}

/// Carries the events out, ends all faults, and waits for everybody to agree.
pub(super) fn run(events: &[Event]) -> Result<Tally, String> {
    let now = Timestamp::from_second(1_755_216_000).map_err(|error| error.to_string())?;
    let azure = Azure::new();
    let named = (1 << APPLICATIONS) - 1;
    let daemon = Daemon::start(config(&azure.applications, named, false), now);
    let mut simulation = Simulation {
        polls: Polls::of(&azure),
        azure,
        daemon,
        secondaries: vec![Secondary::default(); usize::from(SECONDARIES)],
        target: SimulatedTarget::default(),
        witness: Witness::default(),
        counters: Counters::new().map_err(|error| error.to_string())?,
        now,
        latest: now,
        named,
        tally: Tally::default(),
    };
    for (number, event) in events.iter().enumerate() {
        simulation.event(*event).map_err(|broken| format!("{broken} (event {number}, {event:?})"))?;
    }
    simulation.converge().map_err(|broken| format!("{broken} (after the events)"))?;
    Ok(simulation.tally)
}

impl Simulation {
    fn wait(&mut self, seconds: i64) {
        let later = self.now.as_second() + seconds;
        self.now = Timestamp::from_second(later).unwrap_or(self.now);
        self.latest = self.latest.max(self.now);
    }

    /// Serials that are lost are overtaken by the time of day only. A clock that is behind as well may lead
    /// to a serial that a secondary has already, with another content; nobody could tell.
    fn lose_serials(&mut self) {
        self.witness.forget_serials();
        self.now = self.latest;
        self.wait(1);
    }

    fn event(&mut self, event: Event) -> Result<(), String> {
        // No two things happen in one second.
        self.wait(1);
        let before = self.daemon.served.clone();
        let mut was_raised = false;
        match event {
            Event::Wait(seconds) => self.wait(i64::from(seconds)),
            Event::ClockJump(seconds) => self.wait(i64::from(seconds)),
            Event::Poll(app) => self.poll(app)?,
            Event::DiskFull => self.daemon.disk.full = true,
            Event::DiskWell => self.daemon.disk.full = false,
            Event::CrashInSave(renamed) => self.daemon.disk.crash = Some(renamed),
            Event::Restart => self.restart()?,
            Event::LoseState => {
                self.lose_serials();
                self.target.lose_ledger();
                self.daemon.lose_state(self.now)?;
            }
            Event::Reload(named, per_name) => {
                self.named = named;
                let config = config(&self.azure.applications, named, per_name);
                let crashed = self.daemon.reload(config, self.now);
                self.survive(crashed)?;
            }
            Event::Approve => {
                let (_, step) = self.daemon.book.approve(&Selection::All, self.now);
                let crashed = self.daemon.take(&step);
                self.survive(crashed)?;
            }
            Event::Reject => {
                let (_, step) = self.daemon.book.reject(&Selection::All);
                let crashed = self.daemon.take(&step);
                self.survive(crashed)?;
            }
            Event::Transfer(index) => was_raised = self.transfer(index)?,
            Event::LoseSecondary(index) => self.secondaries[usize::from(index)] = Secondary::default(),
            Event::Push(mishap) => self.push(mishap)?,
            Event::Foreign(index, last) => {
                if let Some(owner) = self.owner(index) {
                    self.target.add(owner, Ipv4Addr::new(192, 0, 2, last));
                }
            }
            Event::Steal(index) => {
                if let Some(owner) = self.owner(index) {
                    self.target.steal(&owner);
                }
            }
            // The running daemon only.
            Event::DiskSlow(_) | Event::Deaf(..) => {}
            _ => self.azure.happen(event),
        }
        let after = self.daemon.served.clone();
        if before != after {
            self.tally.generations += 1;
            self.witness.serials(after.as_ref(), was_raised)?;
            self.answers()?;
        }
        Ok(())
    }

    /// A name of the zones, or one that nobody wants.
    fn owner(&self, index: u8) -> Option<DnsName> {
        let generation = self.daemon.served.as_ref()?;
        let zone = generation.zones.values().find(|zone| !zone.addresses.is_empty())?;
        match index {
            7 => "stranger.privatelink.azure-devices.net".parse().ok(),
            _ => zone.addresses.keys().nth(usize::from(index) % zone.addresses.len()).cloned(),
        }
    }

    fn poll(&mut self, app: u8) -> Result<(), String> {
        let id = self.azure.applications[usize::from(app)].clone();
        if !self.daemon.book.wanted().contains(&id) {
            return Ok(());
        }
        let truth = self.azure.truth(&id);
        self.witness.note(&truth);
        let is_certain = !self.azure.is_faulty();
        let before = self.daemon.served.clone();
        self.tally.polls += 1;
        let others = |simulation: &Self| {
            let generation = simulation.daemon.served.as_ref();
            let mut shares = generation.map(|generation| generation.shares.clone()).unwrap_or_default();
            shares.remove(&id);
            shares
        };
        let untouched = others(self);
        match self.polls.poll(&id, &self.daemon.endpoints(&id), self.now) {
            Err(error) => {
                if is_certain {
                    return Err(format!("a poll failed for nothing: {error}"));
                }
                self.tally.failures += 1;
                self.daemon.book.fail(&id, &error, self.now);
                let crashed = self.daemon.take(&crate::sync::Step::default());
                let died = crashed.is_err();
                self.survive(crashed)?;
                // Promise 2.
                if !died && self.daemon.served != before {
                    return Err(format!("a failed poll changed something: {error}"));
                }
            }
            Ok(observation) => {
                let step = self.daemon.book.observe(observation, self.now);
                if let Err(crashed) = self.daemon.take(&step) {
                    return self.survive(Err(crashed));
                }
                let after = self.daemon.served.clone();
                if others(self) != untouched {
                    return Err(format!("the poll of {id} changed another application"));
                }
                let names = |generation| published(generation, &id).len();
                self.tally.removals += names(before.as_ref()).saturating_sub(names(after.as_ref())) as u64;
                self.witness.polled(&id, &truth, is_certain, before.as_ref(), after.as_ref())?;
            }
        }
        Ok(())
    }

    /// Starts again when the daemon died (promise 5).
    fn survive(&mut self, result: Result<(), Crashed>) -> Result<(), String> {
        if result.is_err() { self.restart() } else { Ok(()) }
    }

    fn restart(&mut self) -> Result<(), String> {
        self.tally.restarts += 1;
        if self.daemon.durable != self.daemon.served {
            // The disk was full, or the crash came between rename and serving.
            self.lose_serials();
        }
        self.target.restart();
        self.daemon.restart(self.now)
    }

    /// A secondary is looked at and asks; says whether a serial was raised for it.
    fn transfer(&mut self, index: u8) -> Result<bool, String> {
        let mut was_raised = false;
        if !self.daemon.book.is_released() {
            return Ok(false);
        }
        let Some(generation) = self.daemon.served.clone() else { return Ok(false) };
        for (origin, seen) in self.secondaries[usize::from(index)].ahead(&generation) {
            if let Some((.., step)) = self.daemon.book.raise(&origin, seen, "secondary", self.now) {
                was_raised = true;
                if let Err(crashed) = self.daemon.take(&step) {
                    self.survive(Err(crashed))?;
                    return Ok(true);
                }
            }
        }
        let Some(generation) = self.daemon.served.clone() else { return Ok(was_raised) };
        let history = self.daemon.book.history();
        let changes = self.secondaries[usize::from(index)].transfer(&generation, &history)?;
        self.tally.changes_transferred += changes as u64;
        Ok(was_raised)
    }

    fn push(&mut self, mishap: Mishap) -> Result<(), String> {
        let Some(generation) = self.daemon.served.clone().filter(|_| self.daemon.book.is_released()) else {
            return Ok(());
        };
        self.tally.pushes += 1;
        if self.target.push(&generation, mishap.fate(), self.now)? { self.restart() } else { Ok(()) }
    }

    /// Whether clients get what is published.
    fn answers(&self) -> Result<(), String> {
        let Some(generation) = &self.daemon.served else { return Ok(()) };
        let complete = self.daemon.book.is_complete();
        let context = Context { complete, ..Context::default() };
        let image = Image::compile(generation, context, &self.counters).map_err(|error| error.to_string())?;
        answers(&image, generation, complete)
    }

    /// All faults end; everybody has to have Azure's names within a bounded number of polls.
    fn converge(&mut self) -> Result<(), String> {
        (self.daemon.disk.full, self.daemon.disk.crash) = (false, None);
        self.azure.calm();
        // The clock may have gone back; twice, because an approval may come between.
        for _ in 0..2 {
            for _ in 0..BULK_POLLS + 1 {
                self.wait(400);
                for app in 0..APPLICATIONS {
                    self.event(Event::Poll(app))?;
                }
            }
            self.event(Event::Approve)?;
        }
        self.event(Event::Restart)?;
        for index in 0..APPLICATIONS {
            self.event(Event::Poll(index))?;
            if self.named & 1 << index == 0 {
                continue;
            }
            let id: ResourceId = self.azure.applications[usize::from(index)].clone();
            let truth = self.azure.truth(&id);
            let has = published(self.daemon.served.as_ref(), &id);
            if has != truth.given {
                return Err(format!("{id} has {has:?}, and Azure {:?}", truth.given));
            }
        }
        for index in 0..SECONDARIES {
            self.event(Event::Transfer(index))?;
        }
        // A message may be under way for five minutes.
        for _ in 0..2 {
            self.event(Event::Wait(400))?;
            self.event(Event::Push(Mishap::None))?;
            self.event(Event::Push(Mishap::None))?;
        }
        match self.daemon.served.as_ref().filter(|_| self.daemon.book.is_released()) {
            Some(generation) => self.target.agrees(generation),
            None => Err("nothing is released".to_owned()),
        }
    }
}

/// Whether clients get exactly what a generation publishes, and denials only when everything was read.
pub(super) fn answers(image: &Image, generation: &Generation, complete: bool) -> Result<(), String> {
    for (origin, zone) in generation.zones.iter().filter(|(_, zone)| zone.form.is_answered()) {
        for (owner, addresses) in &zone.addresses {
            let (code, mut found) = ask(image, owner)?;
            found.sort();
            if code != ResponseCode::NoError || !found.iter().eq(addresses) {
                return Err(format!("{owner} is answered {code} {found:?}, not {addresses:?}"));
            }
        }
        let stranger = origin.prepend("nobody").map_err(|error| error.to_string())?;
        let (code, _) = ask(image, &stranger)?;
        if (code == ResponseCode::NXDomain) != complete {
            return Err(format!("{stranger} is answered {code}, complete: {complete}"));
        }
    }
    Ok(())
}

/// A query for A records over TCP, and what comes back.
pub(super) fn ask(image: &Image, name: &DnsName) -> Result<(ResponseCode, Vec<Ipv4Addr>), String> {
    const ASKER: Asker = Asker {
        transport: Transport::Tcp,
        allowed: true,
        recursion: false,
        truncate: false,
        view: None,
        secondary: false,
        reserve: 0,
    };
    let mut query = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend(name.to_wire());
    query.extend([0, 1, 0, 1]);
    let mut response = Vec::new();
    let _ = answer(image, &query, ASKER, &mut response);
    let message = Message::from_vec(&response).map_err(|error| error.to_string())?;
    let address = |record: &hickory_proto::rr::Record| match record.data {
        RData::A(address) => Some(address.0),
        _ => None,
    };
    Ok((message.metadata.response_code, message.answers.iter().filter_map(address).collect()))
}
