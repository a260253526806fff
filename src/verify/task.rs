//! The daemon's own runs, on a timer.
//!
//! A change is on its way to secondaries and out of caches for some seconds, and a datagram may be lost, so
//! what a run finds counts only when a second one, soon after it, finds it again. Soon after a change there
//! is a run, too, and more of them until every resolver knows it: that is how long the change took.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::Registry;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Facts, NoSystemResolver, Plan, Prober, Problem, Report, TlsSetupError, VerifyMetrics, run, servers,
};
use crate::config::{Config, Verify as Settings, VerifyResolver as Resolver};
use crate::obituary::Obituary;
use crate::propagation::{Place, Propagation};
use crate::zones::{Finding, FindingKind, Generation};

/// After this long a problem has to be there still. More than the TTL of what is published by default.
const AGAIN: Duration = Duration::from_secs(20);

/// How soon after a change.
const SOON: Duration = Duration::from_secs(1);

/// More problems are counted, and not told one by one.
const TOLD: usize = 500;

/// What the last run of the daemon has shown: at most 500 problems, and not each name.
pub type Last = Arc<Report>;

/// The daemon cannot verify as it is told.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is no TLS.
    #[error(transparent)]
    Tls(#[from] TlsSetupError),
    /// A panic.
    #[error("reading certificate authorities failed: {0}")]
    Task(#[from] JoinError),
}

/// What can fail when a configuration is taken, done before.
#[derive(Clone)]
pub struct Prepared {
    config: Arc<Config>,
    prober: Option<Prober>,
}

impl Prepared {
    /// Sets TLS up, if it is needed.
    ///
    /// # Errors
    /// When certificate authorities cannot be read.
    pub async fn new(config: Arc<Config>) -> Result<Self, VerifyError> {
        let settings = config.verify.clone();
        let prober = if settings.enabled && settings.connect {
            Some(spawn_blocking(move || Prober::new(settings.ca_file.as_deref())).await??)
        } else {
            None
        };
        Ok(Self { config, prober })
    }
}

/// The runs of the daemon.
pub struct Verify {
    accepted: watch::Sender<Option<Accepted>>,
    last: Arc<Mutex<Option<Last>>>,
    metrics: VerifyMetrics,
    propagation: Propagation,
    deaths: mpsc::UnboundedSender<String>,
    task: Mutex<Option<Task>>,
    /// Where the daemon answers, as of the last configuration.
    listeners: Mutex<Vec<SocketAddr>>,
}

/// What is right, and what polls have found.
type Accepted = (Arc<Generation>, Arc<[Finding]>);

struct Task {
    settings: Settings,
    stop: CancellationToken,
    handle: JoinHandle<()>,
}

impl Verify {
    /// No run yet. The other end of `deaths` learns of a task that ends unasked.
    ///
    /// # Errors
    /// When a metric of the same name is there already.
    pub fn new(
        registry: &Registry,
        propagation: Propagation,
        deaths: mpsc::UnboundedSender<String>,
    ) -> prometheus::Result<Self> {
        Ok(Self {
            accepted: watch::Sender::new(None),
            last: Arc::default(),
            metrics: VerifyMetrics::new(registry)?,
            propagation,
            deaths,
            task: Mutex::default(),
            listeners: Mutex::default(),
        })
    }

    /// Takes a configuration, with where the daemon listens. Needs a tokio runtime around it.
    pub async fn configure(&self, prepared: Prepared, own: Vec<SocketAddr>) {
        lock(&self.listeners).clone_from(&own);
        let before = lock(&self.task).take();
        let settings = prepared.config.verify.clone();
        if let Some(task) = before {
            let same = task.settings == settings;
            let resolvers = task.settings.resolvers.clone();
            end(task).await;
            if !settings.enabled {
                resolvers.iter().for_each(|who| self.propagation.leave(&place(who)));
            }
            let is_gone = |who: &&Resolver| !settings.resolvers.contains(who);
            resolvers.iter().filter(is_gone).for_each(|who| self.propagation.leave(&place(who)));
            if !same {
                *lock(&self.last) = None;
                self.metrics.reset();
            }
        }
        if !settings.enabled {
            return;
        }
        self.metrics.expect();
        let stop = CancellationToken::new();
        let runner = Runner {
            prepared,
            own,
            accepted: self.accepted.subscribe(),
            last: self.last.clone(),
            metrics: self.metrics.clone(),
            propagation: self.propagation.clone(),
        };
        let obituary = Obituary::new(&self.deaths, "the task of [verify]".to_owned());
        let stopped = stop.clone();
        let handle = tokio::spawn(async move {
            stopped.run_until_cancelled(runner.run()).await;
            obituary.expected();
        });
        *lock(&self.task) = Some(Task { settings, stop, handle });
    }

    /// What is right from now on.
    pub fn publish(&self, generation: Arc<Generation>, findings: &[Finding]) {
        self.accepted.send_replace(Some((generation, findings.into())));
    }

    /// Where the daemon answers.
    #[must_use]
    pub fn listeners(&self) -> Vec<SocketAddr> {
        lock(&self.listeners).clone()
    }

    /// What the last run has shown.
    #[must_use]
    pub fn last(&self) -> Option<Last> {
        lock(&self.last).clone()
    }

    /// What a person should know: one finding for each check that fails. What is wrong at Azure has
    /// findings of its own.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let Some(last) = self.last() else { return Vec::new() };
        let mut checks = BTreeMap::<&str, Vec<&Problem>>::new();
        for problem in last.problems.iter().filter(|problem| problem.is_failure()) {
            if super::Check::ALL.iter().any(|check| check.code() == problem.check) {
                checks.entry(&problem.check).or_default().push(problem);
            }
        }
        let finding = |(check, problems): (&str, Vec<&Problem>)| {
            let first = problems.first()?;
            let at = first.server.as_ref().map(|server| format!(" at {server}")).unwrap_or_default();
            let more = match problems.len() - 1 {
                0 => String::new(),
                more => format!(" {more} more: see `privatelink-dns verify`."),
            };
            let Problem { subject, seen, expected, remedy, .. } = first;
            let message = format!("{subject}{at}: {seen}; expected: {expected}. Do: {remedy}.{more}");
            Some(Finding::global(FindingKind::VerifyFailing, check, message))
        };
        checks.into_iter().filter_map(finding).collect()
    }

    /// Ends the task and waits for it.
    pub async fn stop(&self) {
        let task = lock(&self.task).take();
        if let Some(task) = task {
            end(task).await;
        }
    }
}

impl Drop for Verify {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.task).as_ref() {
            task.stop.cancel();
        }
    }
}

async fn end(task: Task) {
    task.stop.cancel();
    // A panic has been reported through `deaths`.
    let _ = task.handle.await;
}

struct Runner {
    prepared: Prepared,
    own: Vec<SocketAddr>,
    accepted: watch::Receiver<Option<Accepted>>,
    last: Arc<Mutex<Option<Last>>>,
    metrics: VerifyMetrics,
    propagation: Propagation,
}

impl Runner {
    async fn run(mut self) {
        let interval = self.prepared.config.verify.interval;
        // Its end means that of the daemon.
        if self.accepted.wait_for(Option::is_some).await.is_err() {
            return;
        }
        let mut changed = (None, Instant::now());
        loop {
            let number = self.accepted.borrow().as_ref().map(|(generation, _)| generation.number);
            if changed.0 != number {
                changed = (number, Instant::now());
            }
            let first = self.once().await;
            let report = match first {
                Ok(report) if report.has_failures() => {
                    sleep(AGAIN.min(interval)).await;
                    self.once().await.map(|again| confirmed(again, &report))
                }
                other => other,
            };
            match report {
                Ok(mut report) => {
                    self.metrics.set(&report);
                    report.problems.truncate(TOLD);
                    // As many as there are; nobody reads them here.
                    report.names = Vec::new();
                    *lock(&self.last) = Some(Arc::new(report));
                }
                // The file may be back the next time.
                Err(error) => tracing::warn!(%error, "cannot verify"),
            }
            let is_under_way = lock(&self.last).as_ref().is_some_and(|last| !last.is_known_everywhere());
            let rest =
                if is_under_way && changed.1.elapsed() < interval { AGAIN.min(interval) } else { interval };
            let is_new = |accepted: &Option<Accepted>| accepted.as_ref().map(|(g, _)| g.number) != number;
            let news = async {
                if self.accepted.wait_for(is_new).await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = sleep(rest) => {}
                () = news => sleep(SOON).await,
            }
        }
    }

    async fn once(&self) -> Result<Report, NoSystemResolver> {
        let accepted = self.accepted.borrow().clone();
        let number = accepted.as_ref().map_or(0, |(generation, _)| generation.number);
        let facts =
            accepted.map(|(generation, findings)| Facts::of(&generation, &findings)).unwrap_or_default();
        let config = &self.prepared.config;
        let connect = self.prepared.prober.clone().map(|prober| (prober, config.verify.ports.clone()));
        let plan = Plan { servers: servers(&config.verify.resolvers, config, &self.own)?, connect };
        let report = run(&facts, &plan, &|_, _, _| {}).await;
        for who in &config.verify.resolvers {
            // `targets`, for example, may stand for nobody.
            let Some(is_known) = report.is_known_at(&who.to_string()) else { continue };
            self.propagation.join(place(who));
            if is_known {
                self.propagation.reached(&place(who), number);
            }
        }
        Ok(report)
    }
}

fn place(who: &Resolver) -> Place {
    Place::Resolver(who.to_string())
}

/// The later report with what the one before it had found already.
fn confirmed(mut report: Report, before: &Report) -> Report {
    report
        .problems
        .retain(|problem| !problem.is_failure() || before.problems.iter().any(|b| b.is_same(problem)));
    report
}

/// What a panic elsewhere left is still the best that is known.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
