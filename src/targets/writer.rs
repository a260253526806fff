//! What all kinds of targets have in common: a job, and what became of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;
use tokio_util::sync::CancellationToken;

use super::error::TargetError;
use super::hosts::HostsFile;
use super::rfc2136::{PushCounters, Pusher};
#[cfg(test)]
use super::tests::inside::Inside;
use super::zone_files::{Place, ZoneFiles};
use crate::config::{Target, TargetKind};
use crate::outside;
use crate::wire::tsig::Key;
use crate::zones::{FindingKind, Generation};

/// How often a target is looked at when there is nothing new: somebody else may have changed it, as
/// cloud-init does with hosts files.
const CHECK: Duration = Duration::from_secs(60);

/// What a target is asked to do.
pub(super) struct Job {
    /// The target's name, for logs.
    pub(super) name: String,
    /// What it should hold.
    pub(super) generation: Arc<Generation>,
    /// Look, and write nothing.
    pub(super) dry_run: bool,
    /// Ends what takes long.
    pub(super) stop: CancellationToken,
    /// Counts what is written.
    pub(super) writes: IntCounter,
}

impl Job {
    /// Counts files, or other things, that were written.
    pub(super) fn wrote(&self, count: usize) {
        if !self.dry_run {
            self.writes.inc_by(count as u64);
        }
    }
}

/// What a target holds now.
#[derive(Debug)]
pub(super) struct Applied {
    /// Its address records, or lines.
    pub(super) records: usize,
    /// What was written, or would have been; nothing when all was right already.
    pub(super) written: Vec<String>,
}

/// What a person should know of a target beside failures.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Notes {
    /// Names that somebody else has.
    pub(super) conflicts: usize,
    pub(super) findings: Vec<(FindingKind, String)>,
}

/// What a target needs beside its configuration.
#[derive(Clone)]
pub(super) struct Around {
    /// The TSIG key.
    pub(super) key: Option<Arc<Key>>,
    /// The state directory.
    pub(super) state: PathBuf,
    /// Of a server that takes updates; nothing for other kinds.
    pub(super) counters: Option<PushCounters>,
    /// Takes everything in place of files and servers.
    #[cfg(test)]
    pub(super) inside: Option<Inside>,
}

/// What brings a target up to date. One for each kind; a new kind is a variant.
pub(super) enum Writer {
    Hosts(HostsFile),
    ZoneFiles(ZoneFiles),
    Servers(Box<Pusher>),
    #[cfg(test)]
    Inside(Inside),
}

impl Writer {
    pub(super) fn new(target: &Target, around: &Around) -> Self {
        #[cfg(test)]
        if let Some(inside) = around.inside.clone() {
            return Self::Inside(inside);
        }
        match target.kind.clone() {
            TargetKind::Rfc2136(settings) => {
                let Around { key, state, counters, .. } = around.clone();
                Self::Servers(Box::new(Pusher::new(&target.name, settings, key, &state, counters)))
            }
            TargetKind::Hosts { path, in_place } => Self::Hosts(HostsFile::new(path, in_place)),
            TargetKind::ZoneFiles { directory, reload } => {
                Self::ZoneFiles(ZoneFiles::new(Place::Directory(directory), reload))
            }
            TargetKind::RpzFile { path, origin, reload } => {
                Self::ZoneFiles(ZoneFiles::new(Place::Policy(path, origin), reload))
            }
        }
    }

    /// Makes the target hold the job's generation.
    pub(super) async fn apply(&mut self, job: &Job) -> Result<Applied, TargetError> {
        match self {
            Self::Hosts(file) => file.apply(job).await,
            Self::ZoneFiles(files) => files.apply(job).await,
            Self::Servers(pusher) => pusher.apply(job).await,
            #[cfg(test)]
            Self::Inside(inside) => inside.apply(job).await,
        }
    }

    /// How long all may be left alone when it went well.
    pub(super) fn interval(&self) -> Duration {
        match self {
            Self::Hosts(_) | Self::ZoneFiles(_) => CHECK,
            #[cfg(test)]
            Self::Inside(_) => CHECK,
            Self::Servers(pusher) => pusher.interval(),
        }
    }

    /// What a person should know beside failures.
    pub(super) fn notes(&self) -> Notes {
        match self {
            Self::Hosts(_) | Self::ZoneFiles(_) => Notes::default(),
            #[cfg(test)]
            Self::Inside(_) => Notes::default(),
            Self::Servers(pusher) => pusher.notes(),
        }
    }
}

/// Runs file operations, which may take their time, where they hold up nobody.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TargetError> + Send + 'static,
) -> Result<T, TargetError> {
    outside::writing(work).await?
}
