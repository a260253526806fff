//! Targets: servers and machines that are kept in step by writing to them.
//!
//! Each has a task of its own, so that one that is away, full or broken holds up no other. A task has
//! one generation to apply at a time; a newer one takes the place of one that waits. What does not
//! succeed is tried again, and what was right is looked at again, because others may change it.
//!
//! Nothing is written before every application was read once: with a lost state, files would lose the
//! names of those that are missing. And nothing but what is ours is written: a block with markers, files
//! that begin with our sign.

mod error;
pub mod export;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod hosts;
mod metrics;
mod reload;
mod replace;
mod rfc2136;
#[cfg(test)]
pub(crate) use rfc2136::tests::simulated::{Fate, SimulatedTarget};
mod state;
mod task;
#[cfg(test)]
pub(crate) mod tests;
mod writer;
mod zone_files;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use metrics::TargetMetrics;
pub use rfc2136::{Apply, LedgerEntry, OperatorError, Planned, ledgers, retire};
pub use state::TargetState;
pub(crate) use zone_files::write_zone_file;

use crate::config::{Config, Target, TargetKind};
use crate::obituary::Obituary;
use crate::propagation::{Place, Propagation};
use crate::wire::tsig::{Key, KeyFileError, Keys};
use crate::zones::{DnsName, Finding, Generation};
use task::Watched;
use writer::Around;

/// What targets need beside their configuration: keys, and the state directory.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    keys: Keys,
    state: PathBuf,
    /// Takes everything in place of files and servers.
    #[cfg(test)]
    pub(crate) inside: Option<tests::inside::Inside>,
}

/// The keys of targets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TargetKeyError {
    /// A file with keys cannot be used.
    #[error("{0} (transfer.key_files)")]
    Keys(#[from] KeyFileError),
    /// A key is in no file.
    #[error(transparent)]
    Unknown(#[from] UnknownKey),
}

/// A target's key is in no file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the target {target:?} uses the key {key}, which is in none of transfer.key_files; add it (`privatelink-dns tsig \
     generate {key}` makes one), or correct the name"
)]
pub struct UnknownKey {
    /// The target's name.
    pub target: String,
    /// The key's name.
    pub key: DnsName,
}

impl Surroundings {
    /// Reads the keys of a configuration.
    ///
    /// # Errors
    /// When a file cannot be used, or lacks the key of a target.
    pub fn new(config: &Config) -> Result<Self, TargetKeyError> {
        let around = Self {
            keys: Keys::read(&config.transfer.key_files)?,
            state: config.state_directory.clone(),
            #[cfg(test)]
            inside: None,
        };
        for target in &config.targets {
            around.of(target)?;
        }
        Ok(around)
    }

    fn key(&self, target: &str, key: Option<&DnsName>) -> Result<Option<Arc<Key>>, UnknownKey> {
        let unknown = |key: &DnsName| UnknownKey { target: target.to_owned(), key: key.clone() };
        key.map(|key| self.keys.get(key).cloned().ok_or_else(|| unknown(key))).transpose()
    }

    /// The key of a target.
    fn of(&self, target: &Target) -> Result<Option<Arc<Key>>, UnknownKey> {
        match &target.kind {
            TargetKind::Rfc2136(settings) => self.key(&target.name, settings.key.as_ref()),
            _ => Ok(None),
        }
    }
}

/// What the ledgers in a state directory say of some names, whether their targets are configured or not.
///
/// # Errors
/// When the directory or a ledger cannot be read.
pub fn ledger_entries(state: &Path, names: &BTreeSet<DnsName>) -> Result<Vec<LedgerEntry>, OperatorError> {
    let failed = |error: &dyn std::error::Error| OperatorError::Failed(error.to_string());
    let mut all = Vec::new();
    for target in ledgers(state).map_err(|error| failed(&error))? {
        all.extend(rfc2136::entries(state, &target, names).map_err(|error| failed(&error))?);
    }
    Ok(all)
}

/// All targets, and the tasks that write them.
pub struct Targets {
    inner: Mutex<Inner>,
    metrics: TargetMetrics,
    propagation: Propagation,
    deaths: mpsc::UnboundedSender<String>,
}

struct Inner {
    generation: Option<Arc<Generation>>,
    tasks: BTreeMap<String, Task>,
}

struct Task {
    watched: Arc<Watched>,
    stop: CancellationToken,
    handle: JoinHandle<()>,
}

impl Targets {
    /// No target yet. The other end of `deaths` learns of tasks that end unasked.
    #[must_use]
    pub fn new(
        metrics: TargetMetrics,
        propagation: Propagation,
        deaths: mpsc::UnboundedSender<String>,
    ) -> Self {
        let inner = Inner { generation: None, tasks: BTreeMap::new() };
        Self { inner: Mutex::new(inner), metrics, propagation, deaths }
    }

    /// Takes a configuration, with what was read for it. Targets that are the same keep their state, others begin anew, and those
    /// that are not in it end; what they hold stays as it is. Needs a tokio runtime around it.
    pub async fn configure(&self, targets: &[Target], around: &Surroundings) {
        let wanted: BTreeMap<&String, &Target> =
            targets.iter().map(|target| (&target.name, target)).collect();
        let mut ending = Vec::new();
        {
            let mut inner = lock(&self.inner);
            let (stay, go): (BTreeMap<_, _>, BTreeMap<_, _>) =
                std::mem::take(&mut inner.tasks).into_iter().partition(|(name, task)| {
                    let same = |target: &&&Target| {
                        **target == &task.watched.target
                            && around.of(target).is_ok_and(|key| key == task.watched.around.key)
                    };
                    wanted.get(name).is_some_and(|target| same(&target))
                });
            inner.tasks = stay;
            for (name, task) in go {
                if !wanted.contains_key(&name) {
                    self.metrics.forget(&name);
                    self.propagation.leave(&Place::Target(name.clone()));
                    let place = task.watched.state().place;
                    tracing::info!(target_name = %name, %place, "no target any more; what was written there stays");
                }
                ending.push(task);
            }
        }
        // Before another task writes the same files.
        end(ending).await;
        let mut inner = lock(&self.inner);
        for (name, target) in wanted {
            if !inner.tasks.contains_key(name) {
                let task = self.start(target, around, inner.generation.as_ref());
                inner.tasks.insert(name.clone(), task);
            }
        }
    }

    fn start(&self, target: &Target, around: &Surroundings, generation: Option<&Arc<Generation>>) -> Task {
        let is_server = matches!(target.kind, TargetKind::Rfc2136(_));
        let around = Around {
            // There is one: that was found out before anything changed.
            key: around.of(target).unwrap_or_default(),
            state: around.state.clone(),
            counters: is_server.then(|| self.metrics.pushes(&target.name)),
            #[cfg(test)]
            inside: around.inside.clone(),
        };
        let place = Place::Target(target.name.clone());
        if target.dry_run {
            self.propagation.leave(&place);
        } else {
            self.propagation.join(place);
        }
        let counters = self.metrics.target(&target.name);
        let watched = Arc::new(Watched::new(target.clone(), counters, self.propagation.clone(), around));
        if let Some(generation) = generation {
            watched.publish(generation);
        }
        let stop = CancellationToken::new();
        let obituary = Obituary::new(&self.deaths, format!("the task of target {}", target.name));
        let (written, stopped) = (watched.clone(), stop.clone());
        let handle = tokio::spawn(async move {
            task::run(&written, &stopped).await;
            obituary.expected();
        });
        Task { watched, stop, handle }
    }

    /// Brings all targets to a generation, as soon as secondaries may have it.
    pub fn publish(&self, generation: Arc<Generation>) {
        let mut inner = lock(&self.inner);
        if inner.generation.as_ref().is_some_and(|current| Arc::ptr_eq(current, &generation)) {
            return;
        }
        inner.tasks.values().for_each(|task| task.watched.publish(&generation));
        inner.generation = Some(generation);
    }

    /// What is known of each.
    #[must_use]
    pub fn states(&self) -> Vec<TargetState> {
        lock(&self.inner).tasks.values().map(|task| task.watched.state()).collect()
    }

    /// What the ledgers of servers say of some names; reads files. An unreadable ledger is left out: its
    /// target tells.
    #[must_use]
    pub fn ledger_entries(&self, names: &BTreeSet<DnsName>) -> Vec<LedgerEntry> {
        let watched: Vec<Arc<Watched>> =
            lock(&self.inner).tasks.values().map(|task| task.watched.clone()).collect();
        let servers = watched.iter().filter(|watched| matches!(watched.target.kind, TargetKind::Rfc2136(_)));
        let ledgers = servers.map(|w| rfc2136::entries(&w.around.state, &w.target.name, names));
        ledgers.flat_map(Result::unwrap_or_default).collect()
    }

    /// What a person should know of them.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.states().iter().flat_map(TargetState::findings).collect()
    }

    /// Ends all tasks and waits for them.
    pub async fn stop(&self) {
        let tasks = std::mem::take(&mut lock(&self.inner).tasks);
        end(tasks.into_values().collect()).await;
    }
}

impl Drop for Targets {
    fn drop(&mut self) {
        lock(&self.inner).tasks.values().for_each(|task| task.stop.cancel());
    }
}

async fn end(tasks: Vec<Task>) {
    tasks.iter().for_each(|task| task.stop.cancel());
    for task in tasks {
        // A panic has been reported through `deaths`.
        let _ = task.handle.await;
    }
}

/// What a panic elsewhere left is still the best that is known.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
