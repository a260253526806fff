//! State files of other times: written by a daemon before, or broken.

use std::fs;
use std::path::Path;

use privatelink_dns::zones::FindingKind;
use rustix::process::Signal;

use crate::support::azure::Azure;
use crate::support::dns::{dig, serial};
use crate::support::home::Home;

/// As version 0.1.0 wrote it; never to be written anew, only to be joined by files of later versions.
const V1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/state/v1.json");

#[tokio::test]
async fn state_of_the_first_version_is_served() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    home.settings.arm = "http://127.0.0.1:1".to_owned();
    fs::create_dir(home.state()).expect("a directory");
    fs::copy(Path::new(V1), home.state().join("state.json")).expect("the fixture");
    let daemon = home.start().await;
    let hub = "iotc-a833bdcd-b6d1-4eb1-88dc-97e5aab5fe3d.privatelink.azure-devices.net";
    assert_eq!(dig(daemon.dns(), hub, "A").await.data(), ["10.1.0.5"]);
    assert_eq!(serial(daemon.dns(), "privatelink.azure-devices.net").await, 1_795_491_706);
    let status = daemon.status().await;
    assert_eq!(status.generation.expect("a generation").number, 2);
    assert_eq!(status.zones.len(), 4);
    assert_eq!(status.holds.len(), 2, "the operator's rejections");
    assert!(status.holds.iter().all(|hold| hold.rejected));
    assert!(daemon.log().iter().any(|line| line["message"] == "serving the last accepted generation"));
}

#[tokio::test]
async fn unreadable_state_is_put_aside_and_the_daemon_goes_on() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    daemon.end(Signal::TERM).await;

    let state = home.state().join("state.json");
    let whole = fs::read(&state).expect("the state");
    let half = &whole[..whole.len() / 2];
    fs::write(&state, half).expect("broken");
    let daemon = home.start().await;
    let message = daemon.finding(FindingKind::StateMovedAside).await;
    daemon.shows(&azure).await;
    daemon.polled(1).await;
    daemon.finding(FindingKind::StateMovedAside).await;
    let names = fs::read_dir(home.state()).expect("a directory").map(|entry| entry.expect("an entry").path());
    let aside = names.filter(|path| path.to_string_lossy().contains("unreadable-")).collect::<Vec<_>>();
    assert_eq!(aside.len(), 1);
    assert!(message.contains(&*aside[0].to_string_lossy()), "{message}");
    assert_eq!(fs::read(&aside[0]).expect("kept"), half);
    let (status, _) = daemon.end(Signal::TERM).await;
    assert!(status.success());

    let daemon = home.start().await;
    daemon.shows(&azure).await;
    daemon.no_finding(FindingKind::StateMovedAside).await;
}

#[tokio::test]
async fn a_second_daemon_keeps_out_of_the_state() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    let _first = home.start().await;
    let second = crate::support::home::said(home.command()).await;
    assert_eq!(second.code, Some(1));
    assert!(second.err.contains("another privatelink-dns uses the state directory"), "{}", second.err);
    assert!(second.err.lines().last().is_some_and(|line| line.contains("\"stopped\"")), "{}", second.err);
}
