//! Faults at Azure.

use privatelink_dns::simulator::{Approval, ConnectionStatus, EndpointOptions};
use privatelink_dns::zones::FindingKind;

use super::{Verdict, Well, named, records};
use crate::recipes::a_port;

impl Well {
    /// Runs `verify` at a server that is right by now, once the daemon has a finding.
    async fn told(&self, kind: FindingKind) -> Verdict {
        self.daemon.finding(kind).await;
        let server = named(([127, 0, 0, 1], a_port()).into(), &records(&self.azure)).await;
        self.verify(&server.address.to_string()).await
    }

    fn another(&self, name: &str, approval: Approval, network: &str) -> String {
        self.azure.with(|world| {
            let options = EndpointOptions {
                name: name.to_owned(),
                approval,
                network: [10, 5, 0, 0].into(),
                virtual_network: network.to_owned(),
                ..EndpointOptions::default()
            };
            let endpoint = world.add_endpoint(&self.azure.application, &options)?;
            world.settle(&endpoint)?;
            Ok(endpoint.to_string())
        })
    }
}

#[tokio::test]
async fn a_connection_that_waits_or_was_rejected() {
    let well = Well::new().await;
    let endpoint = well.another("pe-second", Approval::Manual, "vnet-hub");
    // What a pending endpoint gives is no address yet.
    let server = named(([127, 0, 0, 1], a_port()).into(), &own(&well)).await;
    well.daemon.finding(FindingKind::EndpointPending).await;
    well.verify(&server.address.to_string()).await.tells("endpoint-pending", &endpoint);
    well.azure.with(|world| {
        let id = endpoint.parse().expect("an id");
        world.set_connection_state(&id, ConnectionStatus::Rejected)
    });
    well.daemon.finding(FindingKind::EndpointRejected).await;
    well.daemon.no_finding(FindingKind::EndpointPending).await;
    well.verify(&server.address.to_string()).await.tells("endpoint-rejected", &endpoint);
}

/// The records of the first endpoint.
fn own(well: &Well) -> Vec<String> {
    let mut records = records(&well.azure);
    records.retain(|record| !record.contains(" A 10.5.0."));
    records
}

#[tokio::test]
async fn public_access_that_is_still_on_is_worth_knowing() {
    let well = Well::new().await;
    let application = well.azure.application.clone();
    well.azure.with(|world| {
        world.applications.values_mut().for_each(|application| application.public_network_access = true);
        Ok(())
    });
    let verdict = well.told(FindingKind::PublicAccessEnabled).await;
    verdict.tells("public-access-enabled", application.as_str());
}

#[tokio::test]
async fn a_member_without_an_address() {
    let well = Well::new().await;
    let hub = well.azure.with(|world| world.scale_out(&well.azure.application));
    let verdict = well.told(FindingKind::MemberWithoutAddress).await;
    let problems = verdict.problems();
    assert!(problems.contains(&("member-without-address".to_owned(), hub)), "{problems:?}");
    assert_eq!(verdict.code, Some(2));
}

#[tokio::test]
async fn a_second_endpoint_in_another_network() {
    let well = Well::new().await;
    well.another("pe-second", Approval::Automatic, "vnet-spoke");
    well.daemon.shows(&well.azure).await;
    let application = well.azure.application.clone();
    let verdict = well.told(FindingKind::EndpointsInSeveralNetworks).await;
    verdict.tells("endpoints-in-several-networks", application.as_str());
}
