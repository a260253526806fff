//! Findings: what a person should know, each with what to do about it.

use serde::{Deserialize, Serialize};

use super::ResourceId;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Names are missing, stale or at risk.
    Error,
    /// Something will become wrong or is held back.
    Warning,
    /// Worth knowing.
    Info,
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $severity:ident;)+) => {
        /// The kind of a finding: a stable code for logs, metrics and scripts.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum FindingKind {
            $($(#[doc = $doc])+ #[serde(rename = $code)] $name,)+
        }

        impl FindingKind {
            /// Every kind, for documentation and metrics with bounded labels.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The stable code.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// How much findings of this kind matter.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity),+ }
            }
        }
    };
}

kinds! {
    /// A poll failed; nothing was changed by it.
    PollFailed = "poll-failed", Error;
    /// The application was never read completely since its configuration.
    NeverObserved = "never-observed", Warning;
    /// No complete poll for longer than the configured limit.
    Stale = "stale", Error;
    /// ARM says that the application does not exist.
    ApplicationNotFound = "application-not-found", Error;
    /// A discovery no longer takes the application.
    ApplicationNotSelected = "application-not-selected", Warning;
    /// No connection of the application is approved.
    NoApprovedEndpoint = "no-approved-endpoint", Error;
    /// A connection waits for approval.
    EndpointPending = "endpoint-pending", Warning;
    /// A connection was rejected.
    EndpointRejected = "endpoint-rejected", Warning;
    /// A connection was removed by the application's owner.
    EndpointDisconnected = "endpoint-disconnected", Warning;
    /// The application's list and the endpoint tell different states.
    ConnectionConverging = "connection-converging", Info;
    /// A connection's state is not documented.
    EndpointStateUnknown = "endpoint-state-unknown", Warning;
    /// An endpoint that gave addresses before does not exist any more.
    EndpointNotFound = "endpoint-not-found", Warning;
    /// An endpoint that gave addresses before may not be read, and the application's list does not
    /// call it approved.
    EndpointUnreadable = "endpoint-unreadable", Warning;
    /// An endpoint is being changed by Azure.
    EndpointUpdating = "endpoint-updating", Info;
    /// An endpoint's provisioning failed.
    EndpointFailed = "endpoint-failed", Error;
    /// An endpoint belongs to another resource than the application.
    EndpointForeign = "endpoint-foreign", Warning;
    /// Endpoints of one application lie in different virtual networks.
    EndpointsInSeveralNetworks = "endpoints-in-several-networks", Warning;
    /// The configuration chooses an endpoint that gives no name.
    ChosenEndpointUnknown = "chosen-endpoint-unknown", Warning;
    /// A required member has no address yet.
    MemberWithoutAddress = "member-without-address", Warning;
    /// An address belongs to no required member any more.
    MemberLeaving = "member-leaving", Info;
    /// An FQDN lies in none of the required zones.
    FqdnOutsideZones = "fqdn-outside-zones", Error;
    /// A wildcard FQDN is not published.
    WildcardFqdn = "wildcard-fqdn", Warning;
    /// An FQDN is no host name.
    InvalidFqdn = "invalid-fqdn", Error;
    /// An address is not IPv4.
    InvalidAddress = "invalid-address", Error;
    /// A required zone name is no name of a privatelink zone.
    InvalidZoneName = "invalid-zone-name", Error;
    /// `requiredZoneNames` is empty.
    NoRequiredZones = "no-required-zones", Error;
    /// The network interface may not be read.
    InterfaceReadRefused = "interface-read-refused", Warning;
    /// The zone group may not be read.
    ZoneGroupReadRefused = "zone-group-read-refused", Info;
    /// The zone group leaves out required zones.
    ZoneGroupPartial = "zone-group-partial", Info;
    /// No source tells the endpoint's addresses.
    NoAddressSource = "no-address-source", Error;
    /// Network interface and `customDnsConfigs` tell different addresses.
    SourcesDisagree = "sources-disagree", Warning;
    /// Public network access is still on.
    PublicAccessEnabled = "public-access-enabled", Info;
    /// A removal waits for proof or for an operator.
    RemovalHeld = "removal-held", Warning;
    /// An operator rejected a removal.
    RemovalRejected = "removal-rejected", Info;
    /// Holding privatelink zones shadows other tenants' names.
    ShadowsPublicNames = "shadows-public-names", Warning;
    /// Public DNS was asked for a required member without an address.
    PrivateNameLeaked = "private-name-leaked", Error;
    /// A discovery failed.
    DiscoveryFailed = "discovery-failed", Error;
    /// A secondary lacks changes.
    SecondaryLagging = "secondary-lagging", Error;
    /// A secondary refuses to be told of changes.
    NotifyRefused = "notify-refused", Warning;
    /// A target could not be brought up to date.
    TargetFailing = "target-failing", Error;
    /// Names at a target are somebody else's.
    TargetConflict = "target-conflict", Warning;
    /// A target does not have zones that are written to it.
    TargetZoneMissing = "target-zone-missing", Error;
    /// Somebody removes records of ours from a target.
    TargetDrift = "target-drift", Warning;
    /// Names do not lead where they should.
    VerifyFailing = "verify-failing", Error;
    /// State could not be written.
    StoreFailed = "store-failed", Error;
    /// Unreadable state was moved aside at start, or will be before anything is saved.
    StateMovedAside = "state-moved-aside", Warning;
    /// The last reload was refused.
    ReloadRefused = "reload-refused", Error;
}

/// Something a person should know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// What kind of thing.
    pub kind: FindingKind,
    /// The application that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub application: Option<ResourceId>,
    /// The resource, name or zone in question.
    pub subject: String,
    /// What happened and what to do.
    pub message: String,
}

impl Finding {
    /// A finding about one application.
    pub fn of(
        application: &ResourceId,
        kind: FindingKind,
        subject: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            application: Some(application.clone()),
            subject: subject.into(),
            message: message.into(),
        }
    }

    /// A finding about the daemon as a whole.
    pub fn global(kind: FindingKind, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, application: None, subject: subject.into(), message: message.into() }
    }
}
