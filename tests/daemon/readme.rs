//! The README's configurations, commands and recipes work as they stand.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::reload::free_address;
use crate::support::azure::Azure;
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
    let address = free_address().parse::<std::net::SocketAddr>().expect("an address");
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
