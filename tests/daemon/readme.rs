//! The README's configurations, commands and recipes work as they stand.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use privatelink_dns::azure::Operation;
use tokio::process::{Child, Command};

use crate::reload::free_address;
use crate::support::azure::{Azure, public};
use crate::support::daemon::Daemon;
use crate::support::dns::dig;
use crate::support::home::{BINARY, Home, said};
use crate::support::{eventually, program};

const README: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));

/// The fenced blocks with their language, and the text without them.
fn blocks() -> (Vec<(String, String)>, String) {
    let (mut blocks, mut prose) = (Vec::new(), String::new());
    for (number, part) in README.split("```").enumerate() {
        match part.split_once('\n') {
            Some((language, text)) if number % 2 == 1 => blocks.push((language.to_owned(), text.to_owned())),
            _ => prose.push_str(part),
        }
    }
    (blocks, prose)
}

/// The spans of code in the prose.
fn spans(prose: &str) -> Vec<String> {
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
    let (blocks, _) = blocks();
    let texts: Vec<&String> =
        blocks.iter().filter(|(language, _)| language == "toml").map(|(_, text)| text).collect();
    assert!(texts.len() >= 3);
    let whole = texts.iter().find(|text| text.contains("version = 1")).expect("a whole configuration");
    for text in &texts {
        // A part stands in a whole configuration.
        let text = if text.contains("version = 1") { (*text).clone() } else { format!("{whole}\n{text}") };
        let text =
            text.replace("SUBSCRIPTION", "11111111-2222-3333-4444-555555555555").replace("GROUP", "rg");
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
    let (blocks, prose) = blocks();
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

/// The BIND recipe with forward zones, for a daemon at another port.
fn forward_zones(port: u16) -> String {
    let (blocks, _) = blocks();
    let recipe = blocks.into_iter().find(|(_, text)| text.contains("type forward")).expect("a recipe").1;
    assert_eq!(recipe.matches("port 5300").count(), 4);
    recipe.replace("port 5300", &format!("port {port}"))
}

#[tokio::test]
async fn bind_accepts_every_snippet() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_, prose) = blocks();
    let mut snippets = vec![forward_zones(5300)];
    for span in spans(&prose) {
        if span.starts_with("zone \"") {
            snippets.push(span);
        } else if span.starts_with("validate-except") {
            snippets.push(format!("options {{ {} }};", span.replace(" …", "")));
        }
    }
    assert_eq!(snippets.len(), 3);
    for snippet in snippets {
        let file = directory.path().join("named.conf");
        fs::write(&file, &snippet).expect("written");
        let mut check = Command::new(program("named-checkconf"));
        check.arg(&file);
        let check = said(check).await;
        assert_eq!((check.code, check.out.as_str()), (Some(0), ""), "{snippet}");
    }
}

/// BIND with this configuration, run from a copy beside it: Debian's AppArmor profile, which belongs
/// to a path, forbids the installed one these directories.
async fn named(configuration: &Path) -> Child {
    let copy = configuration.with_file_name("named");
    // By a process of its own: a program that some process may still write to cannot be run.
    let mut cp = Command::new("cp");
    cp.arg(program("named")).arg(&copy);
    assert_eq!(said(cp).await.code, Some(0));
    let mut named = Command::new(copy);
    named.args(["-g", "-c"]).arg(configuration).stdin(Stdio::null()).stdout(Stdio::null());
    named.stderr(Stdio::null()).kill_on_drop(true).spawn().expect("named starts")
}

#[tokio::test]
async fn bind_resolves_through_the_daemon() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let directory = tempfile::tempdir().expect("a directory");
    let (file, path) = (directory.path().join("named.conf"), directory.path().display().to_string());
    let address = free_address().parse::<SocketAddr>().expect("an address");
    let zones = forward_zones(daemon.dns().port());
    let text = format!(
        "options {{ directory \"{path}\"; listen-on port {} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n\
         pid-file none; session-keyfile \"{path}/session.key\"; recursion yes; dnssec-validation no; }};\n\
         controls {{ }};\n{zones}",
        address.port()
    );
    fs::write(&file, text).expect("written");
    let _named = named(&file).await;
    for (name, addresses) in azure.names() {
        let expected: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        eventually("BIND's answer", async || {
            let answer = dig(address, &name, "A").await;
            if answer.data() == expected { Ok(()) } else { Err(format!("{name}: {answer:?}")) }
        })
        .await;
    }
    // A new hub needs no change in BIND.
    let hub = azure.scale_out();
    daemon.shows(&azure).await;
    eventually("BIND's answer for the new hub", async || {
        let answer = dig(address, &hub, "A").await;
        if answer.answers.len() == 1 { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
    assert_eq!(dig(address, "none.privatelink.azure-devices.net", "A").await.status, "NXDOMAIN");
}

#[tokio::test]
async fn bind_resolves_through_a_static_stub() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    home.settings.listen = vec!["127.0.0.2:0".to_owned()];
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let directory = tempfile::tempdir().expect("a directory");
    let (file, path) = (directory.path().join("named.conf"), directory.path().display().to_string());
    let address = free_address().parse::<SocketAddr>().expect("an address");
    let (_, prose) = blocks();
    let zone = spans(&prose).into_iter().find(|span| span.contains("static-stub;")).expect("a recipe");
    // `port` is the port to which BIND sends, for tests. The recipe switches the forwarders off.
    let text = format!(
        "options {{ directory \"{path}\"; port {}; listen-on port {} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n\
         pid-file none; session-keyfile \"{path}/session.key\"; recursion yes; dnssec-validation no;\n\
         forward only; forwarders {{ 127.0.0.3; }}; }};\ncontrols {{ }};\n{zone}",
        daemon.dns().port(),
        address.port()
    );
    fs::write(&file, text).expect("written");
    let _named = named(&file).await;
    eventually("BIND's answer", async || {
        let answer = dig(address, &azure.hub(), "A").await;
        if answer.data() == ["10.1.0.5"] { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
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
        let (blocks, _) = blocks();
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
    let (blocks, _) = blocks();
    let role = blocks.into_iter().find(|(language, _)| language == "json").expect("the role").1;
    let role: serde_json::Value = serde_json::from_str(&role).expect("JSON");
    let allowed = role["Actions"].as_array().expect("actions").iter();
    let allowed: BTreeSet<_> = allowed.map(|action| action.as_str().expect("text")).collect();
    let needed: BTreeSet<_> = Operation::ALL.into_iter().map(Operation::action).collect();
    assert_eq!(allowed, needed);
}
