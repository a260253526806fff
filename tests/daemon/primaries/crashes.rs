//! Killed before each file operation of a ledger: what was sent is known, and no record is lost or left.
//! Ledgers of other releases, too.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use privatelink_dns::zones::FindingKind;
use rustix::process::Signal;

use super::{Site, held, poll, set, zone_of};
use crate::support::daemon::Daemon;
use crate::support::eventually;
use crate::support::home::BINARY;
use crate::support::strace::{OPEN, RENAME, SYNC, WRITE, kill_at_each};

const TARGET: &str = "key = \"update-key\"\ncheck_interval = \"10s\"\n";

/// The records that a ledger knows, as name and address, and their states.
fn known(ledger: &Path) -> (BTreeSet<(String, String)>, BTreeSet<String>) {
    let text = fs::read(ledger).unwrap_or_else(|_| b"{}".to_vec());
    let ledger: serde_json::Value = serde_json::from_slice(&text).expect("a ledger is never half of one");
    let names = ledger["books"]["any"].as_object().cloned().unwrap_or_default();
    let mut states = BTreeSet::new();
    let records = names.iter().flat_map(|(name, page)| {
        let records = page["records"].as_object().expect("records");
        records.iter().map(|(address, entry)| (name.clone(), address.clone(), entry["state"].clone()))
    });
    let records = records.map(|(name, address, state)| {
        states.insert(state.as_str().expect("a state").to_owned());
        (name, address)
    });
    let records = records.collect();
    (records, states)
}

#[tokio::test]
async fn what_was_sent_is_known_wherever_a_kill_comes() {
    let site = Site::new(TARGET).await;
    let daemon = site.home.start().await;
    site.follows(&[]).await;
    daemon.end(Signal::TERM).await;
    let foreign = format!("other.{}", zone_of(&site.azure.hub()));
    site.nsupdate(&format!("update add {foreign} 60 A 10.9.9.9")).await;
    let Site { azure, mut home, bind } = site;
    let ledger = home.state().join("ledger-bind.json");
    let files = [home.state().join("ledger-bind.json.new"), home.state()];
    let hub = std::cell::RefCell::new(None::<String>);
    // Everything that Azure has is at the server, and nothing more, and all of it is settled.
    let settled = async || {
        for (name, addresses) in azure.names() {
            let held = held(bind.address, &name).await;
            if held != addresses {
                return Err(format!("{name}: {held:?}"));
            }
        }
        let (_, states) = known(&ledger);
        if states.iter().eq(["held"]) { Ok(()) } else { Err(format!("{states:?}")) }
    };
    for call in [OPEN, WRITE, SYNC, RENAME] {
        let kills = kill_at_each(
            &mut home,
            call,
            &files,
            async || {
                // A hub comes and goes in turn.
                let mut hub = hub.borrow_mut();
                match hub.take() {
                    Some(name) => azure.scale_in(&name),
                    None => *hub = Some(azure.scale_out()),
                }
            },
            &settled,
            async |home, _| {
                let (records, _) = known(&ledger);
                for name in azure.names().keys() {
                    for address in held(bind.address, name).await {
                        let record = (name.clone(), address.to_string());
                        assert!(
                            records.contains(&record),
                            "{record:?} is ours, and the ledger has {records:?}"
                        );
                    }
                }
                let daemon = home.start().await;
                eventually("all is settled", &settled).await;
                assert_eq!(held(bind.address, &foreign).await, set(&[[10, 9, 9, 9]]));
                daemon.no_finding(FindingKind::TargetDrift).await;
                daemon.kill().await;
            },
        )
        .await;
        eprintln!("{call}: {kills} kills");
        assert!(kills > 0, "{call}");
    }
}

#[tokio::test]
async fn a_ledger_of_a_later_release_is_not_touched_and_nothing_is_written() {
    let site = Site::new(TARGET).await;
    let daemon = site.home.start().await;
    site.follows(&[]).await;
    eventually("a ledger of what is held", async || {
        let text = site.ledger().to_string();
        if text.contains("adding") { Err(text) } else { Ok(()) }
    })
    .await;
    daemon.end(Signal::TERM).await;
    let path = site.home.state().join("ledger-bind.json");
    let text = fs::read_to_string(&path).expect("a ledger");
    let later = text.replacen("\"version\":1", "\"version\":2", 1);
    assert_ne!(later, text);
    fs::write(&path, &later).expect("written");

    let gone = site.azure.hub();
    let left = site.held(&gone).await;
    site.azure.scale_in(&gone);
    let daemon = site.home.start().await;
    let message = daemon.finding(FindingKind::TargetFailing).await;
    for part in ["ledger-bind.json", "version 2", "reads version 1", "move the file away"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    // Everything else goes on.
    poll(&daemon);
    daemon.shows(&site.azure).await;
    let said = site.home.run(&daemon, &["plan", "--target", "bind"]).await;
    assert!(said.code != Some(0) && said.err.contains("a later release wrote it"), "{said:?}");
    assert_eq!(site.held(&gone).await, left);
    let (status, _) = daemon.end(Signal::TERM).await;
    assert!(status.success());
    assert_eq!(fs::read_to_string(&path).expect("there"), later);

    // The later release finds it as it was, and what is to go from the server still does.
    fs::write(&path, text).expect("written");
    let _daemon = site.home.start().await;
    site.follows(&[]).await;
}

#[tokio::test]
async fn whatever_the_umask_is_state_and_ledger_are_the_daemons_alone() {
    let site = Site::new(TARGET).await;
    site.home.write();
    let mut shell = site.home.environment("sh");
    let script = "umask 000; exec \"$0\" run --config \"$1\"";
    shell.args(["-c", script, BINARY]).arg(site.home.config()).stdout(std::process::Stdio::null());
    let daemon = Daemon::start(shell).await;
    site.follows(&[]).await;
    eventually("a ledger of what is held", async || {
        let text = fs::read_to_string(site.home.state().join("ledger-bind.json")).unwrap_or_default();
        if text.contains("held") && !text.contains("adding") { Ok(()) } else { Err(text) }
    })
    .await;
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    let files = || {
        let entries = fs::read_dir(site.home.state())
            .expect("a directory")
            .map(|entry| entry.expect("an entry").path());
        entries
            .map(|path| (path.file_name().expect("a name").display().to_string(), mode(&path)))
            .collect::<Vec<_>>()
    };
    for (name, mode) in files() {
        assert_eq!(mode, 0o600, "{name}");
    }
    assert_eq!(mode(&site.home.state()), 0o700);
    let names: BTreeSet<String> = files().into_iter().map(|(name, _)| name).collect();
    for name in ["state.json", "admin.token", "lock", "ledger-bind.json", "ledger-bind.lock"] {
        assert!(names.contains(name), "{name}: {names:?}");
    }
    daemon.end(Signal::TERM).await;
    assert!(files().iter().all(|(_, mode)| *mode == 0o600), "{:?}", files());
}
