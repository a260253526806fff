//! What an observation proves about names that it does not show.
//!
//! A name may go only when both sides of Azure agree (promise 3): the application no longer
//! requires the member, and the endpoint no longer has the address. Everything else is either
//! "one side only" or "not known", and neither removes anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ConnectionState, DnsName, Placement, ResourceId};

/// What one observation knows about the absence of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The application itself.
    pub application: ApplicationEvidence,
    /// The required members, lower case.
    pub required_members: BTreeSet<String>,
    /// Each endpoint that was looked at.
    pub endpoints: BTreeMap<ResourceId, EndpointEvidence>,
}

/// What is known of the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplicationEvidence {
    /// It exists.
    Found,
    /// ARM says `ResourceNotFound`.
    NotFound,
    /// It exists, but no discovery takes it any more.
    NotSelected,
}

/// What is known of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointEvidence {
    /// ARM says `ResourceNotFound`.
    NotFound,
    /// Its connection is not approved, on both sides where both were read.
    NotApproved(ConnectionState),
    /// Nothing can be concluded, for the reason given.
    Unsettled(String),
    /// It is approved, settled, and its addresses are known.
    Settled {
        /// Every name, public or privatelink, that any of its sources shows, placed or not.
        shown: BTreeSet<DnsName>,
        /// When set, names of other zones are not known: the source covers only these.
        only_zones: Option<BTreeSet<DnsName>>,
    },
}

/// Why a published name is not in the latest observation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason", content = "detail")]
pub enum Absence {
    /// ARM says that the application does not exist.
    ApplicationNotFound,
    /// No discovery takes the application any more.
    ApplicationNotSelected,
    /// No discovery lists the application any more, and it cannot be read to see why.
    ApplicationUnreadable,
    /// ARM says that the endpoint does not exist.
    EndpointNotFound,
    /// The endpoint's connection is not approved any more.
    ConnectionNotApproved(String),
    /// The member is not required any more and the endpoint has no address for it.
    MemberAndAddressGone,
    /// One side only: the endpoint has no address, but the member is still required.
    MemberStillRequired,
    /// One side only: the endpoint still shows the name, but not so that it could be published.
    AddressStillThere,
    /// Nothing can be concluded.
    Unsettled(String),
}

impl Absence {
    /// Whether both sides agree.
    #[must_use]
    pub const fn is_proven(&self) -> bool {
        !matches!(
            self,
            Self::ApplicationUnreadable
                | Self::MemberStillRequired
                | Self::AddressStillThere
                | Self::Unsettled(_)
        )
    }

    /// Whether it is ARM's plain word that the application or the endpoint does not exist, or that
    /// the connection has left `Approved`.
    const fn is_final(&self) -> bool {
        matches!(self, Self::ApplicationNotFound | Self::EndpointNotFound | Self::ConnectionNotApproved(_))
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApplicationNotFound => f.write_str("ARM answers ResourceNotFound for the application"),
            Self::ApplicationNotSelected => f.write_str("no discovery takes the application any more"),
            Self::ApplicationUnreadable => {
                f.write_str("no discovery lists the application any more, and it cannot be read")
            }
            Self::EndpointNotFound => f.write_str("ARM answers ResourceNotFound for the private endpoint"),
            Self::ConnectionNotApproved(state) => write!(f, "the endpoint's connection is {state}"),
            Self::MemberAndAddressGone => {
                f.write_str("the member is no longer required and the endpoint has no address for it")
            }
            Self::MemberStillRequired => {
                f.write_str("the endpoint has no address for it, but the member is still required")
            }
            Self::AddressStillThere => {
                f.write_str("the endpoint still shows it, but in a way that cannot be published")
            }
            Self::Unsettled(why) => write!(f, "nothing can be concluded: {why}"),
        }
    }
}

impl Evidence {
    /// Evidence about the application alone.
    #[must_use]
    pub fn of(application: ApplicationEvidence) -> Self {
        Self { application, required_members: BTreeSet::new(), endpoints: BTreeMap::new() }
    }

    /// Why a name that was published from `endpoint` is not in this observation's share.
    #[must_use]
    pub fn absence(&self, endpoint: &ResourceId, name: &DnsName, placement: &Placement) -> Absence {
        match self.application {
            ApplicationEvidence::NotFound => return Absence::ApplicationNotFound,
            ApplicationEvidence::NotSelected => return Absence::ApplicationNotSelected,
            ApplicationEvidence::Found => {}
        }
        match self.endpoints.get(endpoint) {
            None => Absence::Unsettled("the endpoint was not read".to_owned()),
            Some(EndpointEvidence::NotFound) => Absence::EndpointNotFound,
            Some(EndpointEvidence::NotApproved(state)) => {
                Absence::ConnectionNotApproved(state.as_str().to_owned())
            }
            Some(EndpointEvidence::Unsettled(why)) => Absence::Unsettled(why.clone()),
            Some(EndpointEvidence::Settled { shown, only_zones }) => {
                let privatelink = placement.owner(name);
                if shown.contains(name) || privatelink.is_some_and(|owner| shown.contains(&owner)) {
                    Absence::AddressStillThere
                } else if only_zones.as_ref().is_some_and(|zones| !zones.contains(&placement.zone)) {
                    Absence::Unsettled(format!("the zone group does not cover {}", placement.zone))
                } else if self.requires(name, placement) {
                    Absence::MemberStillRequired
                } else {
                    Absence::MemberAndAddressGone
                }
            }
        }
    }

    /// Whether `absence` may take the last names of the application: only ARM's plain word, and
    /// only when no other endpoint remains that may give them again.
    #[must_use]
    pub fn may_empty(&self, absence: &Absence) -> bool {
        use EndpointEvidence::{Settled, Unsettled};
        absence.is_final() && !self.endpoints.values().any(|e| matches!(e, Settled { .. } | Unsettled(_)))
    }

    fn requires(&self, name: &DnsName, placement: &Placement) -> bool {
        let by_member = placement
            .member
            .as_ref()
            .is_some_and(|m| self.required_members.contains(&m.to_ascii_lowercase()));
        by_member || name.labels().next().is_some_and(|first| self.required_members.contains(first))
    }
}

impl ConnectionState {
    /// The state as Azure spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Approved => "Approved",
            Self::Rejected => "Rejected",
            Self::Disconnected => "Disconnected",
            Self::Absent => "not listed",
            Self::Unknown => "unknown",
        }
    }
}
