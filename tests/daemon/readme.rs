//! The configurations, commands and recipes of the README and of docs/ work as they stand.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use privatelink_dns::azure::Operation;
use tokio::process::Command;

use crate::docs::{pages, read};
use crate::support::azure::{Azure, public};
use crate::support::daemon::Daemon;
use crate::support::eventually;
use crate::support::home::{BINARY, Home, said};

pub(crate) const README: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));

/// The fenced blocks of a page with their language, and the text without them.
pub(crate) fn blocks(page: &str) -> (Vec<(String, String)>, String) {
    let (mut blocks, mut prose) = (Vec::new(), String::new());
    for (number, part) in page.split("```").enumerate() {
        match part.split_once('\n') {
            Some((language, text)) if number % 2 == 1 => blocks.push((language.to_owned(), text.to_owned())),
            _ => prose.push_str(part),
        }
    }
    (blocks, prose)
}

/// The spans of code in the prose.
pub(crate) fn spans(prose: &str) -> Vec<String> {
    prose
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|span| span.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[tokio::test]
async fn every_configuration_is_right() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("config.toml");
    let blocks: Vec<_> = pages().iter().flat_map(|page| blocks(&read(page)).0).collect();
    let texts: Vec<&String> =
        blocks.iter().filter(|(language, _)| language == "toml").map(|(_, text)| text).collect();
    assert!(texts.len() >= 3);
    let keys = directory.path().join("keys.conf");
    for name in ["ns1-key", "ns2-key"] {
        let mut command = Command::new(BINARY);
        command.args(["tsig", "generate", name]);
        let key = said(command).await.out;
        fs::write(&keys, fs::read_to_string(&keys).unwrap_or_default() + &key).expect("written");
    }
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o640)).expect("a mode");
    let whole = texts.iter().find(|text| text.contains("version = 1")).expect("a whole configuration");
    for text in &texts {
        // A part stands in a whole configuration.
        let text = if text.contains("version = 1") { (*text).clone() } else { format!("{whole}\n{text}") };
        let text =
            text.replace("SUBSCRIPTION", "11111111-2222-3333-4444-555555555555").replace("GROUP", "rg");
        let text = text.replace("/etc/privatelink-dns/keys.conf", &keys.display().to_string());
        fs::write(&file, &text).expect("written");
        let mut command = Command::new(BINARY);
        command.arg("check-config").arg(&file);
        let check = said(command).await;
        assert_eq!(check.code, Some(0), "{}\n{text}", check.err);
    }
}

#[tokio::test]
async fn every_command_exists() {
    let help = async |arguments: &[&str]| {
        let mut command = Command::new(BINARY);
        command.args(arguments).arg("--help");
        said(command).await.out
    };
    let top = help(&[]).await;
    let mut helps = BTreeMap::<String, String>::new();
    let (blocks, prose): (Vec<_>, Vec<_>) = pages().iter().map(|page| blocks(&read(page))).unzip();
    let (blocks, prose) = (blocks.concat(), prose.concat());
    let lines = blocks.iter().filter(|(language, _)| language == "sh").flat_map(|(_, text)| text.lines());
    let lines = lines.map(|line| line.split('#').next().unwrap_or_default().to_owned()).chain(spans(&prose));
    let mut commands = 0;
    for line in lines {
        let line = line.replace("cargo run --release --", "privatelink-dns");
        for call in line.split("privatelink-dns ").skip(1) {
            let call = call.split(['|', '>', '&', ';', ')']).next().unwrap_or_default();
            let mut words = call.split_whitespace();
            let Some(subcommand) = words.next().filter(|w| w.starts_with(|c: char| c.is_ascii_lowercase()))
            else {
                continue;
            };
            assert!(top.contains(&format!("\n  {subcommand} ")), "{subcommand} in {line:?}");
            if !helps.contains_key(subcommand) {
                helps.insert(subcommand.to_owned(), help(&[subcommand]).await);
            }
            for flag in words.map(|word| word.trim_matches(['[', ']'])).filter(|w| w.starts_with("--")) {
                assert!(helps[subcommand].contains(flag), "{subcommand} {flag} in {line:?}");
            }
            commands += 1;
        }
    }
    assert!(commands >= 15, "{commands} commands");
    assert!(helps.len() >= 8, "{:?}", helps.keys());
}

/// A place where the README's scripts run: its own paths, the daemon's command as installed, and
/// commands that only write down that they were called.
struct Host {
    directory: tempfile::TempDir,
}

impl Host {
    fn new(home: &Home, daemon: &Daemon) -> Self {
        let host = Self { directory: tempfile::tempdir().expect("a directory") };
        for directory in ["bin", "etc/bind", "etc/systemd/resolved.conf.d", "run"] {
            fs::create_dir_all(host.path(directory)).expect("a directory");
        }
        for called in ["rndc", "systemctl"] {
            host.command(called, &format!("echo {called} \"$@\" >>{}", host.path("called").display()));
        }
        let config = home.config();
        host.command(
            "privatelink-dns",
            &format!(
                "PRIVATELINK_DNS__ADMIN__LISTEN={} exec {BINARY} \"$@\" --config {}",
                daemon.admin,
                config.display()
            ),
        );
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, name: &str, text: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
    }

    /// Runs the README's script that has this text; gives its exit code.
    async fn run(&self, text: &str) -> Option<i32> {
        let (blocks, _) = blocks(README);
        let script = blocks.into_iter().find(|(language, block)| language == "sh" && block.contains(text));
        let root = self.directory.path().display();
        let script = script.expect("a script").1.replace("/etc/", &format!("{root}/etc/"));
        let script = script.replace("/run/", &format!("{root}/run/"));
        let mut shell = Command::new("sh");
        let path = std::env::var("PATH").unwrap_or_default();
        shell.args(["-c", &script]);
        shell.env("PATH", format!("{root}/bin:{path}:/usr/local/sbin:/usr/sbin:/sbin"));
        said(shell).await.code
    }

    /// The commands that were called so far.
    fn called(&self) -> String {
        fs::read_to_string(self.path("called")).unwrap_or_default()
    }
}

#[tokio::test]
async fn the_scripts_follow_the_names() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    home.settings.publish = "per_name_zones = true\nprivatelink_zones = false";
    let daemon = home.start().await;
    let zones = async |count: usize| {
        eventually("zones", async || {
            let zones = daemon.status().await.zones.len();
            if zones == count { Ok(()) } else { Err(format!("{zones} zones")) }
        })
        .await;
    };
    zones(5).await;
    for (script, file, call) in [
        ("rndc reconfig", "etc/bind/privatelink-names.conf", "rndc reconfig\n"),
        (
            "restart systemd-resolved",
            "etc/systemd/resolved.conf.d/privatelink.conf",
            "systemctl restart systemd-resolved\n",
        ),
    ] {
        let host = Host::new(&home, &daemon);
        let hub = public(&azure.hub());
        // Twice: what is the same is not loaded again.
        for _ in 0..2 {
            assert_eq!(host.run(script).await, Some(0));
            let list = fs::read_to_string(host.path(file)).expect("a list");
            assert!(list.contains(&hub), "no {hub} in {list}");
            assert_eq!(list.matches("azure-devices.net").count(), 2, "{list}");
            assert_eq!(host.called(), call);
        }
        // A daemon that says nothing changes nothing.
        host.command("privatelink-dns", "echo '{\"zones\":[]}'");
        assert_ne!(host.run(script).await, Some(0));
        assert!(fs::read_to_string(host.path(file)).expect("a list").contains(&hub));
        assert_eq!(host.called(), call);
    }
}

#[test]
fn the_role_allows_what_is_read_and_no_more() {
    let role = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/azure/role.json"));
    let role: serde_json::Value = serde_json::from_str(role).expect("JSON");
    // What the commands of check-config --online assign.
    assert_eq!(role["Name"], "IoT Central private DNS reader");
    let allowed = role["Actions"].as_array().expect("actions").iter();
    let allowed: BTreeSet<_> = allowed.map(|action| action.as_str().expect("text")).collect();
    let needed: BTreeSet<_> = Operation::ALL.into_iter().map(Operation::action).collect();
    assert_eq!(allowed, needed);
}
