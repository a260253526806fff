//! The engine: the one task that writes the book.
//!
//! Pollers and the operator send events; the engine takes them one after the other, derives,
//! guards, saves and publishes. Reads of Azure run beside it, so no application waits for
//! another, and nothing is locked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::book::{Book, Step};
use super::event::{Command, Event};
use super::handle::{Handle, Pulse};
use super::log::{FindingLog, log_changes};
use super::poller::{Poller, Pollers};
use super::statistics::Statistics;
use super::view::{Loaded, View};
use crate::azure::Azure;
use crate::config::Config;
use crate::outside;
use crate::propagation::Propagation;
use crate::serve::{Counters, Raise, Recursion, Secondaries, Shared, Transfers};
use crate::store::{Saved, Store, StoreError};
use crate::targets::Targets;
use crate::verify::Verify;
use crate::zones::{Finding, FindingKind, ResourceId};

mod publish;

/// Events that wait while the engine works on one.
const QUEUE: usize = 256;

/// How often staleness is looked at and the pulse is given.
const TICK: Duration = Duration::from_secs(1);

/// How long a change waits for the disk before it is served unsaved. Well below the 30 s without a
/// pulse that count as a hung engine: a slow disk must not end answers that are fine.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the engine works with.
pub struct Parts {
    /// The checked configuration.
    pub config: Arc<Config>,
    /// The ARM client.
    pub azure: Arc<Azure>,
    /// What asks public DNS.
    pub recursion: Option<Recursion>,
    /// Who may transfer the zones.
    pub transfers: Arc<Transfers>,
    /// The state directory.
    pub store: Store,
    /// What it held.
    pub saved: Option<Saved>,
    /// Findings from the start, such as state that was moved aside.
    pub findings: Vec<Finding>,
    /// Where answers come from.
    pub serving: Shared,
    /// Counts answers by zone.
    pub counters: Arc<Counters>,
    /// Counts polls and changes.
    pub statistics: Arc<Statistics>,
    /// Who is notified of changes.
    pub secondaries: Arc<Secondaries>,
    /// Serials that they have and that are greater than ours.
    pub raises: mpsc::Receiver<Raise>,
    /// What is kept in step by writing to it.
    pub targets: Arc<Targets>,
    /// How long changes take.
    pub propagation: Propagation,
    /// What looks whether names lead where they should.
    pub verify: Arc<Verify>,
}

/// The engine.
pub struct Engine {
    config: Arc<Config>,
    azure: Arc<Azure>,
    recursion: Option<Recursion>,
    transfers: Arc<Transfers>,
    store: Arc<Store>,
    book: Book,
    /// State that could not be written yet.
    unsaved: bool,
    /// There were complete polls since the last write. By themselves they are no reason for one,
    /// which would be one every few seconds.
    polled: bool,
    /// A write that is under way for longer than a change waits for it.
    saving: Option<JoinHandle<Result<(), StoreError>>>,
    /// Findings that polls do not renew.
    standing: BTreeMap<FindingKind, Finding>,
    configuration: Loaded,
    serving: Shared,
    counters: Arc<Counters>,
    statistics: Arc<Statistics>,
    secondaries: Arc<Secondaries>,
    raises: mpsc::Receiver<Raise>,
    /// What was last told of secondaries.
    secondary_findings: Vec<Finding>,
    targets: Arc<Targets>,
    /// What was last told of targets.
    target_findings: Vec<Finding>,
    propagation: Propagation,
    verify: Arc<Verify>,
    /// What was last told of names.
    verify_findings: Vec<Finding>,
    log: FindingLog,
    /// Members that public DNS was asked for, when this was last looked at.
    leaks: BTreeMap<String, u64>,
    view: watch::Sender<Arc<View>>,
    pulse: Pulse,
    sender: mpsc::Sender<Event>,
    events: mpsc::Receiver<Event>,
    pollers: BTreeMap<ResourceId, Poller>,
    discoverers: Vec<Poller>,
    last_poller: u64,
    tasks: JoinSet<()>,
}

/// The engine cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A task ended in a panic.
    #[error("a task of the engine failed: {0}")]
    Task(#[from] JoinError),
}

impl Engine {
    /// Opens the book and publishes what it holds, so that answers can be given at once.
    ///
    /// # Errors
    /// When a task fails.
    pub async fn open(parts: Parts, now: Timestamp) -> Result<(Self, Handle), EngineError> {
        let (sender, events) = mpsc::channel(QUEUE);
        let book = Book::open(parts.saved, parts.config.clone(), now);
        let mut engine = Self {
            book,
            unsaved: false,
            polled: false,
            saving: None,
            standing: parts.findings.into_iter().map(|f| (f.kind, f)).collect(),
            configuration: Loaded { successful: true, at: now },
            config: parts.config.clone(),
            azure: parts.azure,
            recursion: parts.recursion,
            transfers: parts.transfers,
            store: Arc::new(parts.store),
            serving: parts.serving,
            counters: parts.counters,
            statistics: parts.statistics,
            secondaries: parts.secondaries,
            raises: parts.raises,
            secondary_findings: Vec::new(),
            targets: parts.targets,
            target_findings: Vec::new(),
            propagation: parts.propagation,
            verify: parts.verify,
            verify_findings: Vec::new(),
            log: FindingLog::default(),
            leaks: BTreeMap::new(),
            view: watch::Sender::new(Arc::new(View::empty(now))),
            pulse: Pulse::default(),
            sender,
            events,
            pollers: BTreeMap::new(),
            discoverers: Vec::new(),
            last_poller: 0,
            tasks: JoinSet::new(),
        };
        engine.pulse.beat();
        let mut step = engine.book.configure(parts.config, now);
        // What was saved has to be served even when nothing changed.
        step.generation = engine.book.generation().is_some();
        engine.take(step, now).await?;
        let handle = Handle {
            events: engine.sender.clone(),
            view: engine.view.subscribe(),
            pulse: engine.pulse.clone(),
        };
        Ok((engine, handle))
    }

    /// Polls, takes events and publishes until `stop`.
    ///
    /// # Errors
    /// When a task fails.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), EngineError> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        self.start_discoverers();
        self.start_pollers();
        loop {
            tokio::select! {
                // The pulse first: whatever comes in, it tells that the engine works it off.
                biased;
                () = stop.cancelled() => break,
                _ = tick.tick() => {
                    self.pulse.beat();
                    self.refresh(outside::now());
                }
                Some(ended) = self.tasks.join_next() => ended?,
                result = ended(&mut self.saving) => {
                    self.saving = None;
                    self.saved(result?);
                    self.take(Step::default(), outside::now()).await?;
                }
                Some(raise) = self.raises.recv() => self.raise(&raise).await?,
                Some(event) = self.events.recv() => self.event(event).await?,
            }
        }
        self.pollers.clear();
        self.discoverers.clear();
        self.tasks.shutdown().await;
        if self.saving.is_some() {
            let result = ended(&mut self.saving).await;
            self.saved(result?);
        }
        if self.unsaved || self.polled {
            self.save().await?;
        }
        Ok(())
    }

    async fn event(&mut self, event: Event) -> Result<(), EngineError> {
        let now = outside::now();
        match event {
            Event::Polled(poller, id, duration, result) => {
                if self.pollers.get(&id).is_none_or(|p| p.number != poller) {
                    return Ok(());
                }
                self.statistics.polled(duration);
                match result {
                    Ok(observation) => {
                        let (before, seen) = (self.changed(), observation.at);
                        let step = self.book.observe(observation, now);
                        if let Some(number) = self.changed().filter(|number| before != Some(*number)) {
                            self.propagation.seen(number, seen);
                        }
                        self.polled = true;
                        self.take(step, now).await?;
                    }
                    Err(error) => {
                        self.book.fail(&id, &error, now);
                        self.take(Step::default(), now).await?;
                    }
                }
                self.start_pollers();
            }
            Event::Discovered(poller, index, result) => {
                if self.discoverers.get(index).is_none_or(|p| p.number != poller) {
                    return Ok(());
                }
                let step = match result {
                    Ok(ids) => self.book.discovered(index, ids, now),
                    Err(error) => {
                        self.book.discovery_failed(index, &error);
                        Step::default()
                    }
                };
                self.start_pollers();
                self.take(step, now).await?;
            }
            Event::Command(command) => self.command(command, now).await?,
        }
        Ok(())
    }

    /// The last generation that changed a zone.
    fn changed(&self) -> Option<u64> {
        self.book.history().back().map(|difference| difference.number)
    }

    async fn command(&mut self, command: Command, now: Timestamp) -> Result<(), EngineError> {
        // Nobody waits any more when the asker's connection has ended.
        match command {
            Command::Poll(reply) => {
                self.pollers.values().for_each(Poller::wake);
                self.discoverers.iter().for_each(Poller::wake);
                let _ = reply.send(self.pollers.len());
            }
            Command::Approve(selection, reply) => {
                let (count, step) = self.book.approve(&selection, now);
                self.take(step, now).await?;
                self.start_pollers();
                let _ = reply.send(count);
            }
            Command::Reject(selection, reply) => {
                let (count, step) = self.book.reject(&selection);
                self.take(step, now).await?;
                let _ = reply.send(count);
            }
            Command::Reload(config, azure, (recursion, transfers), reply) => {
                self.configuration = Loaded { successful: true, at: now };
                self.standing.remove(&FindingKind::ReloadRefused);
                self.config = config.clone();
                (self.azure, self.recursion, self.transfers) = (azure, recursion, transfers);
                // Their client or interval may have changed.
                self.pollers.clear();
                self.discoverers.clear();
                let step = self.book.configure(config, now);
                self.take(Step { generation: true, ..step }, now).await?;
                self.start_discoverers();
                self.start_pollers();
                let _ = reply.send(());
            }
            Command::ReloadRefused(reason) => {
                self.configuration.successful = false;
                let finding = Finding::global(
                    FindingKind::ReloadRefused,
                    "configuration",
                    format!(
                        "The last reload was refused, the configuration before it stays in force. {reason}"
                    ),
                );
                self.standing.insert(finding.kind, finding);
                self.publish(now);
            }
        }
        Ok(())
    }

    /// Overtakes a serial that a secondary has.
    async fn raise(&mut self, raise: &Raise) -> Result<(), EngineError> {
        let now = outside::now();
        let Some((from, to, step)) = self.book.raise(&raise.zone, raise.seen, &raise.secondary, now) else {
            return Ok(());
        };
        tracing::warn!(
            secondary = %raise.secondary, zone = %raise.zone, seen = raise.seen, from, to,
            "a secondary has a greater serial, of an earlier primary or of a state that was lost; the zone's was raised"
        );
        self.take(step, now).await
    }

    /// Logs, saves and publishes what an entry in the book changed.
    async fn take(&mut self, step: Step, now: Timestamp) -> Result<(), EngineError> {
        let number = self.book.generation().map_or(0, |g| g.number);
        log_changes(&step.changes, number);
        self.statistics.changed(&step.changes);
        self.unsaved |= step.dirty;
        if self.unsaved && self.saving.is_none() {
            self.save().await?;
        }
        // Which applications are known decides how missing names are answered, and whether secondaries may
        // have the zones.
        let generation = self.book.generation().is_some();
        let released = generation && self.book.is_released() && self.serving.load().source.is_none();
        if step.generation || released || generation && *self.serving.load().image.context() != self.context()
        {
            self.serve().await?;
        }
        self.publish(now);
        Ok(())
    }

    /// Writes the state and waits for the disk, but not for ever: then the write goes on while what
    /// it holds is served, and the next one follows when it ends.
    async fn save(&mut self) -> Result<(), EngineError> {
        let Some(saved) = self.book.saved() else { return Ok(()) };
        let store = self.store.clone();
        let mut saving = outside::writing(move || store.save(&saved));
        (self.unsaved, self.polled) = (false, false);
        match timeout(PATIENCE, &mut saving).await {
            Ok(result) => self.saved(result?),
            Err(_) => {
                self.saving = Some(saving);
                let seconds = PATIENCE.as_secs();
                self.store_failed(format!("The disk has not taken the accepted generation for {seconds} s."));
            }
        }
        self.pulse.beat();
        Ok(())
    }

    /// Takes the end of a write; after a failure the next event tries again.
    fn saved(&mut self, result: Result<(), StoreError>) {
        self.statistics.saved(result.is_ok());
        match result {
            Ok(()) => {
                self.standing.remove(&FindingKind::StoreFailed);
            }
            Err(error) => {
                self.unsaved = true;
                self.store_failed(format!("The accepted generation could not be saved: {error}."));
            }
        }
    }

    fn store_failed(&mut self, what: String) {
        let message = format!(
            "{what} It is served, but a restart would serve the one before; free the disk or mend the directory. \
             It is tried again with every poll."
        );
        let finding = Finding::global(FindingKind::StoreFailed, "state directory", message);
        self.standing.insert(finding.kind, finding);
    }

    /// One poller for each wanted application, none for any other.
    fn start_pollers(&mut self) {
        let wanted = self.book.wanted();
        self.pollers.retain(|id, _| wanted.contains(id));
        for id in wanted {
            if !self.pollers.contains_key(&id) {
                let view = self.view.subscribe();
                let poller = self.starting().poll(id.clone(), view);
                self.pollers.insert(id, poller);
            }
        }
    }

    fn start_discoverers(&mut self) {
        for (index, discovery) in self.config.clone().discoveries.iter().enumerate() {
            let discoverer = self.starting().discover(index, discovery.clone());
            self.discoverers.push(discoverer);
        }
    }

    fn starting(&mut self) -> Pollers<'_> {
        Pollers {
            tasks: &mut self.tasks,
            azure: &self.azure,
            interval: self.config.azure.poll_interval,
            events: &self.sender,
            last: &mut self.last_poller,
        }
    }
}

/// The end of a write; never, when there is none.
async fn ended<T>(work: &mut Option<JoinHandle<T>>) -> Result<T, JoinError> {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}
