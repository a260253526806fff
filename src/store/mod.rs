//! The state directory: the last accepted generation, where a power cut cannot hurt it.
//!
//! The daemon has to answer after a restart with Azure unreachable (promise 5), so everything that
//! answers need is written before it is served: beside the old file, synced, renamed, directory
//! synced. A file that cannot be read, for whatever reason, is moved aside and reported; it never
//! keeps the daemon from starting, and nothing is ever deleted or written over.

#[cfg(test)]
pub(crate) mod fake;
mod format;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

pub use format::{Saved, SavedError};

/// The state file's name.
const STATE: &str = "state.json";

/// Held by the daemon that owns the directory.
const LOCK: &str = "lock";

/// The state directory, owned by this process.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    /// Where unreadable state has to go before anything is saved; nothing when there is none.
    aside: Option<PathBuf>,
    /// Locked as long as it is open.
    _lock: File,
    /// Takes the state in place of the directory.
    #[cfg(test)]
    inside: Option<fake::Inside>,
}

/// What a state directory held when it was opened.
#[derive(Debug)]
pub enum Opened {
    /// Nothing yet.
    Empty,
    /// State.
    Saved(Box<Saved>),
    /// State that could not be read.
    MovedAside {
        /// Where it is now.
        path: PathBuf,
        /// Why it could not be read.
        reason: StoreError,
    },
    /// State that could neither be read nor moved; every save tries to move it first.
    Stuck {
        /// Why it could not be read.
        reason: StoreError,
        /// Why it could not be moved.
        obstacle: StoreError,
    },
}

/// The state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file operation failed.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has the directory.
    #[error(
        "another privatelink-dns uses the state directory {}; stop it, or set another [state] directory",
        .0.display()
    )]
    InUse(PathBuf),
    /// The state cannot be read.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// The state file.
        path: PathBuf,
        /// Why.
        reason: SavedError,
    },
}

impl Store {
    /// Opens the directory, makes it when it is missing, locks it, and loads what it holds.
    ///
    /// # Errors
    /// When the directory cannot be made or locked.
    pub fn open(directory: &Path, now: Timestamp) -> Result<(Self, Opened), StoreError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(failed("cannot make the state directory", directory))?;
        let path = directory.join(LOCK);
        let lock = options().truncate(false).open(&path).map_err(failed("cannot open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(directory.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed("cannot lock", &path)(source)),
        }
        let mut store = Self {
            directory: directory.to_owned(),
            aside: None,
            _lock: lock,
            #[cfg(test)]
            inside: None,
        };
        let opened = match Self::read(directory) {
            Ok(None) => Opened::Empty,
            Ok(Some(saved)) => Opened::Saved(Box::new(saved)),
            Err(reason) => {
                let path = free_name(directory, STATE, now);
                store.aside = Some(path.clone());
                match store.move_aside() {
                    Ok(()) => Opened::MovedAside { path, reason },
                    Err(obstacle) => Opened::Stuck { reason, obstacle },
                }
            }
        };
        Ok((store, opened))
    }

    /// Reads a directory's state without owning it; nothing when there is none.
    ///
    /// # Errors
    /// When the file is there and cannot be read or understood.
    pub fn read(directory: &Path) -> Result<Option<Saved>, StoreError> {
        let path = directory.join(STATE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed("cannot read", &path)(source)),
        };
        match Saved::from_bytes(&bytes) {
            Ok(saved) => Ok(Some(saved)),
            Err(reason) => Err(StoreError::Unreadable { path, reason }),
        }
    }

    /// Replaces the state; afterwards it is on the disk.
    ///
    /// # Errors
    /// When it could not be written; the old state is untouched then.
    pub fn save(&self, saved: &Saved) -> Result<(), StoreError> {
        #[cfg(test)]
        if let Some(inside) = &self.inside {
            return inside.save(saved);
        }
        self.move_aside()?;
        replace(&self.directory, STATE, |writer| saved.write(writer))
    }

    /// Moves unreadable state out of the way, unless that is done.
    fn move_aside(&self) -> Result<(), StoreError> {
        let Some(aside) = self.aside.as_ref().filter(|aside| !aside.exists()) else { return Ok(()) };
        set_aside(&self.directory, STATE, aside)
    }
}

/// Replaces a file of the directory, `NAME` by way of `NAME.new`; afterwards it is on the disk. A file
/// that root makes belongs to the owner of the directory, so that the daemon can go on with it.
///
/// # Errors
/// When it could not be written; the old file is untouched then.
pub(crate) fn replace(
    directory: &Path,
    name: &str,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), StoreError> {
    let path = directory.join(format!("{name}.new"));
    let file = options().truncate(true).open(&path).map_err(failed("cannot create", &path))?;
    let mut writer = BufWriter::with_capacity(1 << 16, file);
    write(&mut writer)
        .and_then(|()| writer.flush())
        .and_then(|()| belong(writer.get_ref(), directory))
        .and_then(|()| writer.get_ref().sync_all())
        .map_err(failed("cannot write", &path))?;
    let real = directory.join(name);
    fs::rename(&path, &real).map_err(failed("cannot replace", &real))?;
    sync(directory)
}

/// Moves a file of the directory out of the way of the one that will take its place; afterwards that is
/// on the disk, so that no power cut leaves the later rename without this one.
pub(crate) fn set_aside(directory: &Path, name: &str, aside: &Path) -> Result<(), StoreError> {
    let path = directory.join(name);
    fs::rename(&path, aside).map_err(failed("cannot move aside", &path))?;
    sync(directory)
}

fn sync(directory: &Path) -> Result<(), StoreError> {
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed("cannot sync", directory))
}

pub(crate) fn belong(file: &File, directory: &Path) -> io::Result<()> {
    let (own, wanted) = (file.metadata()?, fs::metadata(directory)?);
    if own.uid() == 0 && wanted.uid() != 0 {
        fchown(file, Some(wanted.uid()), Some(wanted.gid()))
    } else {
        Ok(())
    }
}

/// A name for an unreadable file beside it that nothing has yet.
pub(crate) fn free_name(directory: &Path, name: &str, now: Timestamp) -> PathBuf {
    let mut aside = directory.join(format!("{name}.unreadable-{}", now.as_second()));
    let mut attempt = 1;
    while aside.exists() {
        aside = directory.join(format!("{name}.unreadable-{}-{attempt}", now.as_second()));
        attempt += 1;
    }
    aside
}

pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { action, path, source }
}

#[cfg(test)]
mod tests;
