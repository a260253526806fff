//! Reads the file from disk, with the process's environment, and looks at the files that it names.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::error::{ConfigErrors, Place};
use super::file::check;
use super::inspect::{inspect, open};
use super::reader::{Holds, Report, Section, Wrong};
use super::types::Config;
use super::{daemon, dns, overlay, tree};

/// No configuration comes near; keeps a wrong path, such as that of a disk, out of memory.
const MAX_BYTES: u64 = 1 << 20;

/// Where a running daemon is reached. Read without a look at the rest of the configuration, so that
/// a file that somebody is editing does not make a healthy daemon look ill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The address of the admin listener.
    pub admin_listen: SocketAddr,
    /// Where the token of the API is.
    pub state_directory: PathBuf,
}

/// What a [`Contact`] is made of.
const CONTACT: [&str; 2] = ["admin.listen", "state.directory"];

impl Contact {
    /// Reads the two keys from what can be read of the file, and from the environment.
    ///
    /// # Errors
    /// When the file cannot be read, or one of the two values is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let mut report = Report::new(&path.display().to_string());
        let mut environment = environment(&mut report);
        environment.retain(|(name, _)| CONTACT.iter().any(|key| overlay::stands_for(name, key)));
        let text = read(path).unwrap_or_else(|wrong| {
            report.push(&Place::File, "", wrong);
            String::new()
        });
        let mut table = tree::recover(&text);
        overlay::apply(environment, &mut table, &mut report);
        let root = Section::root(&table);
        let contact = Self {
            admin_listen: dns::admin_listen(&root, &mut report),
            state_directory: daemon::state_directory(&root, &mut report),
        };
        if report.is_clean() { Ok(contact) } else { Err(report.into_errors()) }
    }
}

/// A configuration and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file that it was read from.
    pub path: PathBuf,
    /// The environment variables that replaced or added values, in order of their names.
    pub variables: Vec<String>,
    /// What is wrong inside the files of the credential, which are there and closed to others. No
    /// reason not to start: stored records are served, and a replaced file is used from then on.
    pub credential: Option<ConfigErrors>,
}

impl Config {
    /// Reads the file, lays the process's `PRIVATELINK_DNS__…` variables over it, and checks that the
    /// files named in it can be read, hold what they should, and are not open to everybody if it is a
    /// secret.
    ///
    /// # Errors
    /// Everything that is wrong, in one go.
    pub fn load(path: &Path) -> Result<Loaded, ConfigErrors> {
        let mut report = Report::new(&path.display().to_string());
        let environment = environment(&mut report);
        let checked = match read(path) {
            Ok(text) => check(&text, environment, &mut report),
            Err(wrong) => {
                report.push(&Place::File, "", wrong);
                None
            }
        };
        let mut inside = Report::new(&path.display().to_string());
        for file in std::mem::take(&mut report.files) {
            match open(&file) {
                Ok(content) => {
                    let fatal = matches!(file.holds, Holds::Authorities | Holds::ServerPair(_) | Holds::Keys);
                    let report = if fatal { &mut report } else { &mut inside };
                    inspect(&file, &content)
                        .unwrap_or_else(|wrong| report.push(&file.place, &file.key, wrong));
                }
                Err(wrong) => report.push(&file.place, &file.key, wrong),
            }
        }
        match checked {
            Some((config, variables)) if report.is_clean() => {
                let credential = (!inside.is_clean()).then(|| inside.into_errors());
                Ok(Loaded { config, path: path.to_owned(), variables, credential })
            }
            _ => {
                report.append(inside);
                Err(report.into_errors())
            }
        }
    }
}

/// The process's environment. Variables that are no Unicode are left out, unless they are ours.
fn environment(report: &mut Report) -> Vec<(String, String)> {
    let mut environment = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => environment.push((name, value)),
            Err(_) if overlay::concerns(&name) => {
                let wrong = Wrong::new("its value is no valid UTF-8", "set it to plain text");
                report.push(&Place::Variable(name), "", wrong);
            }
            Err(_) => {}
        }
    }
    environment
}

fn read(path: &Path) -> Result<String, Wrong> {
    let unreadable = |error: io::Error| {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "write the configuration there, or give the path of another file",
            io::ErrorKind::PermissionDenied => "let the user that runs the daemon read it",
            _ => "give the path of a readable file",
        };
        Wrong::new(format!("cannot read the configuration: {error}"), remedy)
    };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        let problem = "is larger than 1 MiB, which no configuration is";
        return Err(Wrong::new(problem, "give the path of the configuration"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let start = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = start.iter().filter(|b| **b == b'\n').count() + 1;
        Wrong::new(format!("is no valid UTF-8 in line {line}"), "save it as UTF-8")
    })
}
