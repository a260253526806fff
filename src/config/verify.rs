//! `[verify]`: whether the daemon looks by itself if names lead where they should, and how.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::credential;
use super::reader::{Field, Holds, Report, Section, Wrong, shown};
use super::schema::nearest;

const RESOLVERS: &str = "[\"system\", \"daemon\", \"targets\", \"secondaries\"]";
const PORTS: &str = "[443, 8883, 5671]";

/// Every resolver is asked for every name.
const MAX_RESOLVERS: usize = 32;
/// Every port is tried at every address.
const MAX_PORTS: usize = 16;

/// What is verified, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verify {
    /// The daemon does it by itself; it is off by default because it connects to what devices use.
    pub enabled: bool,
    /// Time between two runs; 1 s to 1 day.
    pub interval: Duration,
    /// Who is asked for the names; 1 to 32.
    pub resolvers: Vec<VerifyResolver>,
    /// Connect to the addresses, too.
    pub connect: bool,
    /// The TCP ports that are tried at every address; 1 to 16.
    pub ports: Vec<u16>,
    /// PEM file with certificates of authorities trusted beside the system's own.
    pub ca_file: Option<PathBuf>,
}

/// Who is asked for the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum VerifyResolver {
    /// The servers of `/etc/resolv.conf`.
    System,
    /// The daemon's own listeners.
    Daemon,
    /// The servers of all targets of type rfc2136.
    Targets,
    /// All secondaries.
    Secondaries,
    /// A resolver.
    Address(SocketAddr),
}

/// The words for what is no address.
const WORDS: [(&str, VerifyResolver); 4] = [
    ("system", VerifyResolver::System),
    ("daemon", VerifyResolver::Daemon),
    ("targets", VerifyResolver::Targets),
    ("secondaries", VerifyResolver::Secondaries),
];

impl VerifyResolver {
    /// The system's resolver, and all that the configuration knows.
    pub const ALL: [Self; 4] = [Self::System, Self::Daemon, Self::Targets, Self::Secondaries];
}

/// A text names no resolver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is none of system, daemon, targets, secondaries, and no IP address with an optional port (IPv6: [ADDRESS]:PORT)"
)]
pub struct NoResolver(String);

impl FromStr for VerifyResolver {
    type Err = NoResolver;

    fn from_str(text: &str) -> Result<Self, NoResolver> {
        if let Some((_, word)) = WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(*word);
        }
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        let address = text.parse().ok().or_else(|| Some(SocketAddr::new(bare.parse().ok()?, 53)));
        match address {
            Some(address) if !(address.ip().is_unspecified() || address.ip().is_multicast()) => {
                Ok(Self::Address(SocketAddr::new(address.ip().to_canonical(), address.port())))
            }
            _ => Err(NoResolver(shown(text))),
        }
    }
}

impl fmt::Display for VerifyResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, WORDS.iter().find(|(_, resolver)| resolver == self)) {
            (_, Some((word, _))) => f.write_str(word),
            (Self::Address(address), _) if address.port() == 53 => address.ip().fmt(f),
            (Self::Address(address), _) => address.fmt(f),
            _ => Ok(()),
        }
    }
}

/// What is verified.
pub(super) fn read(root: &Section<'_>, report: &mut Report) -> Verify {
    let section = root.child("verify", report);
    let second = Duration::from_secs(1);
    let resolvers = section.list("resolvers", RESOLVERS, MAX_RESOLVERS, report, resolver);
    let ports = section.list("ports", PORTS, MAX_PORTS, report, port);
    Verify {
        enabled: section.flag("enabled", false, report),
        interval: section.duration("interval", second * 300, second..=second * 86_400, report),
        resolvers: resolvers
            .map_or_else(|| VerifyResolver::ALL.to_vec(), |items| once(items.into_iter().map(|i| i.value))),
        connect: section.flag("connect", true, report),
        ports: ports.map_or_else(|| vec![443, 8883, 5671], |items| once(items.into_iter().map(|i| i.value))),
        ca_file: credential::file(&section, "ca_file", Holds::Authorities, report),
    }
}

/// What is listed twice is done once.
fn once<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    items.fold(Vec::new(), |mut kept, item| {
        if !kept.contains(&item) {
            kept.push(item);
        }
        kept
    })
}

fn resolver(field: &Field<'_>) -> Result<VerifyResolver, Wrong> {
    let text = field.text()?;
    text.parse().map_err(|error: NoResolver| {
        match nearest(&text.to_ascii_lowercase(), &WORDS.map(|(word, _)| word)) {
            Some(near) => Wrong::new(error.to_string(), format!("did you mean \"{near}\"?")),
            None => field.wrong(error.to_string()),
        }
    })
}

fn port(field: &Field<'_>) -> Result<u16, Wrong> {
    let number = field.integer(&(1..=65_535))?;
    u16::try_from(number).map_err(|_| field.wrong(format!("{number} is no port")))
}
