//! Applications that nobody named: they come, go, and leave nothing behind.

use std::fs;

use privatelink_dns::simulator::{Fault, FaultRule};
use privatelink_dns::zones::{FindingKind, Needs, ResourceId};

use crate::support::azure::Azure;
use crate::support::daemon::Daemon;
use crate::support::eventually;
use crate::support::home::Home;

const DISCOVERY: &str = "[[discovery]]\nsubscription = \"00000000-0000-0000-0000-000000000000\"\n";

/// A home that follows whatever is found.
fn searching(azure: &Azure) -> Home {
    let mut home = Home::new(azure);
    home.settings.applications.clear();
    home.settings.discoveries = DISCOVERY;
    home
}

/// Waits until nothing tells of the application any more, and only the first is followed.
async fn forgotten(daemon: &Daemon, home: &Home, azure: &Azure, gone: &ResourceId) {
    eventually("one application", async || {
        let status = daemon.status().await;
        let is_first = |id: &ResourceId| *id == azure.application;
        if status.applications.iter().map(|a| &a.id).all(is_first) {
            Ok(())
        } else {
            Err(format!("{status:?}"))
        }
    })
    .await;
    let status = daemon.status().await;
    assert!(status.findings.iter().all(|f| f.application.as_ref() != Some(gone)), "{:?}", status.findings);
    assert!(status.holds.is_empty());
    let metrics = daemon.get("/metrics").await.1;
    assert!(metrics.contains("contoso-iot") && !metrics.contains(gone.name()), "{metrics}");
    let state = fs::read_to_string(home.state().join("state.json")).expect("the state");
    let shares = state.split("\"history\"").next().expect("what is before");
    assert!(
        shares.contains("contoso-iot") && !shares.contains(&format!("iotApps/{}", gone.name())),
        "{state}"
    );
}

#[tokio::test]
async fn an_application_comes_and_goes_by_itself() {
    let azure = Azure::start().await;
    let home = searching(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;

    let other = azure.second_application();
    daemon.shows(&azure).await;
    assert_eq!(daemon.status().await.applications.len(), 2);
    assert!(daemon.get("/metrics").await.1.contains("app=\"rg-iot/fabrikam-iot\""));

    azure.with(|world| world.delete_application(&other));
    daemon.finding(FindingKind::RemovalHeld).await;
    daemon.shows(&azure).await;
    forgotten(&daemon, &home, &azure, &other).await;
    assert_eq!(daemon.records().await.len(), 6, "the first has all of its names");

    // Nor is it polled again after a restart.
    daemon.kill().await;
    let daemon = home.start().await;
    daemon.polled(1).await;
    forgotten(&daemon, &home, &azure, &other).await;
}

#[tokio::test]
async fn an_application_whose_group_was_deleted_is_ended_by_the_operator() {
    let azure = Azure::start().await;
    let other = azure.second_application();
    let home = searching(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;

    azure.with(|world| {
        world.faults.add(FaultRule::new(Fault::ResourceGroupNotFound).containing("fabrikam"));
        world.delete_application(&other)
    });
    eventually("six holds", async || {
        let holds = daemon.status().await.holds;
        let is_meant = holds.len() == 6 && holds.iter().all(|hold| hold.needs == Needs::Operator);
        if is_meant { Ok(()) } else { Err(format!("{holds:?}")) }
    })
    .await;
    assert!(daemon.finding(FindingKind::PollFailed).await.contains("ResourceGroupNotFound"));
    let approved = home.run(&daemon, &["approve", "--application", other.as_str()]).await;
    assert_eq!((approved.code, approved.out.as_str()), (Some(0), "6 removals approved\n"), "{approved:?}");
    daemon.shows(&azure).await;
    forgotten(&daemon, &home, &azure, &other).await;
}
