//! The token that write requests need: a file beside the state, readable by its owner only.
//!
//! Whoever can read the state directory may end holds; a web page that a browser on the host
//! shows, or another user of the host, may not.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

/// The file's name in the state directory.
pub const TOKEN_FILE: &str = "admin.token";

const BYTES: usize = 32;

/// The secret of the admin API.
#[derive(Debug, Clone)]
pub struct Token(SecretString);

impl Token {
    /// Reads the token of a state directory.
    ///
    /// # Errors
    /// When the file is missing or cannot be read.
    pub fn read(directory: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(directory.join(TOKEN_FILE))?;
        let text = text.trim();
        if text.len() < BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the token is too short"));
        }
        Ok(Self(text.into()))
    }

    /// Reads the token of a state directory, or makes one when there is none, a broken one, or one that
    /// every user could have read.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let path = directory.join(TOKEN_FILE);
        let is_open = fs::metadata(&path).is_ok_and(|file| file.permissions().mode() & 0o007 != 0);
        if let Some(token) = Self::read(directory).ok().filter(|_| !is_open) {
            return Ok(token);
        }
        if is_open {
            tracing::warn!(file = %path.display(), "every user could read the token of the API: it is made anew");
        }
        let mut bytes = [0; BYTES];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| io::Error::other("no random numbers"))?;
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        // The mode of a file that is there would stay.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        writeln!(file, "{text}")?;
        Ok(Self(text.into()))
    }

    /// The value of an `Authorization` header.
    #[must_use]
    pub fn header(&self) -> SecretString {
        format!("Bearer {}", self.0.expose_secret()).into()
    }

    /// Whether an `Authorization` header carries the token; takes the same time for every header
    /// of the same length.
    #[must_use]
    pub fn matches(&self, header: &[u8]) -> bool {
        let expected = self.header();
        is_equal(expected.expose_secret(), header)
    }

    /// Whether this is the token itself, in the same way.
    #[must_use]
    pub fn is(&self, text: &[u8]) -> bool {
        is_equal(self.0.expose_secret(), text)
    }
}

fn is_equal(expected: &str, given: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_bytes(), given).is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn made_once_and_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let token = Token::open(directory.path()).expect("makes one");
        let metadata = fs::metadata(directory.path().join(TOKEN_FILE)).expect("metadata");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        let again = Token::open(directory.path()).expect("reads it");
        assert!(token.matches(again.header().expose_secret().as_bytes()));
        assert!(token.is(again.0.expose_secret().as_bytes()));
        assert!(!token.is(b"") && !token.is(b"0") && !token.is(again.header().expose_secret().as_bytes()));
        assert!(!token.matches(b"Bearer "));
        assert!(!token.matches(&b"Bearer 0".repeat(9)));
        fs::write(directory.path().join(TOKEN_FILE), "").expect("breaks it");
        let new = Token::open(directory.path()).expect("makes another");
        assert!(!token.matches(new.header().expose_secret().as_bytes()));
        assert!(!format!("{new:?}").contains(new.0.expose_secret()));
    }

    #[test]
    fn what_every_user_could_read_is_no_token_any_more() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(TOKEN_FILE);
        let set = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        let mode = || fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        let open = || Token::open(directory.path()).expect("a token").0.expose_secret().to_owned();
        let first = open();
        // A group that an operator lets in.
        set(0o640);
        assert_eq!((open(), mode()), (first.clone(), 0o640));
        set(0o644);
        let second = open();
        assert_ne!(first, second);
        assert_eq!(mode(), 0o600);
        assert_eq!(open(), second);
    }
}
