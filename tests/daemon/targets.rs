//! Targets: files that follow Azure, each by itself; and what is exported.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use privatelink_dns::zones::FindingKind;
use tokio::process::Command;

use crate::support::azure::{Azure, public};
use crate::support::daemon::Daemon;
use crate::support::eventually;
use crate::support::home::{Home, Said, said};

/// Waits until a file's text is right.
async fn until(path: &Path, what: &str, is_right: impl Fn(&str) -> bool) -> String {
    eventually(&format!("{}: {what}", path.display()), async || {
        let text = fs::read_to_string(path).unwrap_or_default();
        if is_right(&text) { Ok(text) } else { Err(text) }
    })
    .await
}

/// The lines of the block that Azure's names make.
fn lines(azure: &Azure) -> BTreeSet<String> {
    let names = azure.names().into_iter().map(|(private, addresses)| (public(&private), private, addresses));
    let overridden = names.filter(|(public, ..)| !public.ends_with("azureiotcentral.com"));
    overridden
        .flat_map(|(public, private, addresses)| {
            addresses.into_iter().map(move |address| format!("{address} {public} {private}"))
        })
        .collect()
}

/// Whether the block of a hosts file is as Azure is, and nothing else has changed.
fn is_right(text: &str, azure: &Azure) -> bool {
    let Some((before, rest)) = text.split_once("# BEGIN privatelink-dns\n") else { return false };
    let Some((block, after)) = rest.split_once("# END privatelink-dns\n") else { return false };
    let block: BTreeSet<String> =
        block.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    before == "127.0.0.1 localhost\n" && after.is_empty() && block == lines(azure)
}

fn told(path: &Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

/// Waits until a target holds the current generation, and its server was told.
async fn settled(daemon: &Daemon, name: &str) {
    eventually(&format!("{name} is settled"), async || {
        let status = daemon.status().await;
        let number = status.generation.as_ref().map(|generation| generation.number);
        let target = status.targets.into_iter().find(|target| target.name == name);
        if target.as_ref().is_some_and(|target| target.generation == number && !target.pending) {
            Ok(())
        } else {
            Err(format!("{number:?} {target:?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn targets_follow_scaling_and_one_that_fails_holds_up_no_other() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    let [hosts, zones, count, policy, dry] =
        ["hosts", "zones", "told", "policy", "dry"].map(|name| home.path(name));
    fs::write(&hosts, "127.0.0.1 localhost\n").expect("written");
    fs::write(&dry, "127.0.0.1 localhost\n").expect("written");
    fs::create_dir(&zones).expect("made");
    home.settings.transfer = format!(
        "[[target]]\nname = 'hosts'\ntype = 'hosts'\npath = {hosts:?}\n\
         [[target]]\nname = 'dry'\ntype = 'hosts'\npath = {dry:?}\ndry_run = true\n\
         [[target]]\nname = 'zones'\ntype = 'zone-file'\ndirectory = {zones:?}\n\
         reload = ['sh', '-c', 'echo told >>{}']\n\
         [[target]]\nname = 'policy'\ntype = 'rpz-file'\npath = {:?}\norigin = 'rpz.example.net'\n",
        count.display(),
        policy.join("rpz.zone")
    );
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    until(&hosts, "all names", |text| is_right(text, &azure)).await;
    let hubs = zones.join("privatelink.azure-devices.net.zone");
    until(&hubs, "two hubs", |text| text.matches(" IN A ").count() == 2).await;
    until(&count, "told once", |text| text.lines().count() == 1).await;
    // The directory is not there.
    let message = daemon.finding(FindingKind::TargetFailing).await;
    assert!(message.contains("rpz.zone") && message.contains("create it"), "{message}");
    let failing = "privatelink_dns_target_failing{target=";
    assert!((daemon.metric(&format!("{failing}\"policy\"}}")).await - 1.0).abs() < 0.1);
    assert!(daemon.metric(&format!("{failing}\"hosts\"}}")).await < 0.1);

    let hub = azure.scale_out();
    until(&hosts, "three hubs", |text| is_right(text, &azure)).await;
    until(&hubs, "three hubs", |text| text.contains(&hub)).await;
    settled(&daemon, "zones").await;
    let after = told(&count);
    azure.scale_in(&hub);
    until(&hosts, "two hubs again", |text| is_right(text, &azure)).await;
    until(&hubs, "two hubs again", |text| !text.contains(&hub)).await;
    until(&count, "told again", |text| text.lines().count() > after).await;

    // Polls that change nothing tell nobody.
    settled(&daemon, "zones").await;
    let before = told(&count);
    daemon.polled(2).await;
    assert_eq!(told(&count), before);
    assert_eq!(fs::read_to_string(&dry).expect("text"), "127.0.0.1 localhost\n");

    // It recovers by itself.
    fs::create_dir(&policy).expect("made");
    daemon.no_finding(FindingKind::TargetFailing).await;
    let text = fs::read_to_string(policy.join("rpz.zone")).expect("a policy zone");
    assert_eq!(text.matches(" IN A ").count(), lines(&azure).len());

    let status = daemon.status().await;
    let number = status.generation.as_ref().map(|generation| generation.number);
    let states: Vec<_> = status.targets.iter().map(|t| (t.name.as_str(), t.generation, t.pending)).collect();
    assert_eq!(
        states,
        [("dry", None, false), ("hosts", number, false), ("policy", number, false), ("zones", number, false)]
    );
    let table = home.run(&daemon, &["status"]).await.out;
    assert!(table.contains("dry run: would write") && table.contains("TARGET"), "{table}");

    // Out of the configuration: the block stays, and that is said.
    home.settings.transfer = String::new();
    home.write();
    daemon.reload().await;
    assert!(is_right(&fs::read_to_string(&hosts).expect("text"), &azure));
    let log = daemon.log();
    let stays =
        |line: &&serde_json::Value| line["message"] == "no target any more; what was written there stays";
    assert_eq!(log.iter().filter(stays).count(), 4);
    let (status, _) = daemon.end(rustix::process::Signal::TERM).await;
    assert!(status.success());
}

#[tokio::test]
async fn a_lost_state_empties_no_file() {
    let azure = Azure::start().await;
    let second = azure.second_application();
    let mut home = Home::new(&azure);
    home.settings.applications.push(second.clone());
    let hosts = home.path("hosts");
    fs::write(&hosts, "127.0.0.1 localhost\n").expect("written");
    home.settings.transfer = format!("[[target]]\nname = 'hosts'\ntype = 'hosts'\npath = {hosts:?}\n");
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let full = until(&hosts, "all names", |text| is_right(text, &azure)).await;
    daemon.kill().await;
    fs::remove_dir_all(home.state()).expect("lost");

    // One application is read, the other is not.
    azure.with(|world| {
        let rule =
            privatelink_dns::simulator::FaultRule::new(privatelink_dns::simulator::Fault::ServiceUnavailable);
        Ok(world.faults.add(rule.containing(second.name())))
    });
    let daemon = home.start().await;
    daemon.answers(&azure.hub(), &azure.names()[&azure.hub()]).await;
    daemon.polled(1).await;
    assert_eq!(fs::read_to_string(&hosts).expect("text"), full);
    assert_eq!(daemon.get("/api/v1/export/hosts").await.0, 503);
    azure.with(|world| {
        world.faults.clear();
        Ok(())
    });
    eventually("it is written", async || {
        let targets = daemon.status().await.targets;
        if targets.iter().all(|target| target.generation.is_some()) {
            Ok(())
        } else {
            Err(format!("{targets:?}"))
        }
    })
    .await;
    assert_eq!(fs::read_to_string(&hosts).expect("text"), full);
}

#[tokio::test]
async fn the_stored_and_the_served_generation_are_exported_alike() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    for format in ["bind", "windows", "unbound", "dnsmasq", "hosts", "rpz", "json"] {
        let served = home.run(&daemon, &["export", format, "--daemon"]).await;
        let stored = home.run(&daemon, &["export", format]).await;
        assert_eq!((served.code, stored.code), (Some(0), Some(0)), "{format}: {served:?}");
        assert_eq!(served.out, stored.out);
        assert_eq!(daemon.get(&format!("/api/v1/export/{format}")).await, (200, served.out));
    }
    let (code, text) = daemon.get("/api/v1/export/none").await;
    assert!(code == 404 && text.contains("the formats are bind"), "{text}");

    let zones = home.path("zones");
    fs::create_dir(&zones).expect("made");
    let directory = zones.to_str().expect("text");
    let written = home.run(&daemon, &["export", "bind", "--directory", directory]).await;
    assert_eq!((written.code, written.out.lines().count()), (Some(0), 4), "{written:?}");
    for line in written.out.lines() {
        let path = line.split('"').nth(3).expect("a file");
        assert!(fs::read_to_string(path).expect("a zone").contains(" IN SOA "), "{path}");
    }
    let foreign = zones.join("privatelink.azure-devices.net.zone");
    fs::write(&foreign, "mine\n").expect("written");
    let refused = home.run(&daemon, &["export", "bind", "--directory", directory]).await;
    assert!(refused.code == Some(1) && refused.err.contains("not written by privatelink-dns"), "{refused:?}");

    let empty = home.path("empty");
    let nothing = home.run(&daemon, &["export", "hosts", "--state", empty.to_str().expect("text")]).await;
    assert!(nothing.code == Some(1) && nothing.err.contains("holds no generation yet"), "{nothing:?}");
    let wrong = home.run(&daemon, &["export", "hosts", "--directory", directory]).await;
    assert!(wrong.code == Some(1) && wrong.err.contains("export bind --directory"), "{wrong:?}");
}

/// A machine that keeps its hosts file by the script.
struct Machine {
    directory: tempfile::TempDir,
    daemon: String,
}

impl Machine {
    fn new(daemon: &Daemon) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self { directory, daemon: format!("http://{}", daemon.admin) }
    }

    fn hosts(&self) -> PathBuf {
        self.directory.path().join("hosts")
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    async fn run(&self) -> Said {
        self.run_in("").await
    }

    /// Runs it with programs that go before those of the system.
    async fn run_in(&self, programs: &str) -> Said {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/privatelink-dns-hosts");
        let mut command = Command::new("sh");
        command.arg(script).arg(&self.daemon).arg(self.hosts()).arg(self.state());
        command.env("PATH", format!("{programs}:{}", std::env::var("PATH").unwrap_or_default()));
        said(command).await
    }
}

#[tokio::test]
async fn the_script_keeps_a_hosts_file_in_step() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let machine = Machine::new(&daemon);
    let hosts = machine.hosts();
    let missing = machine.run().await;
    assert!(missing.code == Some(1) && missing.err.contains("there is no"), "{missing:?}");
    fs::write(&hosts, "127.0.0.1 localhost\n").expect("written");
    let first = machine.run().await;
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(is_right(&fs::read_to_string(&hosts).expect("text"), &azure));
    // Nothing new: 304, and nothing is written or said.
    let again = machine.run().await;
    assert_eq!((again.code, again.out.as_str(), again.err.as_str()), (Some(0), "", ""));

    let hub = azure.scale_out();
    daemon.answers(&hub, &azure.names()[&hub]).await;
    eventually("the export follows", async || {
        let text = daemon.get("/api/v1/export/hosts").await.1;
        if text.contains(&hub) { Ok(()) } else { Err(text) }
    })
    .await;
    assert_eq!(machine.run().await.code, Some(0));
    assert!(is_right(&fs::read_to_string(&hosts).expect("text"), &azure));

    // What is outside stays, octet by octet: other endings, no end, no UTF-8.
    let block = daemon.get("/api/v1/export/hosts").await.1;
    let windows = block.replace('\n', "\r\n");
    for (before, after) in [
        (&b"a\r\nb \xff\0\r\nc\r\nd\r\n"[..], &b"e\r\nno end"[..]),
        (b"", b""),
        (b"one\n\n", b"\xfe"),
        (b"no end", b""),
        (b"no end\0", b""),
    ] {
        let ours = if before.contains(&b'\r') { &windows } else { &block };
        let end: &[u8] = if before.is_empty() || before.ends_with(b"\n") { b"" } else { b"\n" };
        fs::write(&hosts, before).expect("written");
        assert_eq!(machine.run().await.code, Some(0));
        let expected = [before, end, ours.as_bytes()].concat();
        assert_eq!(fs::read(&hosts).expect("read"), expected);
        // With something behind it, and another content.
        let old = [before, end, b" #begin privatelink-DNS\t\nold\n# END privatelink-dns\n", after].concat();
        fs::write(&hosts, &old).expect("written");
        assert_eq!(machine.run().await.code, Some(0));
        assert_eq!(fs::read(&hosts).expect("read"), [&expected, after].concat());
    }
    for broken in ["# BEGIN privatelink-dns\nmine\n", "# END privatelink-dns\n", &format!("{block}{block}")] {
        fs::write(&hosts, broken).expect("written");
        let refused = machine.run().await;
        assert!(refused.code == Some(1) && refused.err.contains("changed by hand"), "{refused:?}");
        assert_eq!(fs::read_to_string(&hosts).expect("text"), broken);
    }
    // A power cut left nothing of what was read, and the tag of it.
    let state = machine.state();
    fs::write(&hosts, "127.0.0.1 localhost\n").expect("written");
    fs::write(state.join("block"), "").expect("written");
    assert!(state.join("block.etag").exists());
    assert_eq!(machine.run().await.code, Some(0));
    assert!(is_right(&fs::read_to_string(&hosts).expect("text"), &azure));
    // Somebody writes the file just before it is renamed over; another run waits meanwhile.
    let programs = machine.directory.path().join("programs");
    fs::create_dir(&programs).expect("made");
    let (lock, seen) = (state.join("lock"), programs.join("seen"));
    let program = format!(
        "#!/bin/sh\necho 10.9.9.9 mine >>{}\nflock -n {} true || echo locked >{}\n",
        hosts.display(),
        lock.display(),
        seen.display()
    );
    fs::write(programs.join("sync"), program).expect("written");
    fs::set_permissions(programs.join("sync"), fs::Permissions::from_mode(0o755)).expect("a mode");
    fs::write(&hosts, "127.0.0.1 localhost\n").expect("written");
    let refused = machine.run_in(programs.to_str().expect("text")).await;
    assert!(refused.code == Some(1) && refused.err.contains("by somebody else meanwhile"), "{refused:?}");
    assert_eq!(fs::read_to_string(&hosts).expect("text"), "127.0.0.1 localhost\n10.9.9.9 mine\n");
    assert_eq!(fs::read_to_string(&seen).expect("text"), "locked\n");
    fs::remove_dir_all(&programs).expect("removed");
    // The daemon is away: what it said last stays, also in a file that somebody wrote anew.
    daemon.kill().await;
    fs::write(&hosts, "127.0.0.1 localhost\n").expect("written");
    let away = machine.run().await;
    assert!(away.code == Some(1) && away.err.contains("cannot reach"), "{away:?}");
    assert!(is_right(&fs::read_to_string(&hosts).expect("text"), &azure));
    let left: Vec<_> = fs::read_dir(machine.directory.path()).expect("a directory").collect();
    assert_eq!(left.len(), 2, "{left:?}");
}
