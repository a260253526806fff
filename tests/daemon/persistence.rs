//! A power cut at any moment: what was served is served again, before Azure is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use privatelink_dns::admin::status::Status;
use rustix::process::Signal;

use crate::support::azure::Azure;
use crate::support::daemon::Daemon;
use crate::support::dns::{dig, not_before, serial};
use crate::support::eventually;
use crate::support::home::Home;

pub(crate) type Names = BTreeMap<String, BTreeSet<Ipv4Addr>>;

/// An address at which nobody answers.
pub(crate) const NOBODY: &str = "http://127.0.0.1:1";

/// What the daemon has accepted, by the API.
pub(crate) async fn accepted(daemon: &Daemon) -> (Status, Names) {
    loop {
        let before = daemon.status().await;
        let records = daemon.records().await;
        // Nothing was accepted between the two reads.
        if daemon.status().await.generation.map(|g| g.number) == before.generation.as_ref().map(|g| g.number)
        {
            let named = records.into_iter().map(|r| (r.owner.expect("an owner").to_string(), r.addresses));
            return (before, named.collect());
        }
    }
}

/// Starts the daemon without Azure; checks that it serves what was accepted last, and that this is
/// not older than what was seen before it was killed. Gives its names.
pub(crate) async fn without_azure(home: &mut Home, arm: &str, seen: &Status, seen_names: &Names) -> Names {
    home.settings.arm = NOBODY.to_owned();
    let daemon = home.start().await;
    // The first thing that is done: no poll can have succeeded, and none ever will.
    let (status, names) = accepted(&daemon).await;
    assert!(status.applications.iter().all(|a| a.last_attempt.is_none()));
    assert!(status.ready);
    let number = |status: &Status| status.generation.as_ref().expect("a generation").number;
    assert!(number(&status) >= number(seen), "the generation went back");
    let same = number(&status) == number(seen);
    assert!(!same || names == *seen_names, "{names:?} are not {seen_names:?}");
    for zone in &seen.zones {
        let now = serial(daemon.dns(), zone.origin.as_str()).await;
        let right = if same { now == zone.serial } else { not_before(now, zone.serial) };
        assert!(right, "{} went from {} to {now}", zone.origin, zone.serial);
    }
    for (name, addresses) in &names {
        let answer = daemon.ask(name).await.expect("an answer");
        assert!(answer.addresses.iter().eq(addresses), "{name}: {answer:?}, not {addresses:?}");
    }
    daemon.kill().await;
    home.settings.arm = arm.to_owned();
    names
}

#[tokio::test]
async fn nothing_accepted_is_lost_by_a_kill() {
    let azure = Azure::start().await;
    let arm = azure.simulator.base_url().to_owned();
    let mut home = Home::new(&azure);
    home.settings.guard = "removal_polls = 1\nremoval_period = \"0s\"";
    let mut random = fastrand::Rng::new();
    eprintln!("seed {}", random.get_seed());
    let mut hub: Option<String> = None;
    for round in 0..15 {
        let daemon = home.start().await;
        daemon.shows(&azure).await;
        let (before, names) = accepted(&daemon).await;
        // A hub comes and goes in turn.
        let (name, comes) = match hub.take() {
            Some(name) => {
                azure.scale_in(&name);
                (name, false)
            }
            None => (azure.scale_out(), true),
        };
        if comes {
            hub = Some(name.clone());
        }
        let asked = azure.simulator.requests().total();
        daemon.signal(Signal::USR1);
        let newest: Names = azure.names().into_iter().filter(|(_, a)| !a.is_empty()).collect();
        let shown = round % 3 == 0;
        if shown {
            // The moment at which DNS shows it: from then on it may not be lost.
            eventually("DNS shows it", async || match daemon.ask(&name).await {
                Some(answer) if answer.addresses.is_empty() != comes => Ok(()),
                answer => Err(format!("{answer:?}")),
            })
            .await;
        } else {
            // A moment in the poll, or in what follows from it.
            let moment = asked + random.u64(0..10);
            eventually("so many requests", async || {
                let total = azure.simulator.requests().total();
                if total >= moment { Ok(()) } else { Err(format!("{total} of {moment}")) }
            })
            .await;
        }
        daemon.kill().await;
        let after = without_azure(&mut home, &arm, &before, &names).await;
        assert!(after == newest || !shown && after == names, "{after:?} is neither {names:?} nor {newest:?}");
    }
}

#[tokio::test]
async fn a_missing_name_is_denied_from_stored_records_too() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    daemon.kill().await;
    home.settings.arm = NOBODY.to_owned();
    let daemon = home.start().await;
    assert_eq!(dig(daemon.dns(), &azure.hub(), "A").await.status, "NOERROR");
    assert_eq!(dig(daemon.dns(), "none.privatelink.azure-devices.net", "A").await.status, "NXDOMAIN");
    assert_eq!(daemon.get("/readyz").await.0, 200);
}
