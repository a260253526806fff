//! Connections as the application's list and the endpoint tell them, and endpoints that are gone.

use super::build::*;
use crate::zones::ConnectionState::{Absent, Approved, Disconnected, Pending, Rejected, Unknown};
use crate::zones::*;

use FindingKind as Kind;

const STATES: [ConnectionState; 6] = [Approved, Pending, Rejected, Disconnected, Absent, Unknown];

fn of_states(listed_as: ConnectionState, told: ConnectionState) -> Derived {
    let facts = EndpointFacts { connection: told, ..facts(&ONE_HUB) };
    derived(application(&ONE_HUB, vec![listed(1, listed_as, EndpointOutcome::Found(facts))]))
}

/// `p`: published; `g`: both sides say that the connection is not approved; `h`: nothing is concluded.
fn code(derived: &Derived) -> char {
    match evidence(derived) {
        EndpointEvidence::Settled { .. } if records(&derived.share).len() == 4 => 'p',
        EndpointEvidence::NotApproved(_) if derived.share.endpoints.is_empty() => 'g',
        EndpointEvidence::Unsettled(_) if derived.share.endpoints.is_empty() => 'h',
        other => panic!("{other:?} with {:?}", derived.share),
    }
}

#[test]
fn each_state_of_the_list_with_each_state_of_the_endpoint() {
    // Columns as in STATES, what the endpoint says.
    let table = ["phhhhh", "hggggh", "hggggh", "hggggh", "hggggh", "hhhhhh"];
    for (listed_as, row) in STATES.iter().zip(table) {
        let codes: String = STATES.iter().map(|told| code(&of_states(*listed_as, *told))).collect();
        assert_eq!(codes, row, "list says {listed_as:?}");
    }
}

#[test]
fn each_state_has_its_finding() {
    use Kind::{
        ConnectionConverging, EndpointDisconnected, EndpointPending, EndpointRejected, EndpointStateUnknown,
        NoApprovedEndpoint,
    };
    for (listed_as, told, expected) in [
        (Approved, Approved, vec![]),
        (Pending, Pending, vec![NoApprovedEndpoint, EndpointPending]),
        (Rejected, Rejected, vec![NoApprovedEndpoint, EndpointRejected]),
        (Rejected, Disconnected, vec![NoApprovedEndpoint, EndpointRejected]),
        (Absent, Disconnected, vec![NoApprovedEndpoint, EndpointDisconnected]),
        (Absent, Absent, vec![NoApprovedEndpoint]),
        (Approved, Disconnected, vec![NoApprovedEndpoint, EndpointDisconnected, ConnectionConverging]),
        (Pending, Approved, vec![NoApprovedEndpoint, EndpointPending, ConnectionConverging]),
        (Absent, Approved, vec![NoApprovedEndpoint, ConnectionConverging]),
        (Unknown, Approved, vec![NoApprovedEndpoint, ConnectionConverging, EndpointStateUnknown]),
        (Unknown, Rejected, vec![NoApprovedEndpoint, EndpointStateUnknown]),
    ] {
        assert_eq!(kinds(&of_states(listed_as, told)), expected, "{listed_as:?}, {told:?}");
    }
}

#[test]
fn a_pending_endpoint_beside_an_approved_one_disturbs_nothing() {
    let derived = derived(application(
        &ONE_HUB,
        vec![endpoint(1, facts(&ONE_HUB)), listed(2, Pending, EndpointOutcome::NotRead)],
    ));
    assert_eq!(records(&derived.share), expected(&ONE_HUB));
    assert_eq!(kinds(&derived), [Kind::EndpointPending]);
    assert_eq!(derived.evidence.endpoints[&endpoint_id(2)], EndpointEvidence::NotApproved(Pending));
}

#[test]
fn a_deleted_endpoint_is_proof_whatever_the_list_says() {
    for state in STATES {
        let derived = derived(application(
            &ONE_HUB,
            vec![listed(1, state, EndpointOutcome::NotFound("gone".to_owned()))],
        ));
        assert_eq!(*evidence(&derived), EndpointEvidence::NotFound);
        assert_eq!(kinds(&derived), [Kind::NoApprovedEndpoint, Kind::EndpointNotFound]);
    }
}

#[test]
fn an_endpoint_that_may_not_be_read_proves_nothing_and_holds_up_no_other() {
    for (state, told) in [(Absent, None), (Rejected, Some(Kind::EndpointRejected))] {
        let lost = listed(2, state, EndpointOutcome::Unreadable("403 (correlation id c0ffee)".to_owned()));
        let derived = derived(application(&ONE_HUB, vec![endpoint(1, facts(&ONE_HUB)), lost]));
        assert_eq!(records(&derived.share), expected(&ONE_HUB));
        assert!(matches!(derived.evidence.endpoints[&endpoint_id(2)], EndpointEvidence::Unsettled(_)));
        assert_eq!(kinds(&derived), told.into_iter().chain([Kind::EndpointUnreadable]).collect::<Vec<_>>());
        let [.., finding] = derived.findings.as_slice() else { panic!("no finding") };
        assert_eq!(finding.subject, endpoint_id(2).as_str());
        assert!(finding.message.contains("c0ffee"), "{}", finding.message);
    }
}

#[test]
fn an_endpoint_of_another_resource_gives_nothing_and_proves_nothing() {
    let other = id(&APP.replace("000002", "000003"));
    let derived = of_one(&ONE_HUB, EndpointFacts { link_service: Some(other), ..facts(&ONE_HUB) });
    assert!(derived.share.endpoints.is_empty());
    assert_eq!(kinds(&derived), [Kind::NoApprovedEndpoint, Kind::EndpointForeign]);
    assert!(matches!(evidence(&derived), EndpointEvidence::Unsettled(_)));
}

#[test]
fn an_application_without_endpoints_says_so() {
    let derived = derived(application(&ONE_HUB, vec![]));
    assert_eq!(derived.share.zones, names(&ZONES));
    assert_eq!(kinds(&derived), [Kind::NoApprovedEndpoint]);
    assert!(derived.evidence.endpoints.is_empty());
}

#[test]
fn an_endpoint_that_was_not_read_is_judged_by_a_state_that_is_known() {
    let codes: String = STATES
        .iter()
        .map(|s| code(&derived(application(&ONE_HUB, vec![listed(1, *s, EndpointOutcome::NotRead)]))))
        .collect();
    assert_eq!(codes, "hggghh");
}

#[test]
fn the_connection_that_a_recreated_endpoint_left_behind_counts_for_nothing() {
    let now = endpoint(1, facts(&ONE_HUB));
    let clean = derived(application(&ONE_HUB, vec![now.clone()]));
    let found = |state| Endpoint { connection: state, ..now.clone() };
    for old in [listed(1, Disconnected, EndpointOutcome::NotRead), found(Disconnected), found(Unknown)] {
        assert_eq!(derived(application(&ONE_HUB, vec![old.clone(), now.clone()])), clean);
        assert_eq!(derived(application(&ONE_HUB, vec![now.clone(), old])), clean);
    }
}
