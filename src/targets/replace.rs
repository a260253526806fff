//! Files that are replaced as a whole: whoever reads one sees the old content or the new one.
//!
//! The new content is written beside the file, synced and renamed over it. Mode, owner and group stay;
//! a symbolic link is followed, so that the link stays too. After an error the old file is as it was and
//! nothing is left beside it. A process that is killed in between leaves a file whose name is always the
//! same; the next write removes it. Two writers never share it: whoever writes it holds a lock on it.
//!
//! Some files cannot be replaced: one that is mounted by itself, as containers have `/etc/hosts`, and one
//! in a directory that may not be written. Where the operator says so they are written in place; when
//! that fails the old content is written back.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// The largest file that is read: many times any hosts file, and zones of a million records.
const LIMIT: u64 = 256 << 20;

/// How often a file is merged anew because somebody else wrote it meanwhile.
const ATTEMPTS: usize = 5;

/// The mode of a file that was not there.
const MODE: u32 = 0o644;

/// Why a file could not be read or written; it is as it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplaceError {
    /// A file operation failed.
    #[error("{action} {}: {source}{}", path.display(), hint(source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory, a device.
    #[error("{} is no regular file; name one", .0.display())]
    Irregular(PathBuf),
    /// Too long to be what it should be.
    #[error("{} has more than {} MiB; name another file", .0.display(), LIMIT >> 20)]
    TooLong(PathBuf),
    /// It can only be written in place.
    #[error(
        "{} cannot be replaced ({reason}): mount its directory instead of the file, let the daemon own the file \
         and write its directory, or, for a hosts file, set in_place = true, which is not atomic",
        path.display()
    )]
    InPlaceOnly {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Somebody else writes it again and again.
    #[error("{} is written by somebody else all the time", .0.display())]
    Busy(PathBuf),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => "; create it, or correct the path",
        ErrorKind::PermissionDenied => {
            "; let the user that runs the daemon read and write it and its directory"
        }
        ErrorKind::ReadOnlyFilesystem => {
            "; mount it writable (systemd: ReadWritePaths= in a drop-in of the service)"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; free space, the old content is in force",
        _ => "",
    }
}

/// A file's content and what it is.
struct Existing {
    /// Where it really is.
    path: PathBuf,
    content: Vec<u8>,
    metadata: Metadata,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// It was like that already.
    Same,
    /// It was replaced, or would have been.
    New,
}

/// How files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Look only.
    Dry,
    /// Replace.
    Replace,
    /// Replace, or write in place where that is impossible.
    InPlace,
}

/// Lets `make` make the new content of a file from the old one, which is missing when the file is.
///
/// # Errors
/// That of `make`, or when the file cannot be read or written; it is untouched then.
pub(super) fn update<E: From<ReplaceError>>(
    path: &Path,
    manner: Manner,
    make: impl Fn(Option<&[u8]>) -> Result<Vec<u8>, E>,
) -> Result<Written, E> {
    for _ in 0..ATTEMPTS {
        let existing = read(path)?;
        let content = make(existing.as_ref().map(|existing| existing.content.as_slice()))?;
        if existing.as_ref().is_some_and(|existing| existing.content == content) {
            return Ok(Written::Same);
        }
        if manner == Manner::Dry || write(path, existing.as_ref(), &content, manner)? {
            return Ok(Written::New);
        }
    }
    Err(ReplaceError::Busy(path.to_owned()).into())
}

/// The file behind a path; nothing when there is none.
fn read(path: &Path) -> Result<Option<Existing>, ReplaceError> {
    let path = match fs::canonicalize(path) {
        Ok(path) => path,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // A link to nowhere is no file that is missing.
            return match fs::symlink_metadata(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                _ => Err(failed("cannot find", path)(error)),
            };
        }
        Err(error) => return Err(failed("cannot find", path)(error)),
    };
    // Before opening, which may do something to a device.
    if !fs::metadata(&path).map_err(failed("cannot read", &path))?.is_file() {
        return Err(ReplaceError::Irregular(path));
    }
    // Somebody may have put a named pipe there meanwhile, which is not waited for.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path);
    let file = file.map_err(failed("cannot read", &path))?;
    let metadata = file.metadata().map_err(failed("cannot read", &path))?;
    if !metadata.is_file() {
        return Err(ReplaceError::Irregular(path));
    }
    let mut content = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut content).map_err(failed("cannot read", &path))?;
    if content.len() as u64 > LIMIT {
        return Err(ReplaceError::TooLong(path));
    }
    Ok(Some(Existing { path, content, metadata }))
}

/// Writes a file; says no when somebody else has written it since it was read.
fn write(
    path: &Path,
    existing: Option<&Existing>,
    content: &[u8],
    manner: Manner,
) -> Result<bool, ReplaceError> {
    let real = existing.map_or(path, |existing| &existing.path);
    let beside = beside(real);
    let made = make(&beside, existing.map(|existing| &existing.metadata), content);
    // The lock is held until it is renamed.
    let replaced = made.and_then(|file| {
        if !is_at(&file, &beside) {
            return Err(ReplaceError::Busy(beside.clone()));
        }
        let renamed = match is_unchanged(real, existing) {
            true => fs::rename(&beside, real).map_err(failed("cannot replace", real)).map(|()| true),
            false => Ok(false),
        };
        if !matches!(renamed, Ok(true)) {
            discard(&beside);
        }
        renamed
    });
    match (replaced, existing) {
        (Ok(true), _) => {
            let directory = real.parent().unwrap_or_else(|| Path::new("/"));
            let synced = File::open(directory).and_then(|directory| directory.sync_all());
            synced.map_err(failed("cannot sync", directory)).map(|()| true)
        }
        (Ok(false), _) => Ok(false),
        (Err(error), Some(existing)) => match obstacle(&error) {
            None => Err(error),
            Some(_) if manner == Manner::InPlace => in_place(existing, content),
            Some(reason) if can_be_written(&existing.path) => {
                Err(ReplaceError::InPlaceOnly { path: existing.path.clone(), reason })
            }
            Some(_) => Err(error),
        },
        (Err(error), None) => Err(error),
    }
}

/// Writes a new file with the owner and mode of the old one; it is locked as long as it is open.
fn make(beside: &Path, like: Option<&Metadata>, content: &[u8]) -> Result<File, ReplaceError> {
    clear(beside)?;
    // Nobody else can have put a link there meanwhile.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside);
    let file = file.map_err(failed("cannot create", beside))?;
    // Before it was locked, another writer may have taken it for one that was left.
    if is_in_use(&file) || !is_at(&file, beside) {
        return Err(ReplaceError::Busy(beside.to_owned()));
    }
    let filled = fill(&file, beside, like, content);
    if filled.is_err() {
        discard(beside);
    }
    filled.map(|()| file)
}

fn fill(mut file: &File, beside: &Path, like: Option<&Metadata>, content: &[u8]) -> Result<(), ReplaceError> {
    let mode = like.map_or(MODE, |like| like.mode() & 0o7777);
    if let Some(like) = like {
        let own = file.metadata().map_err(failed("cannot create", beside))?;
        if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
            let owner = Some(like.uid()).filter(|uid| *uid != own.uid());
            let group = Some(like.gid()).filter(|gid| *gid != own.gid());
            fchown(file, owner, group).map_err(failed("cannot keep the owner of", beside))?;
        }
    }
    file.set_permissions(Permissions::from_mode(mode)).map_err(failed("cannot set the mode of", beside))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed("cannot write", beside))
}

/// Removes what a process that was killed left, but not what somebody is writing.
fn clear(beside: &Path) -> Result<(), ReplaceError> {
    let left = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(beside);
    match left {
        Ok(left) if is_in_use(&left) => return Err(ReplaceError::Busy(beside.to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        // What cannot be opened, as a link, is none that anybody writes.
        _ => {}
    }
    fs::remove_file(beside).map_err(failed("cannot remove", beside))
}

/// Whether a path is that of an open file still.
fn is_at(file: &File, path: &Path) -> bool {
    let of = |metadata: Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata().map(of), fs::symlink_metadata(path).map(of)), (Ok(open), Ok(there)) if open == there)
}

/// Whether somebody else holds the lock. Some network file systems have no locks.
fn is_in_use(file: &File) -> bool {
    matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

/// Removes a file that was not needed; when that fails, the next write does it.
fn discard(beside: &Path) {
    let _ = fs::remove_file(beside);
}

/// Whether a file is still the one that was read.
fn is_unchanged(path: &Path, existing: Option<&Existing>) -> bool {
    match (fs::metadata(path), existing) {
        (Ok(now), Some(existing)) => {
            let of = |m: &Metadata| (m.dev(), m.ino(), m.len(), m.mtime(), m.mtime_nsec());
            of(&now) == of(&existing.metadata)
        }
        (Err(error), None) => error.kind() == ErrorKind::NotFound,
        _ => false,
    }
}

/// Why a file cannot be replaced though it might be written.
fn obstacle(error: &ReplaceError) -> Option<String> {
    let ReplaceError::Io { action, source, .. } = error else { return None };
    match Errno::from_io_error(source)? {
        Errno::BUSY | Errno::XDEV => Some("it is mounted by itself".to_owned()),
        Errno::ACCESS | Errno::PERM | Errno::ROFS => Some(format!("{action} a file beside it: {source}")),
        _ => None,
    }
}

fn can_be_written(path: &Path) -> bool {
    OpenOptions::new().write(true).open(path).is_ok()
}

/// Writes into the file; when that fails, what was there before.
fn in_place(existing: &Existing, content: &[u8]) -> Result<bool, ReplaceError> {
    let path = &existing.path;
    let mut file = OpenOptions::new().write(true).open(path).map_err(failed("cannot write", path))?;
    if !is_unchanged(path, Some(existing)) {
        return Ok(false);
    }
    let mut write = |content: &[u8]| {
        file.rewind()?;
        file.write_all(content)?;
        file.set_len(content.len() as u64)?;
        file.sync_all()
    };
    if let Err(source) = write(content) {
        // Needs no space that the file does not have.
        write(&existing.content).map_err(failed("cannot write back the old content of", path))?;
        return Err(failed("cannot write", path)(source));
    }
    Ok(true)
}

/// A file of ours beside another one. Servers that read whole directories pass over such names.
pub(super) fn beside(path: &Path) -> PathBuf {
    named(path, "new")
}

/// `.NAME.privatelink-dns-WHAT` in the same directory.
pub(super) fn named(path: &Path, what: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".privatelink-dns-");
    name.push(what);
    path.with_file_name(name)
}

pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ReplaceError {
    let path = path.to_owned();
    move |source| ReplaceError::Io { action, path, source }
}
