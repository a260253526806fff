//! The running daemon in virtual time: engine, pollers, discovery, NOTIFY and targets as they are, with an
//! Azure, a disk, secondaries and a target that misbehave by seed.
//!
//! The simulation of the book (`run`) chooses when a poll is made, and knows exactly what must follow. Here
//! the daemon chooses, reads take time, and the world changes in the middle of polls, writes and
//! transfers; so what is checked is what holds at any moment, and what must have happened in a bounded time.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep, sleep_until};

use super::azure::{Azure, Truth};
use super::daemon::BULK_POLLS;
use super::event::{APPLICATIONS, Event, SECONDARIES};
use super::nameserver::{self, Nameserver};
use super::running::{Disk, Running};
use super::tally::Live as Tally;
use super::witness::Witness;
use crate::config::Config;
use crate::outside::{self, simulated};
use crate::serve::Shared;
use crate::sync::tests::build;
use crate::sync::{Command, Selection};
use crate::targets::tests::inside::Inside;
use crate::targets::{Fate, SimulatedTarget};
use crate::zones::{DnsName, Generation, ResourceId};

mod checks;

use checks::{is_unsaved, numbers};

/// The longest time between two events.
const PAUSE: Duration = Duration::from_secs(20);

/// Where Azure is.
const AZURE: &str = "127.0.0.1:1";

/// The poll interval.
const INTERVAL: Duration = Duration::from_secs(30);

/// In such a time a new name is published, whatever is wrong with disk, secondaries, targets and other
/// applications: the rest of a poll that was under way and the pause that ARM asked for, one interval, a
/// poll, and a disk that is waited for.
const BOUND: Duration = Duration::from_secs(120);

/// A server that stays primary, and what becomes of the next message to it.
#[derive(Default)]
struct Server {
    target: SimulatedTarget,
    fate: Option<Fate>,
    /// The daemon that may write; later ones follow those that were killed.
    life: u64,
    pushes: u64,
}

/// What tasks beside the driver have a hand in.
#[derive(Default)]
struct Common {
    witness: Witness,
    /// The first promise that was broken in a task.
    broken: Option<String>,
    /// The daemon has to die.
    dies: bool,
    polls: u64,
}

struct Live {
    azure: Azure,
    disk: Arc<Mutex<Disk>>,
    server: Arc<Mutex<Server>>,
    nameservers: Vec<Arc<Mutex<Nameserver>>>,
    /// The primary that secondaries see; nothing while the daemon is down.
    primary: Arc<Mutex<Option<Shared>>>,
    common: Arc<Mutex<Common>>,
    config: Arc<Config>,
    named: u8,
    running: Option<Running>,
    /// The generation that was looked at last.
    seen: Option<Arc<Generation>>,
    /// Since when nothing has happened to an application.
    quiet: BTreeMap<ResourceId, Instant>,
    /// Applications whose names were all found published since anything has changed.
    found: BTreeSet<ResourceId>,
    /// Names may go without proofs, until a generation has shown it.
    is_allowed: bool,
    /// The clock was put.
    jumped: Instant,
    /// The latest that the clock ever showed.
    latest: Timestamp,
    tally: Tally,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("lock")
}

/// Carries the events out, ends all faults, and waits for everybody to agree.
pub(super) fn run(events: &[Event]) -> Result<Tally, String> {
    fastrand::seed(7);
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.map_err(|error| error.to_string())?.block_on(async {
        let nameservers: Vec<Arc<Mutex<Nameserver>>> = (0..SECONDARIES).map(|_| Arc::default()).collect();
        let reachable = nameservers.clone();
        let network = move |server: SocketAddr, _tcp: bool, message: &[u8]| {
            let index = (0..SECONDARIES).find(|index| nameserver::address(*index) == server)?;
            lock(&reachable[usize::from(index)]).hear(message)
        };
        let time = Timestamp::from_second(1_755_216_000).map_err(|error| error.to_string())?;
        let world = simulated::World {
            time,
            at: Instant::now(),
            disk: Duration::from_millis(20),
            network: Arc::new(network),
        };
        let _entered = simulated::enter(world);
        let mut live = Live::new(nameservers);
        live.start().await?;
        for index in 0..SECONDARIES {
            live.attend(index);
        }
        for (number, event) in events.iter().enumerate() {
            let broken = |broken| format!("{broken} (event {number}, {event:?}, at {})", outside::now());
            live.event(*event).await.map_err(broken)?;
            live.wait(pause(&events[..=number])).await.map_err(broken)?;
        }
        live.converge().await.map_err(|broken| format!("{broken} (after the events)"))?;
        Ok(live.tally())
    })
}

/// The pause behind the last of these events. It follows from the event, and from how many of its like there
/// were, so that it stays the same when a list is made shorter.
fn pause(events: &[Event]) -> Duration {
    let mut hasher = DefaultHasher::new();
    let last = events.last();
    let count = events.iter().filter(|event| Some(*event) == last).count();
    (format!("{last:?}"), count).hash(&mut hasher);
    PAUSE.mul_f64((hasher.finish() % 1000) as f64 / 1000.0)
}

/// The configuration that names these applications (bits), or discovers all.
fn config(azure: &Azure, named: u8, per_name: bool) -> Arc<Config> {
    let all = (1 << APPLICATIONS) - 1;
    let mut text = String::new();
    if named == all {
        let subscription = azure.applications[0].subscription();
        text += &format!("[[discovery]]\nsubscription = \"{subscription}\"\n");
    }
    for index in (0..APPLICATIONS).filter(|index| named != all && named & 1 << index != 0) {
        text += &build::listed(&azure.applications[usize::from(index)]);
    }
    for index in 0..SECONDARIES {
        let address = nameserver::address(index);
        text += &format!(
            "[[secondary]]\nname = \"ns{index}\"\naddress = \"{address}\"\ntransfer_by = \"address\"\n"
        );
    }
    text += "[[target]]\nname = \"there\"\ntype = \"hosts\"\npath = \"/nonexistent\"\n";
    build::config(&format!("{text}[publish]\nper_name_zones = {per_name}\n"))
}

impl Live {
    fn new(nameservers: Vec<Arc<Mutex<Nameserver>>>) -> Self {
        let azure = Azure::new();
        let named = (1 << APPLICATIONS) - 1;
        let now = Instant::now();
        let common = Common::default();
        let quiet = azure.applications.iter().map(|id| (id.clone(), now)).collect();
        let mut live = Self {
            config: config(&azure, named, false),
            disk: Arc::default(),
            server: Arc::default(),
            nameservers,
            primary: Arc::default(),
            common: Arc::new(Mutex::new(common)),
            named,
            running: None,
            seen: None,
            quiet,
            found: BTreeSet::new(),
            is_allowed: false,
            jumped: now,
            latest: outside::now(),
            tally: Tally::default(),
            azure,
        };
        live.changed();
        live
    }

    fn tally(&self) -> Tally {
        let all = |of: fn(&Nameserver) -> u64| self.nameservers.iter().map(|server| of(&lock(server))).sum();
        Tally {
            polls: lock(&self.common).polls,
            transfers: all(|server| server.transfers),
            notified: all(|server| server.notified),
            pushes: lock(&self.server).pushes,
            ..self.tally
        }
    }

    async fn start(&mut self) -> Result<(), String> {
        let (common, world) = (self.common.clone(), self.azure.world.clone());
        let applications = self.azure.applications.clone();
        let asked = move |request: &reqwest::Request| {
            // Promise 7: tokens go to Azure alone, and nothing is written there.
            let (url, method) = (request.url(), request.method());
            if method != reqwest::Method::GET || url.authority() != AZURE {
                lock(&common).broken.get_or_insert_with(|| format!("{method} {url}"));
            }
            let path = url.path();
            // The first read of a poll.
            let Some(id) = applications.iter().find(|id| id.as_str().eq_ignore_ascii_case(path)) else {
                return;
            };
            let (truth, is_faulty) = world.with(|world| (Truth::of(world, id), world.faults.any()));
            let mut common = lock(&common);
            common.polls += 1;
            common.witness.begins(id, truth, is_faulty);
        };
        let (server, common) = (self.server.clone(), self.common.clone());
        let life = {
            let mut server = lock(&server);
            server.target.restart();
            server.life += 1;
            server.life
        };
        let take = move |generation: &Generation| {
            let mut server = lock(&server);
            if server.life != life {
                return false;
            }
            server.pushes += 1;
            let fate = server.fate.take().unwrap_or(Fate::Answered);
            match server.target.push(generation, fate, outside::now()) {
                Ok(died) => {
                    lock(&common).dies |= died;
                    fate == Fate::Answered
                }
                Err(broken) => {
                    lock(&common).broken.get_or_insert(broken);
                    false
                }
            }
        };
        let running =
            Running::start(self.config.clone(), &self.disk, &self.azure, asked, Inside(Arc::new(take)))
                .await?;
        // A configuration that was not saved with it, because the disk is full, may change it at once.
        let view = running.handle.view();
        if view.generation != lock(&self.disk).durable && !is_unsaved(&view) {
            return Err("the state is not what was saved last".to_owned());
        }
        self.seen = None;
        *lock(&self.primary) = Some(running.serving.clone());
        self.running = Some(running);
        self.disturbed();
        Ok(())
    }

    /// A secondary comes when it was told, and now and then by itself.
    fn attend(&self, index: u8) {
        let (server, primary) = (self.nameservers[usize::from(index)].clone(), self.primary.clone());
        let common = self.common.clone();
        tokio::spawn(async move {
            let mut refresh = Instant::now();
            loop {
                sleep(Duration::from_millis(fastrand::u64(100..2000))).await;
                let told = lock(&server).told();
                let is_due = refresh <= Instant::now();
                let Some(serving) = lock(&primary).as_ref().map(|shared| shared.load_full()) else {
                    continue;
                };
                if told.is_empty() && !is_due {
                    continue;
                }
                if is_due {
                    refresh = Instant::now() + Duration::from_secs(fastrand::u64(200..900));
                }
                let from = nameserver::address(index).ip();
                let result = lock(&server).refresh(&serving, from, (!is_due).then_some(&told));
                if let Err(broken) = result {
                    lock(&common).broken.get_or_insert(broken);
                    return;
                }
            }
        });
    }

    /// Something has happened to everybody.
    fn disturbed(&mut self) {
        lock(&self.common).witness.disturb();
        self.quiet.values_mut().for_each(|since| *since = Instant::now());
    }

    /// Azure may have changed.
    fn changed(&mut self) {
        let mut common = lock(&self.common);
        for id in &self.azure.applications {
            common.witness.becomes(id, &self.azure.truth(id));
        }
    }

    /// Serials that are lost are overtaken by the time of day only; see the simulation of the book.
    fn lose_serials(&mut self) {
        lock(&self.common).witness.forget_serials();
        let serials = |generation: &Arc<Generation>| {
            generation.zones.keys().filter_map(|origin| generation.serial(origin)).max()
        };
        // More than one change in a second makes serials that are ahead of the time.
        let highest = self.seen.as_ref().and_then(serials).map_or(0, i64::from);
        let highest = Timestamp::from_second(highest).unwrap_or(self.latest).max(self.latest);
        // A restart takes longer than what is left of the second.
        let next = Timestamp::from_second(highest.as_second() + 1).unwrap_or(highest);
        let behind = next.duration_since(outside::now());
        if behind.is_positive() {
            simulated::jump(behind);
        }
    }

    async fn end(&mut self, kill: bool) -> Result<(), String> {
        self.tally.restarts += 1;
        *lock(&self.primary) = None;
        // What it still had to write is lost with it.
        lock(&self.server).life += 1;
        let Some(running) = self.running.take() else { return Ok(()) };
        let view = running.handle.view();
        self.seen = view.generation.clone();
        if kill {
            running.kill().await;
        } else {
            running.stop().await?;
        }
        let durable = lock(&self.disk).durable.clone();
        let [is, was] = numbers(&durable, &view.generation);
        // A newer one was not served yet.
        if durable != view.generation && is <= was {
            if !is_unsaved(&view) {
                return Err(format!(
                    "what was served is not on the disk: {:?}",
                    numbers(&view.generation, &durable)
                ));
            }
            self.lose_serials();
        }
        Ok(())
    }

    async fn restart(&mut self, kill: bool) -> Result<(), String> {
        self.end(kill).await?;
        self.start().await
    }

    async fn event(&mut self, event: Event) -> Result<(), String> {
        let handle = self.running.as_ref().map(|running| running.handle.clone());
        let handle = handle.ok_or("nothing runs")?;
        let stopped = |error: crate::sync::Stopped| error.to_string();
        match event {
            Event::Wait(_) | Event::Transfer(_) => {}
            // Mostly the daemon polls by itself.
            Event::Poll(app) if app > 0 => {}
            Event::ClockJump(seconds) => {
                self.jumped = Instant::now();
                simulated::jump(SignedDuration::from_secs(seconds.into()));
            }
            Event::Poll(_) => drop(handle.ask(Command::Poll).await.map_err(stopped)?),
            Event::DiskFull => lock(&self.disk).full = true,
            Event::DiskWell => {
                lock(&self.disk).full = false;
                simulated::slow(Duration::from_millis(20));
            }
            Event::DiskSlow(seconds) => simulated::slow(Duration::from_secs(seconds.into())),
            Event::CrashInSave(_) => self.restart(true).await?,
            Event::Restart => self.restart(false).await?,
            Event::LoseState => {
                self.end(true).await?;
                self.lose_serials();
                lock(&self.server).target.lose_ledger();
                lock(&self.disk).lose();
                self.start().await?;
            }
            Event::Reload(named, per_name) => {
                self.named = named;
                self.config = config(&self.azure, named, per_name);
                self.is_allowed = true;
                self.disturbed();
                if let Some(running) = &self.running {
                    running.reload(self.config.clone()).await?;
                }
                self.disturbed();
            }
            Event::Approve => {
                self.is_allowed = true;
                handle.ask(|reply| Command::Approve(Selection::All, reply)).await.map_err(stopped)?;
            }
            Event::Reject => {
                handle.ask(|reply| Command::Reject(Selection::All, reply)).await.map_err(stopped)?;
            }
            Event::Deaf(index, messages) => lock(&self.nameservers[usize::from(index)]).deaf = messages,
            Event::LoseSecondary(index) => lock(&self.nameservers[usize::from(index)]).lose(),
            Event::Push(mishap) => lock(&self.server).fate = Some(mishap.fate()),
            Event::Foreign(index, last) => {
                if let Some(owner) = self.owner(index) {
                    lock(&self.server).target.add(owner, Ipv4Addr::new(192, 0, 2, last));
                }
            }
            Event::Steal(index) => {
                if let Some(owner) = self.owner(index) {
                    lock(&self.server).target.steal(&owner);
                }
            }
            _ => {
                self.azure.happen(event);
                self.found.clear();
                self.changed();
                self.disturbed_by(event);
            }
        }
        self.look().await
    }

    fn disturbed_by(&mut self, event: Event) {
        match event.application() {
            Some(app) => {
                self.quiet.insert(self.azure.applications[usize::from(app)].clone(), Instant::now());
            }
            None => self.disturbed(),
        }
    }

    /// A name of the zones, or one that nobody wants.
    fn owner(&self, index: u8) -> Option<DnsName> {
        let generation = self.seen.as_ref()?;
        let zone = generation.zones.values().find(|zone| !zone.addresses.is_empty())?;
        match index {
            7 => "stranger.privatelink.azure-devices.net".parse().ok(),
            _ => zone.addresses.keys().nth(usize::from(index) % zone.addresses.len()).cloned(),
        }
    }

    /// Lets time go by, and looks at everything that is shown meanwhile.
    async fn wait(&mut self, time: Duration) -> Result<(), String> {
        let until = Instant::now() + time;
        loop {
            let running = self.running.as_ref().ok_or("nothing runs")?;
            let mut views = running.handle.views();
            views.mark_unchanged();
            let is_over = tokio::select! {
                biased;
                _ = views.changed() => false,
                () = sleep_until(until.min(Instant::now() + Duration::from_secs(5))) => Instant::now() >= until,
            };
            self.look().await?;
            if is_over {
                return Ok(());
            }
        }
    }

    /// All faults end; everybody has to have Azure's names within a bounded number of polls.
    async fn converge(&mut self) -> Result<(), String> {
        lock(&self.disk).full = false;
        simulated::slow(Duration::from_millis(20));
        self.nameservers.iter().for_each(|server| lock(server).deaf = 0);
        lock(&self.server).fate = None;
        self.azure.calm();
        self.found.clear();
        self.changed();
        self.disturbed();
        // Polls of removals, the longest time to a new name, twice, because an approval may be needed and what
        // it lets go of may be the reason for the next; and a message that may be under way for five minutes.
        let round = INTERVAL * (u32::try_from(BULK_POLLS).unwrap_or(u32::MAX) + 1) + BOUND;
        for rounds in 0..3 {
            let until = Instant::now() + if rounds < 2 { round } else { Duration::from_secs(700) };
            while Instant::now() < until {
                self.wait(INTERVAL).await?;
                if self.agree().is_ok() {
                    return Ok(());
                }
            }
            self.event(Event::Approve).await?;
        }
        self.agree()
    }
}
