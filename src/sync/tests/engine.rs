//! The engine: a disk that is slow or broken, a reload in between. Polls of Azure fail at once: there is no credential.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::build::{DISCOVERY, config, found, id, ids, listed};
use crate::azure::Azure;
use crate::config::{self, Config};
use crate::propagation::Propagation;
use crate::serve::{Counters, Image, Secondaries, SecondaryMetrics, Serving};
use crate::store::Store;
use crate::sync::event::Event;
use crate::sync::{Engine, EngineError, Handle, Parts, Statistics, View};
use crate::targets::{TargetMetrics, Targets};
use crate::verify::Verify;
use crate::zones::{FindingKind, Observation};

struct Running {
    handle: Handle,
    stop: CancellationToken,
    engine: JoinHandle<Result<(), EngineError>>,
}

/// A configuration with these lines and no way to Azure.
fn offline(lines: &str) -> Config {
    let mut config = (*config(lines)).clone();
    config.azure.credential = config::Credential::ClientSecret {
        tenant_id: "tenant".to_owned(),
        client_id: "client".to_owned(),
        secret_file: "/nonexistent/secret".into(),
    };
    config
}

impl Running {
    async fn start(directory: &Path, config: Config) -> Self {
        let config = Arc::new(config);
        let registry = prometheus::Registry::new();
        let serving = Serving::new(Arc::new(Image::default()), &config.dns, None, None);
        let now = Timestamp::now();
        let propagation = Propagation::new(&registry).expect("metrics");
        let metrics = SecondaryMetrics::new(&registry).expect("metrics");
        let (secondaries, raises) =
            Secondaries::new(metrics, propagation.clone(), mpsc::unbounded_channel().0);
        let metrics = TargetMetrics::new(&registry).expect("metrics");
        let targets = Targets::new(metrics, propagation.clone(), mpsc::unbounded_channel().0);
        let parts = Parts {
            recursion: None,
            transfers: Arc::default(),
            azure: Arc::new(Azure::new(&config.azure, Arc::new(())).expect("a client")),
            store: Store::open(directory, now).expect("a store").0,
            saved: None,
            findings: Vec::new(),
            serving: Arc::new(ArcSwap::from_pointee(serving)),
            counters: Arc::new(Counters::new().expect("counters")),
            statistics: Arc::new(Statistics::new(&registry).expect("statistics")),
            secondaries: Arc::new(secondaries),
            targets: Arc::new(targets),
            verify: Arc::new(
                Verify::new(&registry, propagation.clone(), mpsc::unbounded_channel().0).expect("metrics"),
            ),
            propagation,
            raises,
            config,
        };
        let (engine, handle) = Engine::open(parts, now).await.expect("opens");
        let stop = CancellationToken::new();
        Self { handle, engine: tokio::spawn(engine.run(stop.clone())), stop }
    }

    /// Sends what the first poller read.
    async fn polled(&self, observation: Observation) {
        self.send(Event::Polled(1, observation.application.clone(), Duration::ZERO, Ok(observation))).await;
    }

    async fn send(&self, event: Event) {
        assert!(self.handle.events.send(event).await.is_ok(), "the engine runs");
    }

    async fn reload(&self, config: Config) {
        let azure = Arc::new(Azure::new(&config.azure, Arc::new(())).expect("a client"));
        let reload =
            |reply| crate::sync::Command::Reload(Arc::new(config), azure, (None, Arc::default()), reply);
        self.handle.ask(reload).await.expect("reloaded");
    }

    /// Waits for a view. The paused clock goes on by itself, but not while something is written.
    async fn view(&self, is_meant: impl Fn(&View) -> bool) -> Arc<View> {
        let mut views = self.handle.views();
        let view = timeout(Duration::from_secs(600), views.wait_for(|view| is_meant(view))).await;
        let view = view.unwrap_or_else(|_| panic!("never: {:?}", self.handle.view()));
        view.expect("the engine runs").clone()
    }

    /// Waits for a view while something that never ends is written. Compiling takes real time.
    async fn view_meanwhile(&self, is_meant: impl Fn(&View) -> bool) -> Arc<View> {
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        loop {
            let view = self.handle.view();
            if is_meant(&view) {
                return view;
            }
            assert!(std::time::Instant::now() < deadline, "never: {view:?}");
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    }
}

fn number(view: &View) -> u64 {
    view.generation.as_ref().map_or(0, |g| g.number)
}

fn store_failed(view: &View) -> Option<&str> {
    view.findings.iter().find(|f| f.kind == FindingKind::StoreFailed).map(|f| f.message.as_str())
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_holds_up_no_answer() {
    let directory = tempfile::tempdir().expect("a directory");
    // A pipe in the way: writing waits until somebody reads.
    let pipe = directory.path().join("state.json.new");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    let running = Running::start(directory.path(), offline(&listed(&id("a")))).await;
    running.polled(found(&id("a"), 1)).await;
    let view = running.view_meanwhile(|view| number(view) == 1).await;
    assert!(store_failed(&view).expect("a finding").contains("for 10 s"), "{view:?}");

    // The next change does not wait again: the clock stands, so such a wait would never end.
    running.polled(found(&id("a"), 2)).await;
    running.view(|view| number(view) == 2).await;

    // The write ends, in a failure: nothing can be synced into a pipe. Then the disk is well.
    let reader = tokio::task::spawn_blocking({
        let pipe = pipe.clone();
        move || {
            let file = std::fs::File::open(&pipe).expect("opens");
            std::fs::remove_file(&pipe).expect("removed");
            std::io::read_to_string(file).expect("read")
        }
    });
    let written = reader.await.expect("read");
    assert!(written.contains("hub1-a"), "{written}");
    running.view(|view| store_failed(view).is_none()).await;
    let saved = Store::read(directory.path()).expect("reads").expect("state");
    assert_eq!(saved.generation.number, 2, "the newest");

    running.stop.cancel();
    running.engine.await.expect("ends").expect("ends well");
}

#[tokio::test(start_paused = true)]
async fn a_change_is_saved_before_it_is_served() {
    let directory = tempfile::tempdir().expect("a directory");
    let running = Running::start(directory.path(), offline(&listed(&id("a")))).await;
    running.polled(found(&id("a"), 1)).await;
    running.view(|view| number(view) == 1).await;
    assert!(Store::read(directory.path()).expect("reads").is_some());
}

#[tokio::test(start_paused = true)]
async fn results_of_before_a_reload_count_no_more() {
    let directory = tempfile::tempdir().expect("a directory");
    let other = DISCOVERY.replace("tag = \"dns\"", "tag = \"other\"");
    let running = Running::start(directory.path(), offline(DISCOVERY)).await;
    // The discoverer is the first poller, that of the application which it lists the second.
    running.send(Event::Discovered(1, 0, Ok(ids(&["a"])))).await;
    running.view(|view| view.applications.contains_key(&id("a"))).await;
    running.reload(offline(&format!("{other}{}", listed(&id("a"))))).await;

    // What the old ones still had to say stood in the queue behind the reload.
    running.send(Event::Discovered(1, 0, Ok(ids(&["a", "b"])))).await;
    let late = found(&id("a"), 1);
    running.send(Event::Polled(2, id("a"), Duration::ZERO, Ok(late))).await;
    let count = running.handle.ask(crate::sync::Command::Poll).await.expect("it runs");
    let view = running.handle.view();
    assert_eq!((count, number(&view)), (1, 0), "neither b nor the names of a: {view:?}");

    // The new discoverer is the third, the application's new poller the fourth.
    running.send(Event::Discovered(3, 0, Ok(ids(&["a", "b"])))).await;
    running.send(Event::Polled(4, id("a"), Duration::ZERO, Ok(found(&id("a"), 1)))).await;
    let view = running.view(|view| number(view) == 1).await;
    assert!(view.applications.contains_key(&id("b")), "{view:?}");
}
