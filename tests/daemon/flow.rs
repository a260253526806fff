//! The main flow: what happens in Azure is what DNS shows.

use privatelink_dns::simulator::{EndpointOptions, Fault, FaultRule};
use privatelink_dns::zones::{FindingKind, Needs};
use serde_json::Value;

use crate::reload::reload;
use crate::support::azure::Azure;
use crate::support::daemon::Daemon;
use crate::support::dns::{dig, not_before, serial};
use crate::support::eventually;
use crate::support::home::Home;

const ZONE: &str = "privatelink.azure-devices.net";

#[tokio::test]
async fn nothing_is_denied_before_the_first_poll() {
    let azure = Azure::start().await;
    azure.with(|world| Ok(world.faults.add(FaultRule::new(Fault::NeverAnswers))));
    let home = Home::new(&azure);
    let daemon = home.start().await;
    for (name, kind) in [(azure.hub(), "A"), (ZONE.to_owned(), "SOA"), ("example.com".to_owned(), "A")] {
        let answer = dig(daemon.dns(), &name, kind).await;
        assert_eq!((answer.status.as_str(), answer.ede.as_slice()), ("SERVFAIL", &[14][..]), "{name}");
    }
    let (code, body) = daemon.get("/readyz").await;
    assert_eq!(code, 503, "{body}");
    assert_eq!(daemon.get("/livez").await.0, 200);

    azure.with(|world| {
        world.faults.clear();
        Ok(())
    });
    daemon.shows(&azure).await;
    assert_eq!(daemon.get("/readyz").await.0, 200);
}

#[tokio::test]
async fn hubs_come_at_once_and_go_with_proof() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let soa = dig(daemon.dns(), ZONE, "SOA").await;
    assert!(soa.data()[0].starts_with("ns.invalid. hostmaster.invalid. "), "{soa:?}");
    assert_eq!(dig(daemon.dns(), ZONE, "NS").await.data(), ["ns.invalid."]);
    let mut last = serial(daemon.dns(), ZONE).await;

    let hub = azure.with(|world| world.scale_out(&azure.application));
    daemon.polled(1).await;
    daemon.shows(&azure).await;
    azure.with(|world| world.settle_all(&azure.application));
    daemon.shows(&azure).await;
    let name = format!("{hub}.{ZONE}");
    assert_eq!(dig(daemon.dns(), &name, "A").await.answers.len(), 1, "the hub is there");
    last = later(&daemon, last).await;

    // One side alone proves nothing, however often it is seen: first the application's, ...
    azure.with(|world| world.stop_requiring(&azure.application, &hub));
    daemon.finding(FindingKind::MemberLeaving).await;
    daemon.polled(3).await;
    assert_eq!(dig(daemon.dns(), &name, "A").await.answers.len(), 1, "it has its address still");
    azure.with(|world| world.release_addresses(&azure.application, &hub));
    daemon.shows(&azure).await;
    assert_eq!(dig(daemon.dns(), &name, "A").await.status, "NXDOMAIN");
    last = later(&daemon, last).await;

    // ... then, for another hub, the endpoint's.
    let name = azure.scale_out();
    daemon.shows(&azure).await;
    last = later(&daemon, last).await;
    let hub = name.split('.').next().expect("a label");
    azure.with(|world| world.release_addresses(&azure.application, hub));
    daemon.polled(3).await;
    assert_eq!(dig(daemon.dns(), &name, "A").await.answers.len(), 1, "held");
    let holds = daemon.status().await.holds;
    assert_eq!(holds.len(), 2, "the hub and its Event Hubs");
    assert!(holds.iter().all(|hold| hold.needs == Needs::Proof), "{holds:?}");
    assert_eq!(daemon.metric(&format!("privatelink_dns_guard_pending{{zone=\"{ZONE}\"}}")).await, 1.0);
    azure.with(|world| world.stop_requiring(&azure.application, hub));
    daemon.shows(&azure).await;
    assert_eq!(daemon.status().await.holds.len(), 0);
    later(&daemon, last).await;
    let log = daemon.log();
    let removed: Vec<_> = log.iter().filter(|line| line["message"] == "record removed").collect();
    assert_eq!(removed.len(), 4, "one line a name: {removed:?}");
    let added = log.iter().filter(|line| line["message"] == "record added").collect::<Vec<_>>();
    assert_eq!(added.len(), 6 + 4, "{added:?}");
    let text = |line: &Value, field: &str| line[field].as_str().unwrap_or_default().to_owned();
    for line in removed.iter().chain(&added) {
        assert!(text(line, "zone").starts_with("privatelink."), "{line}");
        assert!(text(line, "name").ends_with(text(line, "zone").trim_start_matches("privatelink")), "{line}");
        assert_eq!(text(line, "endpoint"), azure.endpoint.as_str());
        assert!(!text(line, "cause").is_empty() && line["generation"].as_u64() > Some(0), "{line}");
        let (old, new) = (text(line, "old"), text(line, "new"));
        let address = if line["message"] == "record added" { (&new, &old) } else { (&old, &new) };
        assert!(address.0.starts_with("10.1.0.") && address.1.is_empty(), "{line}");
    }
    assert!(text(removed[0], "cause").contains("the member is no longer required"), "{}", removed[0]);
}

#[tokio::test]
async fn endpoints_come_and_go() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let mut last = serial(daemon.dns(), ZONE).await;

    let second = azure.with(|world| {
        let options = EndpointOptions {
            name: "pe-spoke".to_owned(),
            network: [10, 2, 0, 0].into(),
            virtual_network: "vnet-spoke".to_owned(),
            ..EndpointOptions::default()
        };
        let id = world.add_endpoint(&azure.application, &options)?;
        world.settle(&id)?;
        Ok(id)
    });
    daemon.shows(&azure).await;
    assert_eq!(dig(daemon.dns(), &azure.hub(), "A").await.answers.len(), 2, "an address of each");
    daemon.finding(FindingKind::EndpointsInSeveralNetworks).await;
    last = later(&daemon, last).await;

    azure.with(|world| world.recreate_endpoint(&azure.endpoint));
    daemon.polled(1).await;
    daemon.shows(&azure).await;
    azure.with(|world| world.settle(&azure.endpoint));
    daemon.shows(&azure).await;
    last = later(&daemon, last).await;

    azure.with(|world| world.delete_endpoint(&second));
    daemon.shows(&azure).await;
    assert_eq!(dig(daemon.dns(), &azure.hub(), "A").await.answers.len(), 1, "the other's is left");
    last = later(&daemon, last).await;

    // To zero: ARM says that the last endpoint does not exist, which takes the longer way.
    let quick = std::mem::replace(
        &mut home.settings.guard,
        "removal_period = \"0s\"\nbulk_polls = 1000\nbulk_period = \"0s\"",
    );
    reload(&daemon, &home).await;
    azure.with(|world| world.delete_endpoint(&azure.endpoint));
    let (polls, needs) = eventually("six holds", async || {
        let holds = daemon.status().await.holds;
        if holds.len() == 6 { Ok((holds[0].polls, holds[0].needs)) } else { Err(format!("{holds:?}")) }
    })
    .await;
    assert_eq!(needs, Needs::Polls { polls: 1000, seconds: 0 });
    assert!(polls < 1000);
    home.settings.guard = quick;
    reload(&daemon, &home).await;
    daemon.shows(&azure).await;
    later(&daemon, last).await;
    assert_eq!(daemon.get("/readyz").await.0, 200, "empty zones are answers");
}

#[tokio::test]
async fn a_deleted_application_takes_its_names_with_it() {
    let azure = Azure::start().await;
    let other = azure.second_application();
    let mut home = Home::new(&azure);
    home.settings.applications.push(other);
    let daemon = home.start().await;
    daemon.shows(&azure).await;

    azure.with(|world| world.delete_application(&azure.application));
    daemon.finding(FindingKind::ApplicationNotFound).await;
    daemon.shows(&azure).await;
    assert_eq!(daemon.records().await.len(), 6, "the other application has all of its names");
    assert_eq!(daemon.get("/readyz").await.0, 200);
}

/// The serial now, which has to be later than the one before.
async fn later(daemon: &Daemon, before: u32) -> u32 {
    let now = serial(daemon.dns(), ZONE).await;
    assert!(now != before && not_before(now, before), "{now} is not later than {before}");
    now
}
