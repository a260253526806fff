//! The ledger on disk: `ledger-NAME.json` in the state directory.
//!
//! Written like the state, beside, synced, renamed. One that is damaged is moved aside: nothing is ours
//! then, what is equal is adopted, and nothing foreign is removed. One of a later release is whole: it
//! stays where it is, and nothing is written until that release or an operator takes it up.

use std::fs::{self, File, TryLockError};
use std::io::{BufWriter, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::ledger::{Ledger, LedgerError, Reach};
use crate::store::{self, StoreError};

/// A target's ledger.
#[derive(Debug, Clone)]
pub(crate) struct LedgerFile {
    directory: PathBuf,
    target: String,
    /// Locked while records are written.
    lock: Option<Arc<File>>,
}

/// Why a ledger cannot be used; nothing is written without one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// A file operation failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody else writes the target.
    #[error(
        "another process writes the target {0:?}: the daemon, which keeps it in step by itself unless dry_run is set, \
         or another command"
    )]
    InUse(String),
    /// It cannot be read.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// The ledger.
        path: PathBuf,
        /// Why.
        reason: LedgerError,
    },
}

impl LedgerFile {
    pub(crate) fn new(directory: &Path, target: &str) -> Self {
        Self { directory: directory.to_owned(), target: target.to_owned(), lock: None }
    }

    fn name(&self) -> String {
        format!("ledger-{}.json", self.target)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join(self.name())
    }

    /// Keeps others from writing the target, until this is dropped.
    pub(crate) fn lock(&mut self) -> Result<(), FileError> {
        if self.lock.is_some() {
            return Ok(());
        }
        let path = self.directory.join(format!("ledger-{}.lock", self.target));
        let file =
            store::options().truncate(false).open(&path).map_err(store::failed("cannot open", &path))?;
        store::belong(&file, &self.directory).map_err(store::failed("cannot open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FileError::InUse(self.target.clone())),
            Err(TryLockError::Error(source)) => {
                return Err(store::failed("cannot lock", &path)(source).into());
            }
        }
        self.lock = Some(Arc::new(file));
        Ok(())
    }

    /// The ledger; nothing when there is none.
    pub(super) fn read(&self) -> Result<Option<Ledger>, FileError> {
        let path = self.path();
        match fs::read(&path) {
            Ok(bytes) => match Ledger::from_bytes(&bytes) {
                Ok(ledger) => Ok(Some(ledger)),
                Err(reason) => Err(FileError::Unreadable { path, reason }),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(store::failed("cannot read", &path)(source).into()),
        }
    }

    /// The ledger, or a new one. A damaged one is moved aside, which is told in the log.
    pub(super) fn open(&self, reach: &Reach) -> Result<Ledger, FileError> {
        match self.read() {
            Ok(Some(mut ledger)) => {
                ledger.reach = reach.clone();
                Ok(ledger)
            }
            Ok(None) => Ok(Ledger::new(reach.clone())),
            Err(FileError::Unreadable { reason: reason @ LedgerError::Damaged(_), .. }) => {
                let aside = store::free_name(&self.directory, &self.name(), Timestamp::now());
                store::set_aside(&self.directory, &self.name(), &aside)?;
                tracing::error!(
                    target_name = %self.target, moved_to = %aside.display(), %reason,
                    "the ledger could not be read: no record is known to be ours, so none is removed; equal ones are \
                     adopted"
                );
                Ok(Ledger::new(reach.clone()))
            }
            Err(error) => Err(error),
        }
    }

    /// Writes the ledger; afterwards it is on the disk.
    pub(super) fn save(&self, ledger: &Ledger) -> Result<(), FileError> {
        let write = |file: &mut BufWriter<File>| Ok(serde_json::to_writer(file, ledger)?);
        Ok(store::replace(&self.directory, &self.name(), write)?)
    }

    /// Removes the ledger, when no record is ours any more.
    pub(super) fn remove(&self) -> Result<(), FileError> {
        let path = self.path();
        fs::remove_file(&path).map_err(store::failed("cannot remove", &path))?;
        // Whoever waits for the lock has the old file, which nobody else opens any more.
        let _ = fs::remove_file(self.directory.join(format!("ledger-{}.lock", self.target)));
        Ok(())
    }
}
