//! What the daemon proves itself with, for each server on its own.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::{GssError, Step};
use super::library::{self, Gss, MemoryCache, NameKind};
use crate::files::{self, FileError};

/// The most bytes of a keytab or ticket cache.
const LIMIT: u64 = 1 << 20;
/// The most bytes of a password.
const PASSWORD_LIMIT: u64 = 4096;

/// Where a client's Kerberos identity comes from. Files hold secrets: other users of the host may not be able
/// to open them. They are read anew for every context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// Keys of an account.
    Keytab {
        /// The keytab.
        path: PathBuf,
        /// The account, `name@REALM`.
        principal: String,
    },
    /// A cache of tickets that something else keeps fresh, k5start for example. In it are put tickets for
    /// DNS servers, when it can be written.
    Ccache {
        /// The cache, a file.
        path: PathBuf,
    },
    /// The password of an account.
    Password {
        /// The account, `name@REALM`.
        principal: String,
        /// A file with the password on its first and only line.
        file: PathBuf,
    },
}

/// A credential that is ready for use. Its tickets are in memory and go with it.
pub(super) struct Ready {
    /// Dropped before the cache that it uses.
    pub(super) credential: library::Credential,
    _tickets: Option<MemoryCache>,
}

impl Credential {
    /// Who it is, for messages.
    pub(super) fn who(&self) -> String {
        match self {
            Self::Keytab { principal, .. } | Self::Password { principal, .. } => principal.clone(),
            Self::Ccache { path } => format!("the owner of {}", path.display()),
        }
    }

    /// The file that it is in.
    pub(super) fn file(&self) -> &Path {
        match self {
            Self::Keytab { path, .. } | Self::Ccache { path } => path,
            Self::Password { file, .. } => file,
        }
    }

    /// Asks the KDC for a ticket, or takes that of the cache. May take minutes.
    pub(super) fn open(&self, gss: Gss) -> Result<Ready, GssError> {
        let failed = |failure| GssError::of(failure, self, Step::Credential);
        let principal = |text: &str| gss.name(text, NameKind::Principal).map_err(failed);
        match self {
            Self::Keytab { path, principal: name } => {
                read(path, LIMIT)?;
                let tickets = MemoryCache::new(gss);
                let keytab = resource("FILE:", path)?;
                let store = [(c"client_keytab", &*keytab), (c"ccache", tickets.name())];
                let credential = gss.credential(Some(&principal(name)?), &store).map_err(failed)?;
                Ok(Ready { credential, _tickets: Some(tickets) })
            }
            Self::Ccache { path } => {
                read(path, LIMIT)?;
                let cache = resource("FILE:", path)?;
                let credential = gss.credential(None, &[(c"ccache", &cache)]).map_err(failed)?;
                Ok(Ready { credential, _tickets: None })
            }
            Self::Password { principal: name, file } => {
                let content = read(file, PASSWORD_LIMIT)?;
                let line = content.strip_suffix(b"\n").unwrap_or(&content);
                let password = line.strip_suffix(b"\r").unwrap_or(line);
                let credential = gss.credential_of_password(&principal(name)?, password).map_err(failed)?;
                Ok(Ready { credential, _tickets: None })
            }
        }
    }
}

fn read(path: &Path, limit: u64) -> Result<secrecy::zeroize::Zeroizing<Vec<u8>>, GssError> {
    let failed =
        |error: FileError| GssError::File { problem: error.problem(path), remedy: error.remedy(path) };
    files::read_secret(path, limit).map_err(failed)
}

/// A file as Kerberos names it.
fn resource(kind: &str, path: &Path) -> Result<CString, GssError> {
    let name = [OsStr::new(kind), path.as_os_str()].map(OsStr::as_bytes).concat();
    CString::new(name).map_err(|_| GssError::File {
        problem: format!("{} is no path", path.display()),
        remedy: "name a file".to_owned(),
    })
}
