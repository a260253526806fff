//! What happens to endpoints over many polls: when names go, and when they stay.

use std::net::Ipv4Addr;

use privatelink_dns::simulator::{
    ApplicationOptions, ConnectionStatus, EndpointOptions, Fault, FaultRule, Operation, World, ZoneCoverage,
};
use privatelink_dns::sync::Selection;
use privatelink_dns::zones::ResourceId;

use crate::bench::{Bench, PROVEN, Setup, simulator};
use crate::identity::with_identity;

/// An application with endpoints of these options, polled once.
async fn application_with(endpoints: &[EndpointOptions]) -> (Bench, ResourceId, Vec<ResourceId>) {
    let simulator = simulator().await;
    let (application, ids) = simulator.world().with(|world| {
        let application = world.add_application(&ApplicationOptions::default()).expect("an application");
        let add =
            |world: &mut World, options| world.add_endpoint(&application, options).expect("an endpoint");
        let ids = endpoints.iter().map(|options| add(world, options)).collect();
        world.settle_all(&application).expect("settled");
        (application, ids)
    });
    let setup = Setup { applications: vec![application.clone()], ..Setup::default() };
    let mut bench = Bench::new(simulator, &setup);
    bench.good_poll(&application).await;
    assert_eq!(bench.records(), bench.expected());
    (bench, application, ids)
}

fn second() -> EndpointOptions {
    EndpointOptions {
        name: "pe-second".to_owned(),
        network: Ipv4Addr::new(10, 1, 0, 0),
        virtual_network: "vnet-spoke".to_owned(),
        ..EndpointOptions::default()
    }
}

#[test]
fn a_healthy_poll_makes_four_reads() {
    with_identity(async || {
        let (mut bench, application, _) = application_with(&[EndpointOptions::default()]).await;
        let from = bench.simulator.requests().total();
        bench.good_poll(&application).await;
        let mut asked: Vec<_> =
            bench.requests_since(from).into_iter().map(|request| request.operation.expect("known")).collect();
        asked.sort_by_key(|operation| Operation::ALL.iter().position(|known| known == operation));
        let expected = [
            Operation::ApplicationGet,
            Operation::PrivateLinkResources,
            Operation::Endpoint,
            Operation::Interface,
        ];
        assert_eq!(asked, expected);
    });
}

#[test]
fn a_zone_group_that_does_not_match_is_nothing_to_the_daemon() {
    with_identity(async || {
        let (mut bench, application, ids) = application_with(&[EndpointOptions::default()]).await;
        let (records, findings) = (bench.records(), bench.findings());
        bench.world(|world| world.attach_zone_group(&ids[0], ZoneCoverage::Mismatch).expect("attached"));
        let from = bench.simulator.requests().total();
        bench.good_poll(&application).await;
        assert_eq!((bench.records(), bench.findings()), (records, findings));
        // `customDnsConfigs` stays filled, so nobody asks for the group.
        assert_eq!(bench.requests_since(from).len(), 4);
    });
}

#[test]
fn a_404_at_any_read_removes_nothing_at_once() {
    with_identity(async || {
        let (mut bench, application, ids) = application_with(&[EndpointOptions::default()]).await;
        let records = bench.records();
        bench.world(|world| world.attach_zone_group(&ids[0], ZoneCoverage::Complete).expect("attached"));
        for operation in [
            Operation::ApplicationGet,
            Operation::PrivateLinkResources,
            Operation::Endpoint,
            Operation::Interface,
            Operation::ZoneGroup,
        ] {
            let rule = FaultRule::new(Fault::ResourceNotFound).on(operation).times(1);
            bench.world(|world| world.faults.add(rule));
            let held = bench.poll(&application).await.is_ok();
            assert_eq!(held, matches!(operation, Operation::ApplicationGet | Operation::Endpoint));
            let kinds: Vec<_> = bench.findings().into_iter().map(|(kind, _)| kind).collect();
            let told = if held { "removal-held" } else { "poll-failed" };
            assert!(kinds.contains(&told), "{operation:?}: {kinds:?}");
            assert_eq!(bench.records(), records, "{operation:?}");
            bench.good_poll(&application).await;
            assert!(bench.book.holds().is_empty(), "{operation:?}");
        }
    });
}

#[test]
fn a_404_that_stays_removes_the_names_of_a_deleted_endpoint() {
    with_identity(async || {
        let (mut bench, application, ids) = application_with(&[EndpointOptions::default()]).await;
        let records = bench.records();
        bench.world(|world| world.delete_endpoint(&ids[0]).expect("deleted"));
        for poll in 1..PROVEN {
            bench.good_poll(&application).await;
            assert_eq!(bench.records(), records, "after {poll} polls");
        }
        bench.good_poll(&application).await;
        assert_eq!(bench.records(), [].into());
    });
}

#[test]
fn a_404_that_stays_removes_the_names_of_a_deleted_application() {
    with_identity(async || {
        let (mut bench, application, _) = application_with(&[EndpointOptions::default()]).await;
        let records = bench.records();
        bench.world(|world| world.delete_application(&application).expect("deleted"));
        for poll in 1..PROVEN {
            bench.good_poll(&application).await;
            assert_eq!(bench.records(), records, "after {poll} polls");
        }
        bench.good_poll(&application).await;
        assert_eq!(bench.records(), [].into());
    });
}

#[test]
fn a_failed_poll_in_between_neither_proves_nor_disproves() {
    with_identity(async || {
        let (mut bench, application, ids) = application_with(&[EndpointOptions::default()]).await;
        let records = bench.records();
        bench.world(|world| world.delete_endpoint(&ids[0]).expect("deleted"));
        for _ in 0..5 {
            bench.good_poll(&application).await;
        }
        let holds = bench.book.holds();
        let rule = FaultRule::new(Fault::SubscriptionNotFound).on(Operation::ApplicationGet);
        bench.world(|world| world.faults.add(rule));
        for _ in 0..PROVEN {
            bench.poll(&application).await.expect_err("refused");
        }
        assert_eq!(bench.book.holds(), holds);
        assert_eq!(bench.records(), records);
    });
}

#[test]
fn several_endpoints_give_each_name_all_their_addresses() {
    with_identity(async || {
        let (mut bench, application, ids) = application_with(&[EndpointOptions::default(), second()]).await;
        assert_eq!(bench.records().len(), 12);
        let several = ("endpoints-in-several-networks", application.to_string());
        assert!(bench.findings().contains(&several), "{:?}", bench.findings());

        // The second one goes after the short proof: every name stays through the first.
        bench.world(|world| world.delete_endpoint(&ids[1]).expect("deleted"));
        bench.good_poll(&application).await;
        bench.good_poll(&application).await;
        assert_eq!(bench.records().len(), 12);
        bench.good_poll(&application).await;
        assert_eq!(bench.records(), bench.expected());
        assert_eq!(bench.records().len(), 6);
        assert!(!bench.findings().contains(&several), "{:?}", bench.findings());
    });
}

#[test]
fn an_endpoint_that_is_lost_from_sight_holds_its_names_and_nobody_elses() {
    with_identity(async || {
        let (mut bench, application, ids) = application_with(&[EndpointOptions::default(), second()]).await;
        let both = bench.records();
        // Moved: the application lists it no more, and where it was there is nothing.
        let lost = bench.world(|world| {
            world.set_connection_state(&ids[1], ConnectionStatus::Disconnected).expect("disconnected");
            world.faults.add(FaultRule::new(Fault::ResourceGroupNotFound).containing("pe-second"))
        });
        let unreadable = ("endpoint-unreadable", ids[1].to_string());
        for _ in 0..=PROVEN {
            bench.good_poll(&application).await;
            assert_eq!(bench.records(), both);
            assert!(bench.findings().contains(&unreadable), "{:?}", bench.findings());
        }

        // A new hub at the endpoint that is left is published at once.
        bench.world(|world| {
            world.scale_out(&application).expect("scaled");
            world.settle(&ids[0]).expect("settled");
        });
        bench.good_poll(&application).await;
        assert_eq!(bench.records().len(), both.len() + 2);

        let now = bench.now;
        let (ended, _) = bench.book.approve(&Selection::All, now);
        assert_eq!(ended, 6);
        bench.good_poll(&application).await;
        assert_eq!(bench.records(), bench.expected());
        assert!(!bench.findings().contains(&unreadable), "{:?}", bench.findings());
        assert!(bench.world(|world| world.faults.hits(lost)) > 0);
    });
}

#[test]
fn an_endpoint_of_another_subscription_is_read_there() {
    with_identity(async || {
        let elsewhere = EndpointOptions {
            subscription: Some("11111111-1111-1111-1111-111111111111".to_owned()),
            resource_group: Some("rg-network".to_owned()),
            ..EndpointOptions::default()
        };
        let (bench, _, ids) = application_with(&[elsewhere]).await;
        assert_eq!(bench.records().len(), 6);
        let asked = bench.simulator.requests().all();
        assert!(asked.iter().any(|request| request.path.eq_ignore_ascii_case(ids[0].as_str())));
    });
}

#[test]
fn a_resource_group_may_be_named_in_any_script() {
    with_identity(async || {
        let elsewhere = EndpointOptions {
            resource_group: Some("Réseau_(été)".to_owned()),
            ..EndpointOptions::default()
        };
        let (bench, _, ids) = application_with(&[elsewhere]).await;
        assert_eq!(bench.records().len(), 6);
        assert_eq!(ids[0].resource_group(), Some("Réseau_(été)"));
    });
}

#[test]
fn an_endpoint_created_anew_gives_its_new_addresses() {
    with_identity(async || {
        let (mut bench, application, ids) = application_with(&[EndpointOptions::default()]).await;
        let before = bench.records();
        bench.world(|world| world.recreate_endpoint(&ids[0]).expect("created"));
        bench.good_poll(&application).await;
        assert_eq!(bench.records(), before, "nothing is known of the new one yet");
        bench.world(|world| world.settle(&ids[0]).expect("settled"));
        bench.good_poll(&application).await;
        assert_eq!(bench.records(), bench.expected());
        assert!(bench.records().is_disjoint(&before));
    });
}
