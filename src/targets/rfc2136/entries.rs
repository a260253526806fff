//! What a ledger says of single names, for whoever asks why a server has a record.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::file::{FileError, LedgerFile};
use super::ledger::{Origin, State};
use crate::zones::DnsName;

/// A record that is ours at a server that stays primary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// The target.
    pub target: String,
    /// The server, or `any` where all servers of the target hold the same.
    pub server: String,
    /// The zone that it was written to.
    pub zone: DnsName,
    /// The name.
    pub owner: DnsName,
    /// The address.
    pub address: Ipv4Addr,
    /// How it became ours: `written` or `adopted`.
    pub origin: String,
    /// Whether it is there: `held`; or `adding`, `removing`, when that is under way or not known.
    pub state: String,
    /// The generation that wanted it.
    pub generation: u64,
    /// When it was last written or adopted, or was to be.
    pub at: Timestamp,
}

/// The records of some names in the ledger of a target; nothing where there is no ledger.
pub(crate) fn entries(
    state: &Path,
    target: &str,
    names: &BTreeSet<DnsName>,
) -> Result<Vec<LedgerEntry>, FileError> {
    let Some(ledger) = LedgerFile::new(state, target).read()? else { return Ok(Vec::new()) };
    let mut entries = Vec::new();
    for (server, book) in &ledger.books {
        for (owner, page) in names.iter().filter_map(|name| Some((name, book.page(name)?))) {
            entries.extend(page.records.iter().map(|(address, entry)| LedgerEntry {
                target: target.to_owned(),
                server: server.clone(),
                zone: page.zone.clone(),
                owner: owner.clone(),
                address: *address,
                origin: entry.origin.word().to_owned(),
                state: entry.state.word().to_owned(),
                generation: entry.generation,
                at: entry.at,
            }));
        }
    }
    Ok(entries)
}

impl Origin {
    /// As it stands in the ledger.
    const fn word(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Adopted => "adopted",
        }
    }
}

impl State {
    /// As it stands in the ledger.
    const fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Adding => "adding",
            Self::Removing => "removing",
        }
    }
}
