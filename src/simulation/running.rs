//! A running daemon in the simulation: the real engine with its pollers, secondaries and targets, in a
//! process that can be killed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::azure::Azure;
use crate::azure;
use crate::config::Config;
use crate::outside;
use crate::propagation::Propagation;
use crate::serve::{Counters, Image, Secondaries, SecondaryMetrics, Serving, Shared, Transfers};
use crate::store::{Saved, Store};
use crate::sync::{Command, Engine, EngineError, Handle, Parts, Statistics};
use crate::targets::tests::inside::Inside;
use crate::targets::{Surroundings, TargetMetrics, Targets};
use crate::verify::Verify;
use crate::zones::Generation;

/// The longest way to Azure, and back.
const WAY: Duration = Duration::from_millis(700);

/// A disk with a state file.
#[derive(Default)]
pub(super) struct Disk {
    pub(super) content: Option<Vec<u8>>,
    /// What the content holds.
    pub(super) durable: Option<Arc<Generation>>,
    pub(super) full: bool,
    /// The process that may write; what earlier ones still had to write is lost with them.
    life: u64,
}

impl Disk {
    /// Loses what is on it.
    pub(super) fn lose(&mut self) {
        (self.content, self.durable) = (None, None);
    }
}

/// A process.
pub(super) struct Running {
    pub(super) handle: Handle,
    pub(super) serving: Shared,
    pub(super) secondaries: Arc<Secondaries>,
    targets: Arc<Targets>,
    transfers: Arc<Transfers>,
    azure: Arc<azure::Azure>,
    deaths: mpsc::UnboundedReceiver<String>,
    stop: CancellationToken,
    engine: JoinHandle<Result<(), EngineError>>,
}

impl Running {
    /// Starts with what is on the disk. `asked` hears of every read of Azure.
    pub(super) async fn start(
        config: Arc<Config>,
        disk: &Arc<Mutex<Disk>>,
        world: &Azure,
        asked: impl Fn(&reqwest::Request) + Send + Sync + 'static,
        target: Inside,
    ) -> Result<Self, String> {
        let now = outside::now();
        let (life, content) = {
            let mut disk = disk.lock().expect("lock");
            disk.life += 1;
            (disk.life, disk.content.clone())
        };
        let saved = content.as_deref().map(Saved::from_bytes).transpose();
        let saved = saved.map_err(|error| format!("the state cannot be read: {error}"))?;
        let (deaf, deaths) = mpsc::unbounded_channel();
        let registry = prometheus::Registry::new();
        let propagation = Propagation::new(&registry).expect("metrics");
        let metrics = SecondaryMetrics::new(&registry).expect("metrics");
        let (secondaries, raises) = Secondaries::new(metrics, propagation.clone(), deaf.clone());
        let metrics = TargetMetrics::new(&registry).expect("metrics");
        let targets = Arc::new(Targets::new(metrics, propagation.clone(), deaf.clone()));
        let transfers =
            Transfers::new(&config.transfer, secondaries.records()).map_err(|error| error.to_string())?;
        let (secondaries, transfers) = (Arc::new(secondaries), Arc::new(transfers));
        let mut serving = Serving::new(Arc::new(Image::default()), &config.dns, None, None);
        serving.transfers = transfers.clone();
        let serving = Arc::new(ArcSwap::from_pointee(serving));
        let read = world.world.clone();
        let answer = move |request: &reqwest::Request| {
            asked(request);
            read.read(request.url(), request.headers(), outside::now())
        };
        let azure = Arc::new(azure::Azure::inside(&config.azure, answer, WAY));
        let disk = disk.clone();
        let take = move |content: Vec<u8>, saved: &Saved| {
            let mut disk = disk.lock().expect("lock");
            if disk.full {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            if disk.life == life {
                (disk.content, disk.durable) = (Some(content), Some(saved.generation.clone()));
            }
            Ok(())
        };
        let parts = Parts {
            config: config.clone(),
            azure: azure.clone(),
            recursion: None,
            transfers: transfers.clone(),
            store: Store::inside(Arc::new(take)),
            saved,
            findings: Vec::new(),
            serving: serving.clone(),
            counters: Arc::new(Counters::new().expect("counters")),
            statistics: Arc::new(Statistics::new(&registry).expect("statistics")),
            secondaries: secondaries.clone(),
            raises,
            targets: targets.clone(),
            verify: Arc::new(Verify::new(&registry, propagation.clone(), deaf).expect("metrics")),
            propagation,
        };
        let (engine, handle) = Engine::open(parts, now).await.map_err(|error| error.to_string())?;
        secondaries.configure(&config.transfer, &transfers).await;
        let mut surroundings = Surroundings::default();
        surroundings.inside = Some(target);
        targets.configure(&config.targets, &surroundings).await;
        let stop = CancellationToken::new();
        let engine = tokio::spawn(engine.run(stop.clone()));
        Ok(Self { handle, serving, secondaries, targets, transfers, azure, deaths, stop, engine })
    }

    /// Whether everything that should run does.
    pub(super) fn is_well(&mut self) -> Result<(), String> {
        if self.engine.is_finished() {
            return Err("the engine has ended".to_owned());
        }
        match self.deaths.try_recv() {
            Ok(who) => Err(format!("{who} has ended")),
            Err(_) => Ok(()),
        }
    }

    pub(super) async fn reload(&self, config: Arc<Config>) -> Result<(), String> {
        let made = (None, self.transfers.clone());
        let reload = |reply| Command::Reload(config, self.azure.clone(), made, reply);
        self.handle.ask(reload).await.map_err(|error| error.to_string())
    }

    /// Ends at once, whatever is under way.
    pub(super) async fn kill(self) {
        self.engine.abort();
        let _ = self.engine.await;
        self.secondaries.stop().await;
        self.targets.stop().await;
    }

    /// Ends as it should.
    pub(super) async fn stop(self) -> Result<(), String> {
        self.stop.cancel();
        self.targets.stop().await;
        self.secondaries.stop().await;
        self.engine.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}
