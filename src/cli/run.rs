//! `run`: the daemon as a process.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::logging::Filter;
use super::reload::Reloader;
use super::{FAILURE, Failure, descriptors, fail, logging, systemd};
use crate::admin::{self, Admin, ArmStatistics, Metrics, Token, is_alive};
use crate::azure::Azure;
use crate::config::{Config, Loaded};
use crate::propagation::Propagation;
use crate::serve::{
    Counters, Image, Listeners, Recursion, ResolverMetrics, Secondaries, SecondaryMetrics, Serving, Transfers,
};
use crate::store::{Opened, Saved, Store};
use crate::sync::{Command, Engine, Handle, Parts, Statistics};
use crate::targets::{Surroundings, TargetMetrics, Targets};
use crate::verify::{Prepared, Verify};
use crate::zones::{Finding, FindingKind};

/// HTTP connections to the admin listener at a time.
const ADMIN_CONNECTIONS: usize = 64;

/// How long the end may take; what has not ended by then is left behind.
const END: Duration = Duration::from_secs(5);

pub(super) fn main(file: &Path) -> ExitCode {
    let Loaded { mut config, variables, credential, .. } = match Config::load(file) {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error),
    };
    let filter = match logging::start(&config.log) {
        Ok(filter) => filter,
        Err(error) => return fail(&error),
    };
    for fault in credential.iter().flat_map(|faults| faults.errors()) {
        tracing::warn!("{fault}");
    }
    descriptors::raise();
    descriptors::fit(&mut config.dns);
    let config = Arc::new(config);
    if !variables.is_empty() {
        tracing::info!(variables = variables.join(","), "the environment changes the configuration");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let result = runtime.block_on(run(file, config, &filter));
    if let Err(error) = &result {
        tracing::error!("{error}");
    }
    runtime.shutdown_timeout(END);
    tracing::info!("stopped");
    if result.is_ok() { ExitCode::SUCCESS } else { FAILURE.into() }
}

/// Starts everything, watches over it, and ends it.
async fn run(file: &Path, mut config: Arc<Config>, filter: &Filter) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut user = signal(SignalKind::user_defined1())?;

    let registry = prometheus::Registry::new();
    let observer = Arc::new(ArmStatistics::new(&registry)?);
    // TLS gathers entropy when it is first set up, which takes as long as reading a large state.
    let making_azure = tokio::task::spawn_blocking({
        let (config, observer) = (config.clone(), observer.clone());
        move || Azure::new(&config.azure, observer)
    });
    let (store, saved, findings) = open_store(&config)?;
    let mut counters = Counters::new()?;
    counters.register(&registry)?;
    let counters = Arc::new(counters);
    let statistics = Arc::new(Statistics::new(&registry)?);
    let resolver_metrics = ResolverMetrics::new(&registry)?;
    let secondary_metrics = SecondaryMetrics::new(&registry)?;
    let propagation = Propagation::new(&registry)?;
    let mut recursion = Recursion::new(config.resolver.as_ref(), &resolver_metrics, None)?;
    let (deaths_sender, mut deaths) = mpsc::unbounded_channel();
    let (secondaries, raises) =
        Secondaries::new(secondary_metrics, propagation.clone(), deaths_sender.clone());
    let secondaries = Arc::new(secondaries);
    let surroundings = Surroundings::new(&config)?;
    let target_metrics = TargetMetrics::new(&registry)?;
    let targets = Arc::new(Targets::new(target_metrics, propagation.clone(), deaths_sender.clone()));
    let verify = Arc::new(Verify::new(&registry, propagation.clone(), deaths_sender.clone())?);
    let prepared = Prepared::new(config.clone()).await?;
    let transfers = Arc::new(Transfers::new(&config.transfer, secondaries.records())?);
    let image = Arc::new(Image::default());
    let serving = Arc::new(ArcSwap::from_pointee(Serving::new(image, &config.dns, recursion.clone(), None)));

    // Sockets first, so that queries wait in them; answers begin once the stored records are there.
    let mut listeners = Listeners::new(serving.clone(), counters.clone(), deaths_sender);
    let passed = systemd::sockets()?;
    let is_passed = !(passed.udp.is_empty() && passed.tcp.is_empty());
    if is_passed {
        listeners.take(passed, config.dns.udp_threads)?;
    } else {
        listeners.bind(&config.dns.listen, config.dns.udp_threads)?;
    }
    listeners.encrypt(config.dns.tls.as_ref())?;
    let admin_listener = TcpListener::bind(config.admin_listen)
        .await
        .map_err(|error| format!("cannot listen on {} ([admin] listen): {error}", config.admin_listen))?;

    let mut azure = Arc::new(making_azure.await??);
    let token = Token::open(&config.state_directory).map_err(|error| {
        format!("cannot write {}: {error}", config.state_directory.join(admin::TOKEN_FILE).display())
    })?;
    let parts = Parts {
        config: config.clone(),
        azure: azure.clone(),
        recursion: recursion.clone(),
        transfers: transfers.clone(),
        store,
        saved,
        findings,
        serving,
        counters,
        statistics,
        secondaries: secondaries.clone(),
        raises,
        targets: targets.clone(),
        propagation: propagation.clone(),
        verify: verify.clone(),
    };
    let (engine, handle) = Engine::open(parts, Timestamp::now()).await?;
    listeners.start()?;
    // Now they can transfer what they are notified of.
    secondaries.configure(&config.transfer, &transfers).await;
    targets.configure(&config.targets, &surroundings).await;
    verify.configure(prepared, listeners.addresses()).await;
    let stop = CancellationToken::new();
    let mut engine = tokio::spawn(engine.run(stop.clone()));
    let routes = admin::router(Arc::new(Admin {
        engine: handle.clone(),
        secondaries: secondaries.clone(),
        targets: targets.clone(),
        propagation,
        verify: verify.clone(),
        metrics: Metrics::new(registry),
        token,
        streams: admin::Streams::new(stop.clone()),
    }));
    let admin_address = admin_listener.local_addr()?;
    let mut admin = tokio::spawn(admin::serve(admin_listener, routes, ADMIN_CONNECTIONS, stop.clone()));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        dns = ?listeners.addresses(),
        tls = ?listeners.encrypted_addresses().0,
        https = ?listeners.encrypted_addresses().1,
        admin = %admin_address,
        configuration = %file.display(),
        "started"
    );

    let mut views = handle.views();
    views.mark_changed();
    let mut is_ready = false;
    let mut watchdog = Watchdog::new();
    let result = loop {
        tokio::select! {
            _ = terminate.recv() => break Ok(()),
            _ = interrupt.recv() => break Ok(()),
            _ = hangup.recv() => {
                // Before the first answer that can be given it is not ready, and a reload does not make it so.
                if is_ready {
                    systemd::reloading();
                }
                let observer = observer.clone();
                let reloader = Reloader {
                    file,
                    engine: &handle,
                    observer,
                    resolver_metrics: &resolver_metrics,
                    secondaries: &secondaries,
                    targets: &targets,
                    verify: &verify,
                    filter,
                    passed: is_passed,
                };
                let clients = (&mut azure, &mut recursion);
                if let Err(error) = reloader.reload(&mut config, clients, &mut listeners).await {
                    break Err(error);
                }
                if is_ready {
                    systemd::ready();
                }
            }
            _ = user.recv() => {
                let count = handle.ask(Command::Poll).await?;
                tracing::info!(applications = count, "polling now, asked by SIGUSR1");
            }
            Ok(()) = views.changed() => {
                let view = views.borrow_and_update().clone();
                if !is_ready && view.is_ready() {
                    is_ready = true;
                    systemd::ready();
                }
                systemd::status(&view);
            }
            () = watchdog.wait() => watchdog.ping(&handle),
            ended = &mut engine => break Err(describe("the engine", ended)),
            ended = &mut admin => break Err(describe("the admin listener", ended)),
            Some(who) = deaths.recv() => break Err(format!("{who} ended; this is a bug").into()),
        }
    };
    systemd::stopping();
    tracing::info!("stopping");
    stop.cancel();
    let end = async {
        if !engine.is_finished() {
            let _ = (&mut engine).await;
        }
        if !admin.is_finished() {
            let _ = (&mut admin).await;
        }
        secondaries.stop().await;
        targets.stop().await;
        verify.stop().await;
        listeners.stop().await;
        if let Some(recursion) = recursion {
            recursion.resolver.stop().await;
        }
    };
    if timeout(END, end).await.is_err() {
        tracing::warn!("not everything ended in time");
    }
    result
}

/// Opens the state directory and tells what it held.
fn open_store(config: &Config) -> Result<(Store, Option<Saved>, Vec<Finding>), Failure> {
    let (store, opened) = Store::open(&config.state_directory, Timestamp::now())?;
    Ok(match opened {
        Opened::Empty => {
            tracing::info!("no state yet: queries are answered SERVFAIL until the first complete poll");
            (store, None, Vec::new())
        }
        Opened::Saved(saved) => {
            let generation = &saved.generation;
            tracing::info!(
                generation = generation.number,
                names = generation.names(),
                zones = generation.zones.len(),
                "serving the last accepted generation"
            );
            (store, Some(*saved), Vec::new())
        }
        Opened::MovedAside { path, reason } => (
            store,
            None,
            unreadable(&format!(
                "The state could not be read ({reason}), so it was moved to {}.",
                path.display()
            )),
        ),
        Opened::Stuck { reason, obstacle } => (
            store,
            None,
            unreadable(&format!(
                "The state could not be read ({reason}) nor moved aside ({obstacle}). Nothing is written over it: \
             nothing can be saved until it can be moved. Mend the directory."
            )),
        ),
    })
}

/// The finding of a start without the state that was there.
fn unreadable(what: &str) -> Vec<Finding> {
    let message = format!("{what} Queries are answered SERVFAIL until the first complete poll.");
    vec![Finding::global(FindingKind::StateMovedAside, "state directory", message)]
}

/// Why the end of a task that should never end ends the daemon.
fn describe<E: std::fmt::Display>(who: &str, ended: Result<impl Outcome, E>) -> Failure {
    match ended {
        Ok(outcome) => format!("{who} ended: {}", outcome.text()).into(),
        Err(error) => format!("{who} failed: {error}").into(),
    }
}

/// What a task that should never end ended with.
trait Outcome {
    fn text(&self) -> String;
}

impl Outcome for () {
    fn text(&self) -> String {
        "this is a bug".to_owned()
    }
}

impl<E: std::fmt::Display> Outcome for Result<(), E> {
    fn text(&self) -> String {
        self.as_ref().err().map_or_else(|| "this is a bug".to_owned(), ToString::to_string)
    }
}

/// Tells systemd's watchdog that the engine is alive, as long as it is.
struct Watchdog {
    interval: Option<Duration>,
    next: Instant,
}

impl Watchdog {
    fn new() -> Self {
        Self { interval: systemd::watchdog_interval(), next: Instant::now() }
    }

    /// Waits for the next time to tell; for ever without a watchdog.
    async fn wait(&self) {
        match self.interval {
            Some(_) => tokio::time::sleep_until(self.next).await,
            None => std::future::pending().await,
        }
    }

    fn ping(&mut self, engine: &Handle) {
        self.next = Instant::now() + self.interval.unwrap_or_default();
        if is_alive(engine, Timestamp::now()) {
            systemd::watchdog();
        }
    }
}
