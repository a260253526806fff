//! State files of other times: written by a daemon before, or broken.

use std::fs;
use std::path::Path;

use privatelink_dns::zones::FindingKind;
use rustix::process::Signal;
use serde_json::Value;

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
async fn state_that_the_system_cannot_read_is_put_aside_too() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    fs::create_dir_all(home.state().join("state.json")).expect("no file at all");
    let daemon = home.start().await;
    let message = daemon.finding(FindingKind::StateMovedAside).await;
    assert!(message.contains("cannot read") && message.contains("moved to"), "{message}");
    daemon.shows(&azure).await;
    daemon.no_finding(FindingKind::StoreFailed).await;
    assert!(home.state().join("state.json").is_file());
}

#[tokio::test]
async fn state_that_cannot_be_written_holds_up_no_answer() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let saves = "privatelink_dns_state_saves_total{result=\"failure\"}";
    assert_eq!(daemon.metric(saves).await, 0.0);

    let obstacle = home.state().join("state.json.new");
    fs::create_dir(&obstacle).expect("in the way");
    let hub = azure.scale_out();
    daemon.shows(&azure).await;
    assert_eq!(dig(daemon.dns(), &hub, "A").await.answers.len(), 1, "served all the same");
    let message = daemon.finding(FindingKind::StoreFailed).await;
    assert!(message.contains("state.json.new") && message.contains("served"), "{message}");
    assert!(daemon.metric(saves).await > 0.0);
    let saved = || fs::read_to_string(home.state().join("state.json")).expect("the state");
    assert!(!saved().contains(hub.split('.').next().expect("a label")), "the old state is whole");

    fs::remove_dir(&obstacle).expect("mended");
    daemon.no_finding(FindingKind::StoreFailed).await;
    assert!(saved().contains(hub.split('.').next().expect("a label")));
}

#[tokio::test]
async fn the_age_of_records_is_saved_at_a_stop_and_stale_ones_are_so_at_the_start() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    home.settings.dns = "stale_after = \"1s\"";
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    // Polls alone write nothing: what the stop saves is later than the only change.
    daemon.polled(1).await;
    let before = daemon.status().await;
    daemon.end(Signal::TERM).await;

    home.settings.arm = "http://127.0.0.1:1".to_owned();
    let daemon = home.start().await;
    let after = daemon.status().await;
    assert!(after.applications[0].last_success >= before.applications[0].last_success);
    daemon.finding(FindingKind::Stale).await;
    assert_eq!(dig(daemon.dns(), &azure.hub(), "A").await.ede, [3]);
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

#[tokio::test]
async fn state_of_a_later_release_is_put_aside_whole_and_can_be_taken_up_again() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let before = daemon.status().await.generation.expect("a generation").number;
    daemon.end(Signal::TERM).await;
    let state = home.state().join("state.json");
    let text = fs::read_to_string(&state).expect("the state");
    let later = text.replacen("\"version\": 1", "\"version\": 2", 1);
    assert_ne!(later, text);
    fs::write(&state, &later).expect("written");

    let daemon = home.start().await;
    let message = daemon.finding(FindingKind::StateMovedAside).await;
    for part in ["state.json: a later release wrote it", "version 2", "reads version 1", "moved to"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    // It does not wait for anybody: names come from Azure.
    daemon.shows(&azure).await;
    daemon.end(Signal::TERM).await;
    let names = fs::read_dir(home.state()).expect("a directory").map(|entry| entry.expect("an entry").path());
    let aside = names.filter(|path| path.to_string_lossy().contains("unreadable-")).collect::<Vec<_>>();
    assert_eq!(aside.len(), 1);
    assert!(message.contains(&*aside[0].to_string_lossy()), "{message}");
    assert_eq!(fs::read_to_string(&aside[0]).expect("kept"), later, "to the last octet");

    // The later release, given its file again, is where it was.
    fs::write(&aside[0], text).expect("written");
    fs::rename(&aside[0], &state).expect("renamed");
    home.settings.arm = "http://127.0.0.1:1".to_owned();
    let daemon = home.start().await;
    assert_eq!(daemon.status().await.generation.expect("a generation").number, before);
}

/// Every field that state can have, as the release that made it wrote it.
#[tokio::test]
async fn state_with_everything_in_it_is_served() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    home.settings.arm = "http://127.0.0.1:1".to_owned();
    let subscription = "/subscriptions/11111111-2222-3333-4444-555555555555/";
    let application = format!("{subscription}resourceGroups/r/providers/Microsoft.IoTCentral/iotApps/a");
    home.settings.applications = vec![application.parse().expect("an id")];
    fs::create_dir(home.state()).expect("a directory");
    let fixture = Path::new(V1).with_file_name("v1-everything.json");
    // A configuration takes real subscriptions only.
    let state = fs::read_to_string(fixture).expect("the fixture").replace("/subscriptions/s/", subscription);
    fs::write(home.state().join("state.json"), state).expect("written");
    let daemon = home.start().await;
    let answer = dig(daemon.dns(), "a.privatelink.azureiotcentral.com", "A").await;
    assert_eq!(answer.data(), ["10.0.0.7", "10.0.0.8"]);
    // The operator's word is known, and nothing is wrong but that the state is old.
    daemon.finding(FindingKind::RemovalRejected).await;
    let is_wrong = |line: &Value| line["level"] == "ERROR" && line["finding"] != "stale";
    assert!(!daemon.log().iter().any(is_wrong), "{:?}", daemon.log());
}
