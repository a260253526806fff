//! Small files with secrets, read completely or not at all.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::token::TokenError;
use crate::files::{self, FileError};

/// The content of a file of at most `limit` bytes.
pub(super) fn read_small(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, TokenError> {
    files::read(path, limit).map_err(|error| TokenError::File {
        path: path.to_owned(),
        reason: match error {
            FileError::Unreadable(error) => error.to_string(),
            FileError::Irregular => "it is no regular file".to_owned(),
            FileError::TooLong(limit) => format!("it has more than {limit} bytes"),
            FileError::Open(_) => "it is open to every user".to_owned(),
        },
    })
}

/// The same as text, without white space around it; never empty.
pub(super) fn read_small_text(path: &Path, limit: u64) -> Result<SecretString, TokenError> {
    let failed = |reason: &str| TokenError::File { path: path.to_owned(), reason: reason.to_owned() };
    let content = read_small(path, limit)?;
    match std::str::from_utf8(&content).map(str::trim) {
        Ok("") => Err(failed("it is empty")),
        Ok(text) => Ok(SecretString::from(text)),
        Err(_) => Err(failed("it is not UTF-8")),
    }
}

/// Runs `work` where blocking does no harm.
pub(super) async fn blocking<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce(&Path) -> Result<T, TokenError> + Send + 'static,
) -> Result<T, TokenError> {
    let place = path.clone();
    tokio::task::spawn_blocking(move || work(&place)).await.unwrap_or_else(|error| {
        Err(TokenError::File { path, reason: format!("reading was interrupted: {error}") })
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_secret_is_read_without_its_line_end_and_within_bounds() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secret");
        let read = || read_small_text(&path, 16);
        let reason = |content: &[u8]| {
            std::fs::write(&path, content).expect("written");
            read().expect_err("refused").to_string()
        };
        assert!(read().expect_err("missing").to_string().contains("secret"));
        assert!(reason(b" \n").contains("empty"));
        assert!(reason(&[b'x'; 17]).contains("more than 16 bytes"));
        assert!(reason(b"\xff").contains("UTF-8"));
        assert!(read_small(directory.path(), 16).is_err());
        std::fs::write(&path, "hunter2\r\n").expect("written");
        assert_eq!(read().expect("a secret").expose_secret(), "hunter2");
    }
}
