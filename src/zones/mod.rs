//! The rules of the product, without I/O: what Azure showed becomes zones, and nothing disappears
//! without proof.
//!
//! Pure on purpose: no sockets, files, tasks or clock, so that every rule can be tested with plain
//! values. Time comes in as a value. This is the ground floor; it imports no other room.
//!
//! The flow: [`Observation`] → [`derive()`] → [`guard`] → [`Generation`].

mod derive;
mod evidence;
mod finding;
pub mod generation;
pub mod guard;
pub mod journal;
mod name;
mod observation;
mod overrides;
mod policy;
mod prefix;
mod resource_id;
mod share;
mod sources;
#[cfg(test)]
mod tests;
pub mod timeline;
mod views;

pub use derive::{Derived, derive};
pub use evidence::{Absence, ApplicationEvidence, EndpointEvidence, Evidence};
pub use finding::{Finding, FindingKind, Severity};
pub use generation::{Addresses, Difference, Form, Generation, Shares, Zone, ZoneDifference, ZoneSerial};
pub use guard::{Change, GuardState, Hold, Needs, Streak};
pub use name::{DnsName, NameError};
pub use observation::{
    Application, ApplicationOutcome, ConnectionState, Endpoint, EndpointFacts, EndpointOutcome,
    FqdnAddresses, GroupZone, InterfaceRead, LinkResource, MemberAddress, Observation, ZoneGroupRead,
};
pub use overrides::Override;
pub use policy::{Catalog, EndpointPolicy, GuardPolicy, Publication};
pub use prefix::{Prefix, PrefixError};
pub use resource_id::{ResourceId, ResourceIdError, is_plain, same_name};
pub use share::{EndpointShare, Placement, Share, Source, public_suffix};
pub use views::ClientView;
