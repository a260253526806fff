//! Which forwarding shape a resolver has, and what is wrong with it.
//!
//! The daemon may be right and devices still get public addresses: a rule for a privatelink zone that the
//! resolver never uses looks like one that works, until somebody asks for the public name. So a fixed set of
//! questions is put to the resolver, compared with what the daemon knows, and with what of it arrived at the
//! daemon. The daemon counts queries by type; questions of types that hardly anybody asks for show by which
//! way a name goes, whatever the resolver has in its cache.
//!
//! [`examine`] asks; everything else is pure: of [`Facts`] become some [`Diagnosis`], each with a stable code.

mod diagnosis;
mod examine;
mod facts;
mod recipe;
#[cfg(test)]
mod tests;
mod words;

pub use diagnosis::{Code, Diagnosis, diagnose};
pub use examine::examine;
pub use facts::{Answer, Authority, Facts, NameFacts, Reach, Reply, Sample, Truth};
pub use recipe::{Server, recipe};
