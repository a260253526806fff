//! The README's configurations, commands and recipes work as they stand.

use std::collections::BTreeMap;
use std::fs;

use tokio::process::Command;

use crate::support::home::{BINARY, said};

pub(crate) const README: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));

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
