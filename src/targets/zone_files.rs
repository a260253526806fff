//! Zone files for servers that stay primary: a file for each zone, or the policy zone alone.
//!
//! A file is written when its content differs; then the server is told. That a server has yet to be
//! told stands in a file of its own, so that a restart of the daemon does not forget it.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::error::TargetError;
use super::export::{OF_A_ZONE, SIGN, zone, zone_files};
use super::reload;
use super::replace::{Manner, Written, failed, named, update};
use super::writer::{Applied, Job, blocking};
use crate::config::TargetReload;
use crate::zones::{DnsName, Generation};

/// Where the zones go.
#[derive(Clone)]
pub(super) enum Place {
    /// `ORIGIN.zone` in a directory.
    Directory(PathBuf),
    /// The policy zone into one file.
    Policy(PathBuf, DnsName),
}

/// Zone files, and what makes a server read them.
pub(super) struct ZoneFiles {
    place: Place,
    reload: Option<TargetReload>,
}

/// What a look at the files came to.
struct Outcome {
    records: usize,
    written: Vec<String>,
    /// The server has yet to be told.
    untold: bool,
}

impl ZoneFiles {
    pub(super) const fn new(place: Place, reload: Option<TargetReload>) -> Self {
        Self { place, reload }
    }

    pub(super) async fn apply(&self, job: &Job) -> Result<Applied, TargetError> {
        let (place, generation, dry) = (self.place.clone(), job.generation.clone(), job.dry_run);
        let told = self.reload.is_some();
        let Outcome { records, written, untold } =
            blocking(move || write(&place, &generation, dry, told)).await?;
        job.wrote(written.len());
        if let Some(command) = self.reload.as_ref().filter(|_| untold && !job.dry_run) {
            let said = reload::run(command, &job.stop).await?;
            tracing::info!(target_name = %job.name, command = command.command.join(" "), "the server was told{said}");
            let mark = self.place.mark();
            blocking(move || forget(&mark)).await?;
        }
        Ok(Applied { records, written })
    }
}

impl Place {
    /// The file that says that the server has yet to be told.
    fn mark(&self) -> PathBuf {
        match self {
            Self::Directory(directory) => named(&directory.join("zones"), "reload-pending"),
            Self::Policy(path, _) => named(path, "reload-pending"),
        }
    }
}

/// Replaces one zone file, unless it is somebody else's or that of a dynamic zone.
pub(crate) fn write_zone_file(path: &Path, text: &str) -> Result<(), TargetError> {
    check(path)?;
    update(path, Manner::Replace, |existing| ours(path, existing, text)).map(|_| ())
}

/// Brings the files up to date.
fn write(place: &Place, generation: &Generation, dry: bool, told: bool) -> Result<Outcome, TargetError> {
    let files: Vec<(PathBuf, String, usize)> = match place {
        Place::Directory(directory) => {
            // Otherwise a missing directory is told only when there is something to write.
            fs::metadata(directory).map_err(failed("cannot read", directory))?;
            let files = zone_files(generation).into_iter();
            files.map(|file| (directory.join(file.name), file.text, file.records)).collect()
        }
        Place::Policy(path, origin) => {
            let found = generation.zones.get(origin).zip(generation.serial(origin));
            let (found, serial) = found.ok_or_else(|| TargetError::NoPolicyZone(origin.clone()))?;
            let (text, records) = zone(&generation.publication, origin, found, serial);
            vec![(path.clone(), text, records)]
        }
    };
    // Nothing is written before everything was looked at.
    let mut new = Vec::new();
    for (path, text, _) in &files {
        check(path)?;
        if update(path, Manner::Dry, |existing| ours(path, existing, text))? == Written::New {
            new.push((path, text));
        }
    }
    let left = match place {
        Place::Directory(directory) => left_over(directory, &files)?,
        Place::Policy(..) => Vec::new(),
    };
    let written: Vec<String> =
        new.iter().map(|(path, _)| path.display().to_string()).chain(left.iter().map(|p| shown(p))).collect();
    let mark = place.mark();
    let untold = told && (!written.is_empty() || fs::symlink_metadata(&mark).is_ok());
    if !dry && !written.is_empty() {
        if told {
            remember(&mark)?;
        }
        for (path, text) in new {
            update(path, Manner::Replace, |existing| ours(path, existing, text))?;
        }
        // Somebody may have put a file of their own there meanwhile.
        for path in left.into_iter().filter(|path| is_of_a_zone(path)) {
            fs::remove_file(&path).map_err(failed("cannot remove", &path))?;
        }
    }
    Ok(Outcome { records: files.iter().map(|(_, _, records)| records).sum(), written, untold })
}

fn shown(path: &Path) -> String {
    format!("{} (removed: its zone is gone)", path.display())
}

/// The new content in place of a file of ours.
fn ours(path: &Path, existing: Option<&[u8]>, text: &str) -> Result<Vec<u8>, TargetError> {
    match existing {
        Some(existing) if !existing.is_empty() && !existing.starts_with(SIGN.as_bytes()) => {
            Err(TargetError::Foreign(path.to_owned()))
        }
        _ => Ok(text.as_bytes().to_vec()),
    }
}

/// A zone that its server changes is not for us to write. The journal stands beside the file that the server
/// was told of, which may be the link or what is behind it.
fn check(path: &Path) -> Result<(), TargetError> {
    let real = fs::canonicalize(path).ok().filter(|real| real != path);
    for path in [Some(path), real.as_deref()].into_iter().flatten() {
        let mut journal = path.as_os_str().to_owned();
        journal.push(".jnl");
        let journal = PathBuf::from(journal);
        match fs::symlink_metadata(&journal) {
            Ok(_) => return Err(TargetError::Journal(journal)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed("cannot look for", &journal)(error).into()),
        }
    }
    Ok(())
}

/// Files of ours whose zones are not published any more.
fn left_over(directory: &Path, files: &[(PathBuf, String, usize)]) -> Result<Vec<PathBuf>, TargetError> {
    let mut left = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed("cannot read", directory))? {
        let path = entry.map_err(failed("cannot read", directory))?.path();
        let is_zone = path.extension().is_some_and(|extension| extension == "zone");
        if !is_zone || files.iter().any(|(file, ..)| *file == path) {
            continue;
        }
        if is_of_a_zone(&path) {
            left.push(path);
        }
    }
    left.sort();
    Ok(left)
}

/// Whether a file is one that this kind of target writes: ours, and of the zone that its name says. The
/// policy zone of another target, or an export, may lie in the same directory.
fn is_of_a_zone(path: &Path) -> bool {
    let Some(origin) = path.file_stem().and_then(|stem| stem.to_str()) else { return false };
    // No link: that is somebody's own doing. No pipe: it could keep us waiting.
    if !fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file()) {
        return false;
    }
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
    let mut start = Vec::new();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    file.and_then(|file| file.take(4096).read_to_end(&mut start)).is_ok()
        && start.starts_with(format!("{SIGN}{OF_A_ZONE}\n{origin}. ").as_bytes())
}

/// Makes the mark. In a directory that others write too, nothing that stands in its place is written into.
fn remember(mark: &Path) -> Result<(), TargetError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(mark) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(failed("cannot write", mark)(error).into())
        }
        _ => Ok(()),
    }
}

fn forget(mark: &Path) -> Result<(), TargetError> {
    match fs::remove_file(mark) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("cannot remove", mark)(error).into()),
        _ => Ok(()),
    }
}
