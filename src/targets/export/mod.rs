//! A generation as text that other software reads: for files that are kept in step, for the API, and
//! for `privatelink-dns export`.
//!
//! Every form is a pure function of one generation, sorted, so that equal generations give equal texts.
//! No form touches names that are not ours: where it overrides public names it does so name by name.

mod bind;
mod dnsmasq;
mod hosts;
mod json;
mod rpz;
#[cfg(test)]
mod tests;
mod unbound;
mod windows;
mod zone;

use crate::zones::{DnsName, Generation};

pub(super) use hosts::lines as hosts_lines;
pub(super) use zone::{OF_A_ZONE, SIGN, zone};
pub use zone::{ZoneFile, zone_files};

/// The policy zone's name where nobody gave it one.
const RPZ: &str = "rpz.privatelink-dns.internal";

/// A form of export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Zone files, one after the other, and the statements for named.conf
    Bind,
    /// A PowerShell script for Windows DNS that can be run again and again
    Windows,
    /// Local data for unbound.conf
    Unbound,
    /// Options for dnsmasq.conf
    Dnsmasq,
    /// The block for a hosts file
    Hosts,
    /// The response policy zone
    Rpz,
    /// Names and zones as JSON
    Json,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 7] =
        [Self::Bind, Self::Windows, Self::Unbound, Self::Dnsmasq, Self::Hosts, Self::Rpz, Self::Json];

    /// Its word on the command line and in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Windows => "windows",
            Self::Unbound => "unbound",
            Self::Dnsmasq => "dnsmasq",
            Self::Hosts => "hosts",
            Self::Rpz => "rpz",
            Self::Json => "json",
        }
    }

    /// The format of a word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.word() == word)
    }
}

/// The generation in a form. Lines end in LF; in the script for Windows too, which PowerShell takes.
#[must_use]
pub fn export(generation: &Generation, format: Format) -> String {
    match format {
        Format::Bind => bind::text(generation),
        Format::Windows => windows::text(generation),
        Format::Unbound => unbound::text(generation),
        Format::Dnsmasq => dnsmasq::text(generation),
        Format::Hosts => hosts::text(generation),
        Format::Rpz => rpz::text(generation),
        Format::Json => json::text(generation),
    }
}

/// The name of a zone's file.
fn file_name(origin: &DnsName) -> String {
    format!("{origin}.zone")
}
