//! Azure is away, wholly or for one application: nothing changes that need not.

use std::fs;

use privatelink_dns::simulator::{Fault, FaultRule};
use privatelink_dns::zones::FindingKind;
use rustix::process::Signal;

use crate::support::azure::Azure;
use crate::support::dns::{dig, serial};
use crate::support::eventually;
use crate::support::home::Home;

const ZONE: &str = "privatelink.azure-devices.net";

#[tokio::test]
async fn an_outage_changes_nothing_and_ends() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    home.settings.dns = "stale_after = \"2s\"";
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let (before, records) = (serial(daemon.dns(), ZONE).await, daemon.records().await.len());

    azure.with(|world| Ok(world.faults.add(FaultRule::new(Fault::ServiceUnavailable))));
    let message = daemon.finding(FindingKind::PollFailed).await;
    let known = azure.simulator.requests().all();
    assert!(
        known
            .iter()
            .any(|request| !request.correlation_id.is_empty() && message.contains(&request.correlation_id)),
        "no correlation id in {message}"
    );
    daemon.finding(FindingKind::Stale).await;
    assert_eq!(daemon.get("/readyz").await.0, 200, "ready while Azure is away");
    let answer = dig(daemon.dns(), &azure.hub(), "A").await;
    assert_eq!(
        (answer.status.as_str(), answer.ede.as_slice(), answer.answers.len()),
        ("NOERROR", &[3][..], 1)
    );
    assert_eq!(serial(daemon.dns(), ZONE).await, before);
    assert_eq!(daemon.records().await.len(), records);
    assert!(daemon.status().await.holds.is_empty());

    azure.with(|world| {
        world.faults.clear();
        Ok(())
    });
    daemon.no_finding(FindingKind::PollFailed).await;
    daemon.no_finding(FindingKind::Stale).await;
    // A slow machine may be late again with its polls, for a while.
    eventually("an answer that is not stale", async || {
        let answer = dig(daemon.dns(), &azure.hub(), "A").await;
        if answer.ede.is_empty() && answer.answers.len() == 1 { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
    assert_eq!(serial(daemon.dns(), ZONE).await, before, "no record changed");
}

#[tokio::test]
async fn one_application_that_hangs_or_fails_delays_no_other() {
    let azure = Azure::start().await;
    let other = azure.second_application();
    let mut home = Home::new(&azure);
    home.settings.applications.push(other.clone());
    // Polls when it is told to.
    home.settings.poll_interval = "1h";
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let steady = azure.hub_of(&other);

    for fault in [Fault::NeverAnswers, Fault::AuthorizationFailed] {
        let rule = azure.with(|world| {
            world.faults.clear();
            Ok(world.faults.add(FaultRule::new(fault).containing("fabrikam")))
        });
        let attempt = async || {
            let status = daemon.status().await;
            let this = status.applications.into_iter().find(|a| a.id == azure.application);
            this.map(|a| (a.last_attempt, a.consecutive_failures)).expect("the application")
        };
        let before = attempt().await;
        daemon.signal(Signal::USR1);
        eventually("a poll of the one, and the fault at the other", async || {
            let (now, hits) = (attempt().await, azure.with(|world| Ok(world.faults.hits(rule))));
            if now.0 > before.0 && hits > 0 { Ok(()) } else { Err(format!("{now:?}, {hits} hits")) }
        })
        .await;
        daemon.finding(FindingKind::PollFailed).await;
        assert_eq!(attempt().await.1, 0);
        // Counts this one's polls, no time: its new hub is served by the first poll that could see
        // it. That applications do not wait for each other's reads is shown in
        // the test below.
        let from = azure.simulator.requests().total();
        azure.scale_out();
        daemon.signal(Signal::USR1);
        daemon.shows(&azure).await;
        let rounds = azure.simulator.requests().all().into_iter().filter(|request| {
            request.sequence >= from
                && request.path.ends_with("/contoso-iot")
                && request.operation == Some(privatelink_dns::simulator::Operation::ApplicationGet)
        });
        assert_eq!(rounds.count(), 1, "served by the first poll that could see it");
        assert_eq!(dig(daemon.dns(), &steady, "A").await.answers.len(), 1, "unchanged");
        assert!(daemon.status().await.holds.is_empty());
    }
}

#[tokio::test]
async fn a_read_that_hangs_holds_up_no_other_application() {
    let azure = Azure::start().await;
    let other = azure.second_application();
    let mut home = Home::new(&azure);
    home.settings.applications.push(other);
    // Longer than this test waits for anything: whoever waits for the hanging read comes too late.
    home.settings.request_timeout = "5m";
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let rule =
        azure.with(|world| Ok(world.faults.add(FaultRule::new(Fault::NeverAnswers).containing("fabrikam"))));
    eventually("a read that hangs", async || {
        let hits = azure.with(|world| Ok(world.faults.hits(rule)));
        if hits > 0 { Ok(()) } else { Err("none yet".to_owned()) }
    })
    .await;
    for _ in 0..3 {
        azure.scale_out();
        daemon.shows(&azure).await;
    }
}

#[tokio::test]
async fn an_application_that_was_never_read_turns_denials_into_servfail() {
    let azure = Azure::start().await;
    let other = azure.second_application();
    azure.with(|world| {
        Ok(world.faults.add(FaultRule::new(Fault::AuthorizationFailed).containing("fabrikam")))
    });
    let mut home = Home::new(&azure);
    home.settings.applications.push(other);
    let daemon = home.start().await;
    daemon.answers(&azure.hub(), &[[10, 1, 0, 5].into()].into()).await;
    daemon.finding(FindingKind::NeverObserved).await;
    let missing = format!("missing.{ZONE}");
    assert_eq!(dig(daemon.dns(), &missing, "A").await.status, "SERVFAIL");
    azure.with(|world| {
        world.faults.clear();
        Ok(())
    });
    daemon.shows(&azure).await;
    assert_eq!(dig(daemon.dns(), &missing, "A").await.status, "NXDOMAIN");
    daemon.no_finding(FindingKind::NeverObserved).await;
}

/// The daemon runs for years, and once in those a response may have no end.
#[cfg(target_env = "gnu")]
#[tokio::test]
async fn the_memory_for_bodies_without_end_is_given_back() {
    let azure = Azure::start().await;
    let other = azure.second_application();
    let mut home = Home::new(&azure);
    home.settings.applications.push(other);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let anonymous = || {
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a line");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
    };
    let before = anonymous();
    // Both pollers read them, in all threads: each body is given up at 16 MiB.
    azure.with(|world| Ok(world.faults.add(FaultRule::new(Fault::EndlessBody).times(12))));
    daemon.finding(FindingKind::PollFailed).await;
    eventually("the faults end", async || {
        if azure.simulator.world().with(|world| world.faults.any()) {
            Err("not yet".to_owned())
        } else {
            Ok(())
        }
    })
    .await;
    daemon.no_finding(FindingKind::PollFailed).await;
    eventually("the memory is given back", async || {
        let kept = anonymous().saturating_sub(before);
        if kept < 8 << 10 { Ok(()) } else { Err(format!("{kept} KiB are kept")) }
    })
    .await;
}
