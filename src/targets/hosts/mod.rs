//! A block in a hosts file, for machines whose DNS cannot be changed.

mod merge;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub(super) use merge::{BrokenBlock, block, merge};

use super::error::TargetError;
use super::export::hosts_lines;
use super::replace::{Manner, Written, update};
use super::writer::{Applied, Job, blocking};
use crate::zones::Generation;

/// A hosts file with a block of ours.
pub(super) struct HostsFile {
    path: PathBuf,
    in_place: bool,
}

impl HostsFile {
    pub(super) const fn new(path: PathBuf, in_place: bool) -> Self {
        Self { path, in_place }
    }

    pub(super) async fn apply(&self, job: &Job) -> Result<Applied, TargetError> {
        let (path, in_place, generation, dry) =
            (self.path.clone(), self.in_place, job.generation.clone(), job.dry_run);
        let manner = match (dry, in_place) {
            (true, _) => Manner::Dry,
            (false, true) => Manner::InPlace,
            (false, false) => Manner::Replace,
        };
        let (written, records) = blocking(move || write(&path, manner, &generation)).await?;
        job.wrote(usize::from(written == Written::New));
        let written = (written == Written::New).then(|| self.path.display().to_string());
        Ok(Applied { records, written: written.into_iter().collect() })
    }
}

/// Brings the block of a file up to date; gives the lines in it.
fn write(path: &Path, manner: Manner, generation: &Generation) -> Result<(Written, usize), TargetError> {
    let lines = hosts_lines(generation);
    let written = update(path, manner, |existing| {
        // A hosts file that is not there is a mistake in its path.
        let existing = existing.ok_or_else(|| TargetError::NoHostsFile(path.to_owned()))?;
        merge(existing, &lines).map_err(|broken| TargetError::BrokenBlock { path: path.to_owned(), broken })
    })?;
    Ok((written, lines.len()))
}
