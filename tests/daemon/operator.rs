//! What an operator does: look, plan, poll, approve, reject.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

use privatelink_dns::zones::{FindingKind, Needs};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::azure::{Azure, public};
use crate::support::daemon::Daemon;
use crate::support::dns::dig;
use crate::support::eventually;
use crate::support::home::{BINARY, Home, Said, said};

const SUBCOMMANDS: [&str; 10] =
    ["run", "demo", "plan", "check-config", "status", "approve", "reject", "health", "tsig", "completion"];

/// Waits until all six names are held for an operator.
async fn all_held(daemon: &Daemon) {
    eventually("six holds that need an operator", async || {
        let holds = daemon.status().await.holds;
        let needs = holds.iter().filter(|hold| hold.needs == Needs::Operator).count();
        if needs == 6 { Ok(()) } else { Err(format!("{holds:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_loss_of_everything_waits_for_the_operator() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    home.settings.guard = "removal_polls = 1\nremoval_period = \"0s\"\nbulk_polls = 2\nbulk_period = \"1h\"";
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let names: Vec<String> = azure.names().into_keys().collect();
    azure.lose_everything();
    all_held(&daemon).await;
    daemon.polled(3).await;
    for name in &names {
        assert_eq!(dig(daemon.dns(), name, "A").await.status, "NOERROR", "{name} is kept");
    }
    assert!(daemon.finding(FindingKind::RemovalHeld).await.contains("approve"));

    let overview = home.run(&daemon, &["status"]).await;
    assert_eq!(overview.code, Some(0), "{overview:?}");
    for text in ["HELD REMOVAL", "an operator", "removal-held", &public(&names[0]), "contoso-iot"] {
        assert!(overview.out.contains(text), "no {text:?} in {}", overview.out);
    }

    let (gone, kept) = (names[0].clone(), names[1].clone());
    let approved = home.run(&daemon, &["approve", &public(&gone)]).await;
    assert_eq!((approved.code, approved.out.as_str()), (Some(0), "1 removal approved\n"), "{approved:?}");
    assert_eq!(dig(daemon.dns(), &gone, "A").await.status, "NXDOMAIN");
    let nothing = home.run(&daemon, &["approve", "not.held.example"]).await;
    assert_eq!(nothing.code, Some(1));
    assert!(nothing.err.contains("no held removal matches"), "{}", nothing.err);

    let rejected = home.run(&daemon, &["reject", &public(&kept)]).await;
    assert_eq!((rejected.code, rejected.out.as_str()), (Some(0), "1 removal rejected\n"));
    let held = daemon.status().await.holds;
    assert!(held.iter().any(|hold| hold.name.as_str() == public(&kept) && hold.rejected));

    // The word counts after a restart too, before the first poll and after it.
    daemon.kill().await;
    home.settings.arm = "http://127.0.0.1:1".to_owned();
    let daemon = home.start().await;
    let held = daemon.status().await.holds;
    assert!(held.len() == 1 && held[0].rejected, "{held:?}");
    daemon.kill().await;
    home.settings.arm = azure.simulator.base_url().to_owned();
    let daemon = home.start().await;
    daemon.polled(2).await;
    let held = daemon.status().await.holds;
    assert!(held.iter().any(|hold| hold.name.as_str() == public(&kept) && hold.rejected), "{held:?}");
    assert_eq!(dig(daemon.dns(), &kept, "A").await.status, "NOERROR");
    assert_eq!(dig(daemon.dns(), &gone, "A").await.status, "NXDOMAIN", "approved for good");

    let application = azure.application.to_string();
    let all = home.run(&daemon, &["approve", "--application", &application]).await;
    assert_eq!((all.code, all.out.as_str()), (Some(0), "5 removals approved\n"), "{all:?}");
    for name in &names {
        assert_eq!(dig(daemon.dns(), name, "A").await.status, "NXDOMAIN", "{name}");
    }
}

async fn check_config(home: &Home) -> Said {
    let mut command = home.environment(BINARY);
    command.arg("check-config").arg(home.config());
    said(command).await
}

#[tokio::test]
async fn faults_of_file_environment_and_named_files_are_told_together() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    home.write();
    let right = fs::read_to_string(home.config()).expect("the configuration");
    let wrong = right.replace("[azure]", "[azure]\nca_file = \"/nowhere/ca.pem\"") + "\n[guard_]\n";
    fs::write(home.config(), wrong).expect("written");
    let mut command = home.environment(BINARY);
    command.arg("check-config").arg(home.config());
    command.env("PRIVATELINK_DNS__LOG__LEVEL", OsStr::from_bytes(b"\xff"));
    let said = said(command).await;
    assert_eq!(said.code, Some(1));
    for fault in ["cannot read /nowhere/ca.pem", "guard_", "LOG__LEVEL: its value is no valid UTF-8"] {
        assert!(said.err.contains(fault), "no {fault:?} in {}", said.err);
    }
}

#[tokio::test]
async fn an_empty_secret_is_told_but_does_not_keep_the_daemon_from_starting() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    home.write();
    let secret = home.path("secret");
    fs::write(&secret, "").expect("written");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("a mode");
    let keys = format!(
        "kind = \"client-secret\"\ntenant_id = \"contoso.example\"\n\
         client_id = \"00000000-0000-0000-0000-00000000000c\"\nsecret_file = \"{}\"",
        secret.display()
    );
    let command = home.command();
    let right = fs::read_to_string(home.config()).expect("the configuration");
    fs::write(home.config(), right.replace("kind = \"managed-identity\"", &keys)).expect("written");
    let daemon = Daemon::start(command).await;
    assert!(daemon.log().iter().any(|line| line["message"].as_str().is_some_and(|m| m.contains("is empty"))));
    let checked = check_config(&home).await;
    assert_eq!(checked.code, Some(1));
    assert!(checked.err.contains("secret is empty; write the client secret into it"), "{checked:?}");
}

#[tokio::test]
async fn a_half_edited_file_does_not_make_a_healthy_daemon_look_ill() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let right = fs::read_to_string(home.config()).expect("the configuration");
    fs::write(home.config(), right.replace("[[application]]", "[[application]\nidd = ")).expect("written");
    let checked = check_config(&home).await;
    assert!(checked.code == Some(1) && checked.err.contains("no valid TOML"), "{checked:?}");
    for arguments in [&["health", "--ready"][..], &["status"], &["approve", "--all"]] {
        let said = home.run(&daemon, arguments).await;
        // Nothing is held; that is the daemon's answer.
        let expected = if arguments[0] == "approve" { "no held removal matches" } else { "" };
        assert!(said.err.contains(expected) && (said.code == Some(0)) == expected.is_empty(), "{said:?}");
    }
}

#[tokio::test]
async fn names_that_come_back_end_a_rejection() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let hub = azure.hub();
    let endpoint = azure.with(|world| Ok(world.endpoints[&azure.endpoint].clone()));
    azure.with(|world| world.release_addresses(&azure.application, hub.split('.').next().expect("a label")));
    eventually("two holds", async || {
        let holds = daemon.status().await.holds;
        if holds.len() == 2 { Ok(()) } else { Err(format!("{holds:?}")) }
    })
    .await;
    assert_eq!(home.run(&daemon, &["reject", "--all"]).await.out, "2 removals rejected\n");
    daemon.finding(FindingKind::RemovalRejected).await;
    azure.with(|world| Ok(world.endpoints.insert(azure.endpoint.clone(), endpoint)));
    daemon.no_finding(FindingKind::RemovalRejected).await;
    assert!(daemon.status().await.holds.is_empty());
}

#[tokio::test]
async fn only_the_token_opens_the_writing_api() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    home.settings.poll_interval = "1h";
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let right = fs::read_to_string(home.state().join("admin.token")).expect("a token");
    let right = right.trim();
    let wrong = "0".repeat(right.len());
    for path in ["/api/v1/poll", "/api/v1/holds/approve", "/api/v1/holds/reject"] {
        for token in [None, Some(wrong.as_str()), Some(""), Some(&right[1..])] {
            let (code, body) = daemon.post(path, token, "\"all\"").await;
            assert_eq!(code, 401, "{path} {token:?}: {body}");
            assert!(!body.contains(right));
        }
    }
    assert_eq!(
        daemon.post("/api/v1/holds/approve", Some(right), "\"all\"").await,
        (200, "{\"count\":0}".into())
    );
    assert_eq!(daemon.post("/api/v1/holds/reject", Some(right), "{}").await.0, 400);
    assert_eq!(daemon.get("/api/v1/poll").await.0, 401, "the token is asked for first");

    // An hour between two polls: what is seen is seen because somebody asked.
    azure.scale_out();
    assert_eq!(daemon.post("/api/v1/poll", Some(right), "").await, (200, "{\"count\":1}".into()));
    daemon.shows(&azure).await;
    azure.scale_out();
    daemon.signal(Signal::USR1);
    daemon.shows(&azure).await;
    assert!(!format!("{:?}", daemon.log()).contains(right), "no log line has the token");
}

#[tokio::test]
async fn a_plan_tells_and_changes_nothing() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    home.settings.poll_interval = "1h";
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let before = fs::read(home.state().join("state.json")).expect("the state");

    let none = home.run(&daemon, &["plan"]).await;
    assert_eq!(none.code, Some(0), "{none:?}");
    assert!(none.out.contains("no change\n"), "{}", none.out);

    let hub = azure.scale_out();
    let plan = home.run(&daemon, &["plan", "--json"]).await;
    assert_eq!(plan.code, Some(2), "{plan:?}");
    let json: Value = serde_json::from_str(&plan.out).expect("JSON");
    let changes = json["changes"].as_array().expect("changes");
    assert_eq!(changes.len(), 2, "the hub and its Event Hubs");
    assert!(changes.iter().all(|change| change["action"] == "add"));
    assert!(changes.iter().any(|change| change["name"] == public(&hub).as_str()));

    daemon.signal(Signal::USR1);
    daemon.shows(&azure).await;
    azure.scale_in(&hub);
    let held = home.run(&daemon, &["plan"]).await;
    assert_eq!(held.code, Some(2));
    assert!(held.out.contains(&format!("! {} would be held", public(&hub))), "{}", held.out);

    azure.simulator.stop().await;
    let failed = home.run(&daemon, &["plan"]).await;
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(failed.out.is_empty() && failed.err.starts_with("privatelink-dns: "), "{failed:?}");
    assert_ne!(
        before,
        fs::read(home.state().join("state.json")).expect("the state"),
        "the daemon saved the hub"
    );
}

#[tokio::test]
async fn health_is_told_in_the_exit_code() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    home.settings.arm = "http://127.0.0.1:1".to_owned();
    let daemon = home.start().await;
    let alive = home.run(&daemon, &["health"]).await;
    assert_eq!((alive.code, alive.out.as_str()), (Some(0), "ok\n"));
    let ready = home.run(&daemon, &["health", "--ready"]).await;
    assert_eq!(ready.code, Some(1));
    assert!(ready.out.contains("\"ready\":false"), "{}", ready.out);
    daemon.kill().await;

    home.settings.arm = azure.simulator.base_url().to_owned();
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    assert_eq!(home.run(&daemon, &["health", "--ready"]).await.code, Some(0));
    let json = home.run(&daemon, &["status", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&json.out).expect("JSON")["ready"], true);
    let records = home.run(&daemon, &["status", "--records"]).await;
    assert!(records.out.contains(&public(&azure.hub())), "{}", records.out);

    let mut check = home.environment(BINARY);
    check.arg("check-config").arg(home.config());
    let check = said(check).await;
    assert_eq!(check.code, Some(0), "{check:?}");
    assert!(check.out.contains("ok: 1 application, 0 discoveries, 1 DNS listener"), "{}", check.out);

    let admin = daemon.admin;
    daemon.kill().await;
    let mut gone = home.environment(BINARY);
    gone.arg("health").arg("--config").arg(home.config());
    gone.env("PRIVATELINK_DNS__ADMIN__LISTEN", admin.to_string());
    let gone = said(gone).await;
    assert_eq!(gone.code, Some(1));
    assert!(gone.err.contains("is it running?"), "{}", gone.err);
}

#[tokio::test]
async fn the_command_line_explains_itself() {
    let run = async |arguments: &[&str]| {
        let mut command = tokio::process::Command::new(BINARY);
        command.args(arguments);
        said(command).await
    };
    let top = run(&["--help"]).await;
    for subcommand in SUBCOMMANDS {
        assert!(top.out.contains(&format!("\n  {subcommand} ")), "{subcommand} is not in {}", top.out);
        let help = run(&[subcommand, "--help"]).await;
        assert_eq!(help.code, Some(0), "{subcommand}");
        assert!(help.out.lines().count() > 4 && help.err.is_empty(), "{help:?}");
    }
    assert_eq!(run(&["--version"]).await.out, format!("privatelink-dns {}\n", env!("CARGO_PKG_VERSION")));
    for wrong in [&["fly"][..], &[], &["approve"], &["plan", "--yaml"], &["approve", "--all", "a.example"]] {
        let usage = run(wrong).await;
        assert_eq!(usage.code, Some(1), "{wrong:?}: {usage:?}");
        assert!(usage.out.is_empty() && usage.err.contains("Usage"), "{usage:?}");
    }
    for subcommand in ["run", "plan", "status", "health"] {
        let missing = run(&[subcommand, "--config", "/does/not/exist.toml"]).await;
        assert_eq!(missing.code, Some(1));
        assert!(missing.err.contains("/does/not/exist.toml"), "{missing:?}");
    }
    let script = run(&["completion", "bash"]).await;
    assert!(script.out.contains("check-config"));
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("completion");
    fs::write(&file, script.out).expect("written");
    let mut bash = tokio::process::Command::new("bash");
    bash.arg("-n").arg(&file);
    assert_eq!(said(bash).await.code, Some(0));
}
