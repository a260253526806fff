//! Azure's side: what polls have found there, as problems.

use super::{Facts, Problem};
use crate::zones::{Finding, FindingKind};

/// The findings that tell of Azure, each with what it should be, and what to do.
const TOLD: &[(FindingKind, &str, &str)] = &[
    (FindingKind::ApplicationNotFound, "an application", "correct the id in the configuration"),
    (FindingKind::NoApprovedEndpoint, ENDPOINT, "create a private endpoint, or approve the pending one"),
    (
        FindingKind::EndpointPending,
        APPROVED,
        "approve it: application, Networking, Private endpoint connections",
    ),
    (FindingKind::EndpointRejected, APPROVED, "create the private endpoint anew if it is needed"),
    (FindingKind::EndpointDisconnected, APPROVED, "delete the private endpoint, or create it anew"),
    (FindingKind::EndpointStateUnknown, APPROVED, PORTAL),
    (FindingKind::ConnectionConverging, APPROVED, WAIT),
    (FindingKind::EndpointNotFound, ENDPOINT, "recreate it, or wait until its names are gone"),
    (FindingKind::EndpointUnreadable, "an endpoint that may be read", "give the identity its rights back"),
    (FindingKind::EndpointUpdating, SUCCEEDED, WAIT),
    (FindingKind::EndpointFailed, SUCCEEDED, PORTAL),
    (FindingKind::EndpointForeign, "an endpoint of this application", PORTAL),
    (FindingKind::EndpointsInSeveralNetworks, ONE_NETWORK, "choose among the endpoints in [[application]]"),
    (FindingKind::MemberWithoutAddress, "a name and an address", WAIT),
    (FindingKind::FqdnOutsideZones, "a name in a required zone", TICKET),
    (FindingKind::InvalidAddress, "an IPv4 address", TICKET),
    (FindingKind::NoAddressSource, "addresses that may be read", "assign the right on the network interface"),
    (FindingKind::SourcesDisagree, "the same addresses everywhere", WAIT),
    (FindingKind::PublicAccessEnabled, PUBLIC_OFF, "switch it off once all devices come over the endpoint"),
    (FindingKind::RemovalHeld, "a name that Azure has", "approve or reject the removal"),
    (FindingKind::PollFailed, READ, "what the error says: right, network, credential"),
    (FindingKind::Stale, READ, "what the error of the poll says"),
    (FindingKind::NeverObserved, READ, "what the error of the poll says"),
];

const ENDPOINT: &str = "a private endpoint whose connection is approved";
const APPROVED: &str = "a connection that is approved";
const SUCCEEDED: &str = "provisioningState Succeeded";
const ONE_NETWORK: &str = "addresses in one virtual network, or a choice among endpoints";
const PUBLIC_OFF: &str = "public network access off";
const READ: &str = "a complete read of the application";
const WAIT: &str = "wait; if it stays, open a ticket with Azure";
const TICKET: &str = "open a ticket with Azure";
const PORTAL: &str = "look at the endpoint in the Azure portal";

/// The codes that come from Azure's side.
pub(super) fn codes() -> impl Iterator<Item = &'static str> {
    TOLD.iter().map(|(kind, ..)| kind.code())
}

/// What is wrong at Azure.
pub(super) fn problems(facts: &Facts) -> Vec<Problem> {
    facts.findings.iter().filter_map(problem).collect()
}

fn problem(finding: &Finding) -> Option<Problem> {
    let (_, expected, remedy) = TOLD.iter().find(|(kind, ..)| *kind == finding.kind)?;
    Some(Problem {
        severity: finding.kind.severity(),
        check: finding.kind.code().to_owned(),
        subject: finding.subject.clone(),
        server: None,
        application: finding.application.clone(),
        seen: finding.message.clone(),
        expected: (*expected).to_owned(),
        remedy: (*remedy).to_owned(),
    })
}
