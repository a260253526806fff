//! `[[target]]`: what is kept in step by writing to it.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::credential::absolute;
use super::reader::{Field, Report, Section, Wrong};
use super::rfc2136;
use super::scope::tables;
use super::transfer::{self, RPZ, origin};
use super::tree::Value;
use super::types::{Target, TargetKind, TargetReload};
use crate::zones::DnsName;

const NAME: &str = "\"hosts\"";
const HOSTS: &str = "\"/etc/hosts\"";
const DIRECTORY: &str = "\"/etc/bind/privatelink\"";
const RPZ_FILE: &str = "\"/etc/bind/privatelink/rpz.zone\"";
const RELOAD: &str = "[\"rndc\", \"reload\"]";

/// Each target costs a task.
const MAX_TARGETS: usize = 64;

/// More words than any reload takes.
const MAX_WORDS: usize = 32;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Hosts,
    ZoneFiles,
    RpzFile,
    Rfc2136,
}

const KINDS: [(&str, Kind); 4] = [
    ("hosts", Kind::Hosts),
    ("zone-file", Kind::ZoneFiles),
    ("rpz-file", Kind::RpzFile),
    ("rfc2136", Kind::Rfc2136),
];

impl Kind {
    /// The keys that it uses beside `name`, `type` and `dry_run`.
    const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Hosts => &["path", "in_place"],
            Self::ZoneFiles => &["directory", "reload", "reload_timeout"],
            Self::RpzFile => &["path", "origin", "reload", "reload_timeout"],
            Self::Rfc2136 => rfc2136::KEYS,
        }
    }

    fn word(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| *word)
    }
}

/// Every key of some files alone; servers have their own.
const KEYS: [&str; 6] = ["path", "in_place", "directory", "origin", "reload", "reload_timeout"];

/// The targets.
pub(super) fn read(root: &Section<'_>, report: &mut Report) -> Vec<Target> {
    let mut targets = Vec::<Target>::new();
    let (mut names, mut places) = (HashSet::new(), HashMap::<PathBuf, String>::new());
    for node in tables(root, "target", MAX_TARGETS, report) {
        let Value::Table(table) = &node.value else { continue };
        let section = Section::of("target".to_owned(), &node.place, table);
        let Some(target) = target(root, &section, report) else { continue };
        if !names.insert(target.name.clone()) {
            let wrong = Wrong::new(
                format!("{:?} is the name of another target", target.name),
                "give each target a name of its own",
            );
            report.push(&section.place, "target.name", wrong);
        }
        let (key, path) = match &target.kind {
            TargetKind::Hosts { path, .. } | TargetKind::RpzFile { path, .. } => ("path", path),
            TargetKind::ZoneFiles { directory, .. } => ("directory", directory),
            // Several may write other zones of the same server.
            TargetKind::Rfc2136(_) => {
                targets.push(target);
                continue;
            }
        };
        if let Some(other) = places.insert(path.clone(), target.name.clone())
            && let Some((place, _)) = section.node(key)
        {
            let wrong = Wrong::new(
                format!("the target {other:?} writes there already"),
                "give each target a place of its own, or remove one of the two",
            );
            report.push(place, &section.path(key), wrong);
        }
        targets.push(target);
    }
    targets
}

/// The policy zone that a target needs.
pub(super) fn policy_zone(targets: &[Target]) -> Option<DnsName> {
    targets.iter().find_map(|target| match &target.kind {
        TargetKind::RpzFile { origin, .. } => Some(origin.clone()),
        _ => None,
    })
}

fn target(root: &Section<'_>, section: &Section<'_>, report: &mut Report) -> Option<Target> {
    let name = section.require("name", NAME, "", report, transfer::name);
    let dry_run = section.flag("dry_run", false, report);
    if section.node("type").is_none() {
        let words: Vec<&str> = KINDS.iter().map(|(word, _)| *word).collect();
        let reason = format!(" (one of {})", words.join(", "));
        section.require("type", "\"hosts\"", &reason, report, |_| Ok(()));
        return None;
    }
    let kind = section.choice("type", &KINDS, report)?;
    report_unused(section, kind, report);
    let kind = match kind {
        Kind::Hosts => {
            let path = section.require("path", HOSTS, "", report, file);
            let in_place = section.flag("in_place", false, report);
            path.map(|path| TargetKind::Hosts { path, in_place })
        }
        Kind::ZoneFiles => {
            let directory = section.require("directory", DIRECTORY, "", report, place);
            let reload = reload(section, report);
            directory.map(|directory| TargetKind::ZoneFiles { directory, reload })
        }
        Kind::Rfc2136 => {
            let keyless = !matches!(root.node("transfer"), Some((_, node)) if has_key_files(&node.value));
            rfc2136::read(section, keyless, report).map(TargetKind::Rfc2136)
        }
        Kind::RpzFile => {
            let path = section.require("path", RPZ_FILE, "", report, file);
            let origin = section.require("origin", RPZ, "", report, |field| one_policy_zone(field, root));
            let reload = reload(section, report);
            path.zip(origin).map(|(path, origin)| TargetKind::RpzFile { path, origin, reload })
        }
    };
    Some(Target { name: name?, dry_run, kind: kind? })
}

fn has_key_files(transfer: &Value) -> bool {
    matches!(transfer, Value::Table(table) if table.contains_key("key_files"))
}

/// There is one policy zone, whoever asks for it: it has one serial.
fn one_policy_zone(field: &Field<'_>, root: &Section<'_>) -> Result<DnsName, Wrong> {
    let name = origin(field)?;
    let text = |node: Option<&Value>| match node {
        Some(Value::Text(text) | Value::Untyped(text)) => text.parse::<DnsName>().ok(),
        _ => None,
    };
    let value = |table: &Value, key: &str| match table {
        Value::Table(table) => text(table.get(key).map(|entry| &entry.node.value)),
        _ => None,
    };
    let of_transfer = root.node("transfer").and_then(|(_, node)| value(&node.value, "rpz"));
    let of_targets = match root.node("target").map(|(_, node)| &node.value) {
        Some(Value::List(items)) => items.iter().find_map(|item| value(&item.value, "origin")),
        _ => None,
    };
    match of_transfer.or(of_targets) {
        Some(other) if other != name => Err(Wrong::new(
            format!("{name} is not the policy zone that is configured already: there is one only"),
            field.write(&format!("\"{other}\"")),
        )),
        _ => Ok(name),
    }
}

fn report_unused(section: &Section<'_>, kind: Kind, report: &mut Report) {
    for key in KEYS.iter().chain(rfc2136::KEYS).copied() {
        if let Some((place, _)) = section.node(key)
            && !kind.keys().contains(&key)
        {
            let takers: Vec<&str> =
                KINDS.iter().filter(|(_, k)| k.keys().contains(&key)).map(|(word, _)| *word).collect();
            let wrong = Wrong::new(
                format!("is not used with type = \"{}\"", kind.word()),
                format!("remove it, or choose a type that uses it: {}", takers.join(", ")),
            );
            report.push(place, &section.path(key), wrong);
        }
    }
    if let Some((place, _)) = section.node("reload_timeout")
        && section.node("reload").is_none()
        && kind.keys().contains(&"reload")
    {
        let wrong = Wrong::new(
            "is the limit of a command, and there is none",
            format!("remove it, or write reload = {RELOAD}"),
        );
        report.push(place, &section.path("reload_timeout"), wrong);
    }
}

fn reload(section: &Section<'_>, report: &mut Report) -> Option<TargetReload> {
    let timeout = section.duration(
        "reload_timeout",
        Duration::from_secs(10),
        Duration::from_secs(1)..=Duration::from_secs(300),
        report,
    );
    let words = section.list("reload", RELOAD, MAX_WORDS, report, |field| {
        let word = field.text()?;
        if word.contains('\0') { Err(field.wrong("has a NUL character")) } else { Ok(word.to_owned()) }
    })?;
    let command: Vec<String> = words.into_iter().map(|word| word.value).collect();
    // Items that were refused have been reported.
    (!command.is_empty()).then_some(TargetReload { command, timeout })
}

/// An absolute path that names something in a directory.
fn file(field: &Field<'_>) -> Result<PathBuf, Wrong> {
    let path = place(field)?;
    if path.file_name().is_some() { Ok(path) } else { Err(field.wrong("is no path of a file")) }
}

fn place(field: &Field<'_>) -> Result<PathBuf, Wrong> {
    let path = absolute(field, field.text()?)?;
    // The same place in the same words, so that two targets are seen to have it: no trailing slash, no `..`.
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(field.wrong("has `..` in it"));
    }
    Ok(Path::new(&path).components().collect())
}
