//! The configuration: a versioned TOML file with an overlay from the environment, checked as a
//! whole before anything uses it.
//!
//! Whoever runs the daemon sees every mistake at once, with its line and with what to write; the
//! rest of the daemon sees only [`Config`], which needs no further checks.
//!
//! The flow: text → tree with places ← overlay; unknown keys are looked for in the whole tree, then
//! one file per section reads its values and reports what it cannot take.

mod azure;
mod credential;
mod daemon;
mod dns;
mod duration;
mod endpoints;
mod error;
mod file;
mod inspect;
mod load;
mod overlay;
mod prefix;
mod reader;
mod resolver;
mod rfc2136;
mod schema;
mod scope;
mod target;
#[cfg(test)]
mod tests;
mod tls;
mod transfer;
mod tree;
mod types;
mod verify;
mod zones;

pub(crate) use dns::overlap;
pub use error::{ConfigError, ConfigErrors, Place};
pub use file::parse;
pub use load::{Contact, Loaded};
pub use types::{
    Access, Azure, Cloud, Config, Credential, Discovery, Dns, Kerberos, KerberosIdentity, Log, Notification,
    RateLimit, Resolver, Rfc2136, Secondary, ServerMode, Target, TargetKind, TargetReload, Tls, Transfer,
    Upstream, UpstreamTransport, UserAssigned,
};
pub use verify::{NoResolver, Verify, VerifyResolver};

pub use crate::zones::{Prefix, PrefixError};

use crate::zones::ResourceId;

impl Config {
    /// Whether the application is named, or lies in the scope of a discovery; tags are not looked
    /// at.
    #[must_use]
    pub fn covers(&self, application: &ResourceId) -> bool {
        self.applications.contains(application) || self.discoveries.iter().any(|d| d.covers(application))
    }
}
