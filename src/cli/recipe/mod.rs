//! `recipe`: the configuration of somebody else's DNS server that takes the zones over.
//!
//! Printed from the daemon's own configuration, because addresses, ports and names of keys, catalog
//! and policy zone that are typed twice differ sooner or later, and a secondary that is refused says
//! so in its own log only. What cannot work is told here, with what to write instead.

mod bind;
mod error;
mod facts;
mod knot;
mod nsd;
mod powerdns;
mod unbound;
mod windows;

use super::{ConfigArgument, Failure, Printed};
use crate::config::Config;
use error::RecipeError;
use facts::Facts;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The server to configure
    #[arg(value_name = "KIND")]
    kind: Kind,
    /// The name of its [[secondary]]; may be left out when there is one
    #[arg(long, value_name = "NAME")]
    secondary: Option<String>,
    /// Where the secondary reaches the daemon, as ADDRESS or ADDRESS:PORT; needed when [dns] listen
    /// has several addresses or a wildcard
    #[arg(long, value_name = "ADDRESS", value_parser = facts::primary)]
    primary: Option<facts::Primary>,
    #[command(flatten)]
    config: ConfigArgument,
}

/// What a server is and does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// BIND 9.18 or later, with the zones
    BindSecondary,
    /// Knot DNS 3.2 or later, with the zones
    KnotSecondary,
    /// NSD 4.6 or later, with the zones
    NsdSecondary,
    /// PowerDNS Authoritative Server 4.7 or later, with the zones
    #[value(name = "powerdns-secondary")]
    PowerDnsSecondary,
    /// Unbound 1.17 or later, with the zones
    UnboundAuthZone,
    /// Unbound 1.17 or later, a resolver with the response policy zone
    UnboundRpz,
    /// BIND 9.18 or later, a resolver with the response policy zone
    BindRpz,
    /// Windows DNS, with the zones
    WindowsSecondary,
}

impl Kind {
    /// Whether it learns by itself which zones there are.
    const fn follows_catalogs(self) -> bool {
        matches!(self, Self::BindSecondary | Self::KnotSecondary | Self::PowerDnsSecondary)
    }

    /// Whether it takes the response policy zone instead of the zones.
    const fn takes_rpz(self) -> bool {
        matches!(self, Self::UnboundRpz | Self::BindRpz)
    }

    /// The recipe.
    fn text(self, facts: &Facts) -> Result<String, RecipeError> {
        match self {
            Self::BindSecondary => Ok(bind::secondary(facts)),
            Self::BindRpz => bind::rpz(facts),
            Self::KnotSecondary => Ok(knot::text(facts)),
            Self::NsdSecondary => Ok(nsd::text(facts)),
            Self::PowerDnsSecondary => powerdns::text(facts),
            Self::UnboundAuthZone => unbound::auth_zone(facts),
            Self::UnboundRpz => unbound::rpz(facts),
            Self::WindowsSecondary => windows::text(facts),
        }
    }
}

pub(super) fn main(arguments: &Arguments) -> Result<Printed, Failure> {
    let config = Config::load(&arguments.config.config)?.config;
    let learns = arguments.kind.follows_catalogs() && config.publication.catalog.is_some();
    let needs_zones = !learns && !arguments.kind.takes_rpz();
    let facts = Facts::gather(&config, arguments.secondary.as_deref(), arguments.primary, needs_zones)?;
    Ok(Printed::ok(arguments.kind.text(&facts)?))
}

#[cfg(test)]
mod tests;
