//! Small files, read completely or not at all; and one rule for those with secrets: other users of
//! the host may not open them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use secrecy::zeroize::Zeroizing;

/// Why a file is not read.
#[derive(Debug)]
pub(crate) enum FileError {
    /// The system does not give it.
    Unreadable(io::Error),
    /// A directory, a pipe, a device: the last two could keep the reader waiting for ever.
    Irregular,
    /// More bytes than this.
    TooLong(u64),
    /// It holds a secret, and has this mode.
    Open(u32),
}

impl FileError {
    /// What is wrong, with the file's name.
    pub(crate) fn problem(&self, path: &Path) -> String {
        let path = path.display();
        match self {
            Self::Unreadable(error) => format!("cannot read {path}: {error}"),
            Self::Irregular => format!("{path} is no regular file"),
            Self::TooLong(limit) => format!("{path} has more than {} KiB", limit >> 10),
            Self::Open(mode) => {
                format!("{path} is open to every user (mode {mode:04o}), and it holds a secret")
            }
        }
    }

    /// What to do.
    pub(crate) fn remedy(&self, path: &Path) -> String {
        match self {
            Self::Unreadable(error) => match error.kind() {
                io::ErrorKind::NotFound => "create the file or correct the path",
                io::ErrorKind::PermissionDenied => "let the user that runs the daemon read it",
                _ => "name a readable file",
            }
            .to_owned(),
            Self::Irregular => "name a file".to_owned(),
            Self::TooLong(_) => "name the right file".to_owned(),
            Self::Open(_) => format!(
                "run chmod 0640 {} (Kubernetes: defaultMode: 0440), or use LoadCredential= of systemd",
                path.display()
            ),
        }
    }
}

/// The content of a regular file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    content(open(path)?, limit)
}

/// The same of a file with a secret, which only owner and group may open.
pub(crate) fn read_secret(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let file = open(path)?;
    let mode = file.metadata().map_err(FileError::Unreadable)?.permissions().mode() & 0o7777;
    if mode & 0o007 != 0 {
        return Err(FileError::Open(mode));
    }
    content(file, limit)
}

fn open(path: &Path) -> Result<File, FileError> {
    // Before opening, which would wait at a named pipe.
    if !fs::metadata(path).map_err(FileError::Unreadable)?.is_file() {
        return Err(FileError::Irregular);
    }
    File::open(path).map_err(FileError::Unreadable)
}

fn content(file: File, limit: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let mut content = Zeroizing::new(Vec::new());
    file.take(limit + 1).read_to_end(&mut content).map_err(FileError::Unreadable)?;
    if content.len() as u64 > limit {
        return Err(FileError::TooLong(limit));
    }
    Ok(content)
}
