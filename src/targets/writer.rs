//! What all kinds of targets have in common: a job, and what became of it.

use std::sync::Arc;

use prometheus::IntCounter;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::error::TargetError;
use super::hosts::HostsFile;
use super::zone_files::{Place, ZoneFiles};
use crate::config::TargetKind;
use crate::zones::Generation;

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

/// What brings a target up to date. One for each kind; a new kind is a variant.
pub(super) enum Writer {
    Hosts(HostsFile),
    ZoneFiles(ZoneFiles),
}

impl Writer {
    pub(super) fn new(kind: &TargetKind) -> Self {
        match kind.clone() {
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
        }
    }
}

/// Runs file operations, which may take their time, where they hold up nobody.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TargetError> + Send + 'static,
) -> Result<T, TargetError> {
    spawn_blocking(work).await?
}
