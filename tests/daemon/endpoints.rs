//! Several endpoints of one application: who gets which addresses.

use privatelink_dns::simulator::EndpointOptions;
use privatelink_dns::zones::{FindingKind, ResourceId};
use rustix::process::Signal;

use crate::reload::reload;
use crate::support::azure::{Azure, public};
use crate::support::daemon::Daemon;
use crate::support::dns::{dig_with, not_before, serial};
use crate::support::eventually;
use crate::support::home::Home;

const ZONE: &str = "privatelink.azure-devices.net";

/// Adds a second endpoint of the application, in another network.
fn second_endpoint(azure: &Azure) -> ResourceId {
    azure.with(|world| {
        let options = EndpointOptions {
            name: "pe-spoke".to_owned(),
            network: [10, 2, 0, 0].into(),
            virtual_network: "vnet-spoke".to_owned(),
            ..EndpointOptions::default()
        };
        let id = world.add_endpoint(&azure.application, &options)?;
        world.settle(&id)?;
        Ok(id)
    })
}

/// The networks of the addresses that a client on `from` gets, over both transports and in both
/// forms of zones, such as `1 2`.
async fn networks(daemon: &Daemon, from: &str, name: &str) -> String {
    let mut all = Vec::new();
    for (name, transport) in [(name, "+notcp"), (name, "+tcp"), (&public(name), "+tcp")] {
        let answer = dig_with(daemon.dns(), name, "A", &["-b", from, transport]).await;
        let network = |address: &String| address.strip_prefix("10.").map(|rest| rest[..1].to_owned());
        let mut networks: Vec<_> = answer.data().iter().filter_map(network).collect();
        networks.sort();
        all.push(networks.join(" "));
    }
    all.dedup();
    all.join(" | ")
}

/// Waits until clients on two addresses get what is expected for each.
async fn get(daemon: &Daemon, name: &str, first: &str, second: &str) {
    eventually(&format!("{first:?} and {second:?}"), async || {
        let seen = (networks(daemon, "127.0.0.1", name).await, networks(daemon, "127.0.0.2", name).await);
        if seen == (first.to_owned(), second.to_owned()) { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
}

#[tokio::test]
async fn each_client_gets_the_endpoint_of_its_network() {
    let azure = Azure::start().await;
    let spoke = second_endpoint(&azure);
    let by_subnet = |one: &ResourceId, two: &ResourceId| {
        format!("endpoints = \"by-subnet\"\nby_subnet = [\"127.0.0.1={one}\", \"127.0.0.2={two}\"]")
    };
    let mut home = Home::new(&azure);
    home.settings.publish = "per_name_zones = true";
    home.settings.endpoints = by_subnet(&azure.endpoint, &spoke);
    let daemon = home.start().await;
    let hub = azure.hub();
    get(&daemon, &hub, "1", "2").await;
    assert_eq!(networks(&daemon, "127.0.0.3", &hub).await, "1 2", "outside all prefixes");
    daemon.polled(1).await;
    daemon.no_finding(FindingKind::EndpointsInSeveralNetworks).await;
    let first = serial(daemon.dns(), ZONE).await;

    // Only views change, and the serial says so.
    home.settings.endpoints = by_subnet(&spoke, &azure.endpoint);
    reload(&daemon, &home).await;
    get(&daemon, &hub, "2", "1").await;
    let second = serial(daemon.dns(), ZONE).await;
    assert!(second != first && not_before(second, first), "{second} is not later than {first}");

    // The choice outlives a restart without Azure.
    let (status, _) = daemon.end(Signal::TERM).await;
    assert!(status.success());
    let arm = std::mem::replace(&mut home.settings.arm, "http://127.0.0.1:1".to_owned());
    let daemon = home.start().await;
    get(&daemon, &hub, "2", "1").await;
    assert_eq!(serial(daemon.dns(), ZONE).await, second);
    home.settings.arm = arm;
    reload(&daemon, &home).await;

    // An endpoint that is gone leaves its clients to the other one, and is missed.
    azure.with(|world| world.delete_endpoint(&spoke));
    get(&daemon, &hub, "1", "1").await;
    let message = daemon.finding(FindingKind::ChosenEndpointUnknown).await;
    assert!(message.contains("pe-spoke"), "{message}");
}

#[tokio::test]
async fn the_preferred_endpoint_is_followed_by_the_others() {
    let azure = Azure::start().await;
    let spoke = second_endpoint(&azure);
    let mut home = Home::new(&azure);
    home.settings.publish = "per_name_zones = true";
    let daemon = home.start().await;
    let hub = azure.hub();
    get(&daemon, &hub, "1 2", "1 2").await;
    daemon.finding(FindingKind::EndpointsInSeveralNetworks).await;

    home.settings.endpoints = format!("endpoints = \"prefer\"\nprefer = [\"{spoke}\"]");
    reload(&daemon, &home).await;
    get(&daemon, &hub, "2", "2").await;
    daemon.no_finding(FindingKind::EndpointsInSeveralNetworks).await;

    azure.with(|world| world.delete_endpoint(&spoke));
    get(&daemon, &hub, "1", "1").await;
}
