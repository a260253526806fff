//! 429: nobody asks again before the time is over, and nobody else suffers.

use std::time::Duration;

use privatelink_dns::azure::ArmErrorKind;
use privatelink_dns::simulator::{ApplicationOptions, EndpointOptions, Fault, FaultRule, Operation};
use privatelink_dns::zones::ResourceId;

use crate::bench::{Bench, Setup, simulator};
use crate::identity::with_identity;

const OTHER: &str = "11111111-1111-1111-1111-111111111111";

/// Two applications, the second one in another subscription if wanted, both polled once.
async fn two_applications(subscription: Option<&str>) -> (Bench, ResourceId, ResourceId) {
    let simulator = simulator().await;
    let (first, second) = simulator.world().with(|world| {
        let mut add = |options: ApplicationOptions| {
            let application = world.add_application(&options).expect("an application");
            world
                .add_endpoint(
                    &application,
                    &EndpointOptions { name: format!("pe-{}", options.name), ..EndpointOptions::default() },
                )
                .expect("an endpoint");
            world.settle_all(&application).expect("settled");
            application
        };
        let options = ApplicationOptions::default();
        let second = ApplicationOptions {
            name: "fabrikam-iot".to_owned(),
            subscription: subscription.unwrap_or(&options.subscription).to_owned(),
            ..options.clone()
        };
        (add(options), add(second))
    });
    let setup = Setup { applications: vec![first.clone(), second.clone()], ..Setup::default() };
    let mut bench = Bench::new(simulator, &setup);
    bench.good_poll(&first).await;
    bench.good_poll(&second).await;
    assert_eq!(bench.records(), bench.expected());
    (bench, first, second)
}

#[test]
fn a_throttled_subscription_is_left_alone_and_the_others_are_not() {
    with_identity(async || {
        let (mut bench, first, second) = two_applications(Some(OTHER)).await;
        let records = bench.records();
        let rule = FaultRule::new(Fault::SubscriptionRequestsThrottled)
            .containing(first.subscription())
            .times(1)
            .retry_after(600);
        bench.world(|world| world.faults.add(rule));
        let error = bench.poll(&first).await.expect_err("throttled");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(600)));

        let from = bench.simulator.requests().total();
        let error = bench.poll(&first).await.expect_err("still to wait");
        assert!(matches!(error.kind, ArmErrorKind::Throttled { .. }), "{error}");
        assert_eq!(bench.simulator.requests().total(), from, "nothing was asked");

        bench.good_poll(&second).await;
        assert_eq!(bench.records(), records);
        let findings = bench.findings();
        assert!(findings.contains(&("poll-failed", first.to_string())), "{findings:?}");
        assert!(!findings.contains(&("poll-failed", second.to_string())), "{findings:?}");
    });
}

#[test]
fn a_short_wait_is_kept_within_the_poll() {
    with_identity(async || {
        let (mut bench, first, _) = two_applications(None).await;
        for fault in [Fault::SubscriptionRequestsThrottled, Fault::RetryableErrorDueToAnotherOperation] {
            let rule = FaultRule::new(fault).on(Operation::Endpoint).times(1).retry_after(2);
            bench.world(|world| world.faults.add(rule));
            let from = bench.simulator.requests().total();
            bench.good_poll(&first).await;
            let mut tries = bench.requests_since(from);
            tries.retain(|request| request.operation == Some(Operation::Endpoint));
            assert_eq!(
                tries.iter().map(|r| r.status).collect::<Vec<_>>(),
                [Some(429), Some(200)],
                "{fault:?}"
            );
        }
    });
}

#[test]
fn a_failing_application_never_changes_another_ones_records() {
    with_identity(async || {
        let (mut bench, first, second) = two_applications(None).await;
        let of_first = bench.records();
        for fault in [Fault::AuthorizationFailed, Fault::SubscriptionNotFound, Fault::EmptyBody] {
            let rule = bench.world(|world| world.faults.add(FaultRule::new(fault).containing("contoso")));
            bench.poll(&first).await.expect_err("refused");
            bench.good_poll(&second).await;
            assert_eq!(bench.records(), of_first, "{fault:?}");
            bench.world(|world| world.faults.remove(rule));
        }
        // What changes at the second one arrives while the first one fails.
        bench.world(|world| {
            world.scale_out(&second).expect("scaled");
            world.settle_all(&second).expect("settled");
            world.faults.add(FaultRule::new(Fault::ServiceUnavailable).containing("contoso"));
        });
        bench.poll(&first).await.expect_err("refused");
        bench.good_poll(&second).await;
        assert_eq!(bench.records(), bench.expected());
        assert_eq!(bench.records().len(), of_first.len() + 2);
    });
}
