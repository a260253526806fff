//! Key files: read, and written as BIND writes them.
//!
//! The other side of a key is a name server, whose tools make and take BIND's `key` clauses; so one file
//! can be copied between both. TOML is for who writes the daemon's configuration by hand or by a tool.
//! No message here repeats what stands in the place of a secret, or could have been put there instead.

mod bind;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::key::{Algorithm, Key, KeyError, Keys};
use crate::files;
use crate::zones::DnsName;

/// The most bytes of a key file.
const LIMIT: u64 = 64 << 10;

/// A key file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}; {remedy}", place(.file, *.line))]
pub struct KeyFileError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; nothing when the fault is that of the file as a whole, whose name the problem
    /// has then.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: String,
    /// What to write or do instead.
    pub remedy: String,
}

fn place(file: &Path, line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!("{}:{line}: ", file.display()))
}

/// What is wrong in a text, and in which line.
#[derive(Debug)]
struct Fault {
    line: usize,
    problem: String,
    remedy: String,
}

impl Fault {
    fn new(line: usize, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { line, problem: problem.into(), remedy: remedy.into() }
    }
}

/// A value and its line.
type Value<'a> = (usize, &'a str);

/// A key as it is written.
#[derive(Default)]
struct Written<'a> {
    line: usize,
    name: Option<Value<'a>>,
    algorithm: Option<Value<'a>>,
    secret: Option<Value<'a>>,
}

impl Keys {
    /// Reads the keys of some files: BIND's `key` clauses, or TOML with `[[key]]`.
    ///
    /// A file may be read by owner and group only, and has at most 64 KiB and one key or more. The same
    /// key may stand in several places, as long as it is the same.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn read(paths: &[PathBuf]) -> Result<Self, KeyFileError> {
        let mut keys: BTreeMap<DnsName, (Arc<Key>, PathBuf, usize)> = BTreeMap::new();
        for path in paths {
            let whole = |problem: String, remedy: String| KeyFileError {
                file: path.clone(),
                line: None,
                problem,
                remedy,
            };
            let content = files::read_secret(path, LIMIT)
                .map_err(|error| whole(error.problem(path), error.remedy(path)))?;
            let text = std::str::from_utf8(&content)
                .map_err(|_| whole(format!("{} is no text", path.display()), SYNTAX.to_owned()))?;
            let in_line = |fault: Fault| KeyFileError {
                file: path.clone(),
                line: Some(fault.line),
                problem: fault.problem,
                remedy: fault.remedy,
            };
            let found = parse(text).map_err(in_line)?;
            if found.is_empty() {
                return Err(whole(format!("{} holds no key", path.display()), SYNTAX.to_owned()));
            }
            for (line, key) in found {
                match keys.entry(key.name().clone()) {
                    Entry::Vacant(place) => {
                        place.insert((Arc::new(key), path.clone(), line));
                    }
                    Entry::Occupied(place) => {
                        let (first, file, at) = place.get();
                        if **first != key {
                            let problem = format!(
                                "key {} stands in {}:{at} as well, with another algorithm or secret",
                                key.name(),
                                file.display()
                            );
                            return Err(in_line(Fault::new(
                                line,
                                problem,
                                "remove one of them, or rename it",
                            )));
                        }
                    }
                }
            }
        }
        Ok(Self(keys.into_iter().map(|(name, (key, _, _))| (name, key)).collect()))
    }
}

const SYNTAX: &str = "write a clause such as `privatelink-dns tsig generate NAME` prints";

/// The keys of a text, each with its line.
fn parse(text: &str) -> Result<Vec<(usize, Key)>, Fault> {
    if bind::is_toml(text)? { table::read(text) } else { bind::read(text) }
}

impl<'a> Written<'a> {
    /// The key, if all of it is there and right.
    fn key(&self) -> Result<Key, Fault> {
        let needed = |value: Option<Value<'a>>, what: &str, example: &str| {
            value.ok_or_else(|| {
                Fault::new(self.line, format!("the key has no {what}"), format!("add {example}"))
            })
        };
        let (line, name) = needed(self.name, "name", "its name, the same as on the other side")?;
        let name: DnsName = name.parse().map_err(|_| {
            let remedy = "write a name of letters, digits, '-', '_' and dots, at most 63 between two dots";
            Fault::new(line, "the name of the key is no host name", remedy)
        })?;
        let (line, algorithm) = needed(self.algorithm, "algorithm", "algorithm hmac-sha256")?;
        let algorithm: Algorithm = algorithm.parse().map_err(|unknown| {
            Fault::new(line, format!("key {name}: {unknown}"), "write hmac-sha256 here and on the other side")
        })?;
        let (line, secret) = needed(self.secret, "secret", "its secret in base64")?;
        let secret = decode(secret).ok_or_else(|| {
            Fault::new(
                line,
                format!("key {name}: the secret is not base64"),
                "copy the whole secret, with its '='",
            )
        })?;
        Key::new(name.clone(), algorithm, &secret).map_err(|error: KeyError| {
            let remedy =
                format!("make another key with `privatelink-dns tsig generate {name}`, for both sides");
            Fault::new(line, format!("key {name}: {error}"), remedy)
        })
    }
}

/// Decodes base64; as in BIND, white space does not count.
fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut digits = Zeroizing::new(String::with_capacity(text.len()));
    digits.extend(text.chars().filter(|c| !c.is_ascii_whitespace()));
    // Reserved in advance, so that no copy is left behind.
    let mut secret = Zeroizing::new(Vec::with_capacity(digits.len()));
    BASE64_STANDARD.decode_vec(&*digits, &mut secret).ok()?;
    Some(secret)
}

impl Key {
    /// The key as a clause in BIND's syntax, with its secret.
    #[must_use]
    pub fn clause(&self) -> SecretString {
        let secret = Zeroizing::new(BASE64_STANDARD.encode(self.secret()));
        let (name, algorithm) = (self.name(), self.algorithm());
        format!("key \"{name}\" {{\n\talgorithm {algorithm};\n\tsecret \"{}\";\n}};\n", *secret).into()
    }
}
