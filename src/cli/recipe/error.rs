//! Why there is no recipe, and what to write into the configuration.

use std::fmt::Write;
use std::net::SocketAddr;

use crate::store::StoreError;

/// There is no recipe that would work.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecipeError {
    /// Nobody is configured.
    #[error(
        "no secondary is configured; write a section [[secondary]] with name, address and key into the \
         configuration"
    )]
    NoSecondary,
    /// It is not clear which one is meant.
    #[error("there are several secondaries; say which with --secondary NAME: {}", .0.join(", "))]
    WhichSecondary(Vec<String>),
    /// There is none of this name.
    #[error("no secondary is called {name:?}; there {}", known(.names))]
    UnknownSecondary {
        /// What was asked for.
        name: String,
        /// What there is.
        names: Vec<String>,
    },
    /// The configuration does not tell where the secondary reaches the daemon.
    #[error(
        "[dns] listen is {}, which does not tell where the secondary reaches the daemon; say it with \
         --primary ADDRESS, or ADDRESS:PORT", listed(.0)
    )]
    WhichPrimary(Vec<SocketAddr>),
    /// The zones have to be listed, and nobody knows them yet.
    #[error(
        "the recipe has to list the zones, and none are stored in {0} yet; run the daemon first, until \
         `privatelink-dns status` shows them"
    )]
    NoZones(String),
    /// The stored zones cannot be read.
    #[error("the recipe has to list the zones: {0}; run this as root")]
    Store(#[from] StoreError),
    /// There is no policy zone.
    #[error("there is no response policy zone; write rpz = \"rpz.privatelink-dns.internal\" into [transfer]")]
    NoRpz,
    /// The server cannot do what the secondary's section asks for.
    #[error("{server} {lacks}; write {write} into the section of the secondary {secondary:?}")]
    Unfit {
        /// The server.
        server: &'static str,
        /// What it cannot do.
        lacks: &'static str,
        /// What to write instead.
        write: &'static str,
        /// Whose section it is.
        secondary: String,
    },
    /// The server knows one port only.
    #[error(
        "Windows DNS knows port 53 only, and {0} has another one; give [dns] listen (or --primary) and the \
         secondary's address port 53"
    )]
    Port(SocketAddr),
}

fn known(names: &[String]) -> String {
    if names.len() == 1 { format!("is {}", names.concat()) } else { format!("are {}", names.join(", ")) }
}

fn listed(addresses: &[SocketAddr]) -> String {
    let mut text = String::new();
    for address in addresses {
        let _ = write!(text, "{}{address}", if text.is_empty() { "" } else { ", " });
    }
    text
}
