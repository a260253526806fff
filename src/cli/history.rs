//! `history` and `diff`: what has changed, and when.

use super::explain::list;
use super::knowledge::Source;
use super::table::table;
use super::{Failure, Printed};
use crate::admin::History;
use crate::zones::timeline::{self, Between, HistoryEntry, NameChange, ZoneChange};

#[derive(Debug, clap::Args)]
pub(super) struct HistoryArguments {
    /// How many generations, the newest first
    #[arg(long, value_name = "NUMBER", default_value = "20")]
    limit: usize,
    #[command(flatten)]
    source: Source,
}

#[derive(Debug, clap::Args)]
pub(super) struct DiffArguments {
    /// A generation; `history` lists them
    #[arg(value_name = "FROM")]
    from: u64,
    /// Another one, before or after it
    #[arg(value_name = "TO")]
    to: u64,
    #[command(flatten)]
    source: Source,
}

pub(super) fn history(arguments: &HistoryArguments) -> Result<Printed, Failure> {
    let source = &arguments.source;
    let history = if source.offline {
        let (_, saved) = source.read()?;
        History::of(Some(&saved.generation), &saved.history, arguments.limit)
    } else {
        source.ask(&format!("/api/v1/history?limit={}", arguments.limit))?
    };
    source.print(&history, history_text).map(Printed::ok)
}

pub(super) fn diff(arguments: &DiffArguments) -> Result<Printed, Failure> {
    let (source, from, to) = (&arguments.source, arguments.from, arguments.to);
    let between = if source.offline {
        let (_, saved) = source.read()?;
        timeline::between(&saved.history, &saved.generation, from, to)?
    } else {
        source.ask(&format!("/api/v1/diff?from={from}&to={to}"))?
    };
    source.print(&between, diff_text).map(Printed::ok)
}

fn history_text(history: &History) -> String {
    let head = ["GENERATION", "TIME", "ADDED", "CHANGED", "REMOVED", "ZONES", "CAUSE"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(history.entries.iter().map(|entry| {
        let count = |of: fn(&NameChange) -> bool| entry.names.iter().filter(|change| of(change)).count();
        vec![
            entry.number.to_string(),
            entry.created.to_string(),
            count(|change| change.old.is_empty()).to_string(),
            count(|change| !change.old.is_empty() && !change.new.is_empty()).to_string(),
            count(|change| change.new.is_empty()).to_string(),
            zones(entry),
            entry.cause.clone(),
        ]
    }));
    let oldest = history.oldest.filter(|oldest| *oldest > 0);
    let end = oldest.map(|oldest| format!("(the history reaches back to generation {oldest})\n"));
    table(&rows) + &end.unwrap_or_default()
}

/// Each zone with its records that came and went; those of single names together.
fn zones(entry: &HistoryEntry) -> String {
    const NAMED: usize = 6;
    let one = |zone: &ZoneChange| format!("{} +{} -{}", zone.origin, zone.added, zone.removed);
    let named: Vec<String> = entry.zones.iter().take(NAMED).map(one).collect();
    match entry.zones.len().saturating_sub(NAMED) {
        0 => named.join("; "),
        more => format!("{}; {more} more", named.join("; ")),
    }
}

fn diff_text(between: &Between) -> String {
    let mut text = String::new();
    for change in &between.names {
        let (name, old, new) = (&change.name, list(&change.old), list(&change.new));
        text += &match (change.old.is_empty(), change.new.is_empty()) {
            (true, _) => format!("+ {name} {new}\n"),
            (_, true) => format!("- {name} {old}\n"),
            _ => format!("~ {name} {old} -> {new}\n"),
        };
    }
    for zone in &between.zones {
        text += &match (zone.from, zone.to) {
            (None, Some(serial)) => format!("+ zone {} serial {serial}\n", zone.origin),
            (Some(serial), None) => format!("- zone {} serial {serial}\n", zone.origin),
            (from, to) => {
                let serial = |serial: Option<u32>| serial.unwrap_or_default();
                let apex = if zone.apex { ", TTLs or apex" } else { "" };
                let views = if zone.views { ", what some networks see" } else { "" };
                format!("~ zone {} serial {} -> {}{apex}{views}\n", zone.origin, serial(from), serial(to))
            }
        };
    }
    if text.is_empty() { "no difference\n".to_owned() } else { text }
}
