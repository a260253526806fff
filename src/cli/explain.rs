//! `explain`: where a name's record comes from and where it stands, or why it is nowhere.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use jiff::Timestamp;

use super::knowledge::Source;
use super::table::table;
use super::{Failure, Printed};
use crate::admin::explain::{AtTarget, Explanation, Known};
use crate::admin::status::age;
use crate::targets::ledger_entries;
use crate::zones::Form;

/// No zone has the name.
const ABSENT: u8 = 2;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A public name, a privatelink name, or the first label of one of them
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    source: Source,
}

pub(super) fn main(arguments: &Arguments) -> Result<Printed, Failure> {
    let explanation = if arguments.source.offline { stored(arguments)? } else { asked(arguments)? };
    let text = arguments.source.print(&explanation, |explanation| text(explanation, Timestamp::now()))?;
    Ok(Printed { text, code: if explanation.published { 0 } else { ABSENT } })
}

fn asked(arguments: &Arguments) -> Result<Explanation, Failure> {
    // What else a path could hold is no letter of a name; the daemon says so of the rest.
    let odd = |c: char| !(c.is_ascii_alphanumeric() || "-_.*".contains(c));
    if arguments.name.is_empty() || arguments.name.contains(odd) {
        return Err(format!("{:?} is no host name", arguments.name).into());
    }
    arguments.source.ask(&format!("/api/v1/explain/{}", arguments.name))
}

fn stored(arguments: &Arguments) -> Result<Explanation, Failure> {
    let (contact, saved) = arguments.source.read()?;
    let known = Known {
        generation: Some(&saved.generation),
        history: &saved.history,
        holds: &saved.rejections,
        findings: &[],
        secondaries: &[],
        targets: &[],
        live: false,
    };
    let subject = known.subject(&arguments.name)?;
    let ledger = ledger_entries(&contact.state_directory, &subject.names())?;
    Ok(known.explain(&subject, ledger))
}

fn text(explanation: &Explanation, now: Timestamp) -> String {
    let name = explanation.name.as_ref().map_or(explanation.asked.as_str(), |name| name.as_str());
    let state = if explanation.published { "published" } else { "not published" };
    let of = if explanation.live { "" } else { ", as it was stored last" };
    let mut text = format!("{name}: {state}{of}\n");
    for reason in &explanation.absent {
        text += &format!("{}: {}\n", reason.code, reason.text);
    }
    for provenance in &explanation.records {
        let record = &provenance.record;
        let aside = if provenance.counts { "" } else { " (another endpoint comes before it)" };
        let lines = [
            ("addresses", Some(format!("{}{aside}", list(&record.addresses)))),
            ("application", Some(record.application.to_string())),
            ("endpoint", Some(format!("{} (policy {})", record.endpoint, provenance.policy))),
            ("interface", record.interface.as_ref().map(ToString::to_string)),
            ("member", record.member.clone()),
            ("source", Some(source(record.source).to_owned())),
            ("since", Some(format!("{} ({} ago)", record.since, age(record.since, now)))),
        ];
        text.push('\n');
        for (key, value) in lines {
            text += &value.map(|value| format!("{key:11} {value}\n")).unwrap_or_default();
        }
    }
    text += &section(&["ZONE", "FORM", "SERIAL", "NAME", "ADDRESSES"], &explanation.zones, |zone| {
        let views = zone.views.iter().map(|(prefix, addresses)| format!("; {prefix}: {}", list(addresses)));
        let addresses = list(&zone.addresses) + &views.collect::<String>();
        let serial = zone.serial.to_string();
        vec![zone.origin.to_string(), form(zone.form).to_owned(), serial, zone.owner.to_string(), addresses]
    });
    text += &section(&["GENERATION", "TIME", "CHANGE", "CAUSE"], &explanation.changes, |change| {
        let what = format!("{} -> {}", list(&change.old), list(&change.new));
        vec![change.generation.to_string(), change.at.to_string(), what, change.cause.clone()]
    });
    if let Some(oldest) = explanation.history_from.filter(|oldest| *oldest > 0) {
        text += &format!("(the history reaches back to generation {oldest})\n");
    }
    text += &section(&["HELD REMOVAL AT", "SINCE", "REASON"], &explanation.holds, |hold| {
        let reason = if hold.rejected { format!("{} (rejected)", hold.reason) } else { hold.reason.clone() };
        vec![hold.endpoint.name().to_owned(), format!("{} ago", age(hold.since, now)), reason]
    });
    text += &section(&["TARGET", "TYPE", "GENERATION", "STATE"], &explanation.targets, |target| {
        let generation = target.generation.map_or_else(|| "-".to_owned(), |number| number.to_string());
        vec![target.name.clone(), target.kind.clone().unwrap_or_default(), generation, target_state(target)]
    });
    let ledger: Vec<_> = explanation.targets.iter().flat_map(|target| &target.ledger).collect();
    text += &section(&["LEDGER OF", "SERVER", "NAME", "ADDRESS", "STATE", "AT"], &ledger, |entry| {
        let state = format!("{}, {}", entry.origin, entry.state);
        let (owner, address) = (entry.owner.to_string(), entry.address.to_string());
        vec![entry.target.clone(), entry.server.clone(), owner, address, state, entry.at.to_string()]
    });
    let zones: Vec<_> =
        explanation.secondaries.iter().flat_map(|at| at.zones.iter().map(move |zone| (at, zone))).collect();
    text += &section(&["SECONDARY", "ZONE", "HERE", "THERE", "STATE"], &zones, |(at, zone)| {
        let there = if zone.current { Some(zone.serial) } else { zone.seen.or(zone.transferred) };
        let there = there.map_or_else(|| "?".to_owned(), |serial| serial.to_string());
        let state = if zone.current { "current" } else { "behind" };
        vec![at.name.clone(), zone.origin.to_string(), zone.serial.to_string(), there, state.to_owned()]
    });
    if !explanation.findings.is_empty() {
        text += "\nFINDINGS\n";
        for finding in &explanation.findings {
            text += &format!("{}: {}\n    {}\n", finding.kind.code(), finding.subject, finding.message);
        }
    }
    text
}

fn target_state(target: &AtTarget) -> String {
    match (&target.error, target.current) {
        (Some(error), _) => format!("failing: {}", error.message),
        (None, Some(true)) => "has its last change".to_owned(),
        (None, Some(false)) => "lacks its last change".to_owned(),
        (None, None) => "not known".to_owned(),
    }
}

const fn form(form: Form) -> &'static str {
    match form {
        Form::Privatelink => "privatelink",
        Form::PerName => "per-name",
        Form::Catalog => "catalog",
        Form::Rpz => "rpz",
    }
}

const fn source(source: crate::zones::Source) -> &'static str {
    match source {
        crate::zones::Source::Interface => "the network interface",
        crate::zones::Source::CustomDns => "the endpoint's customDnsConfigs",
        crate::zones::Source::ZoneGroup => "the endpoint's zone group",
    }
}

/// A table, if there is anything to show in it.
fn section<T>(head: &[&str], items: &[T], row: impl Fn(&T) -> Vec<String>) -> String {
    if items.is_empty() {
        return String::new();
    }
    let mut rows = vec![head.iter().map(|&cell| cell.to_owned()).collect()];
    rows.extend(items.iter().map(row));
    format!("\n{}", table(&rows))
}

/// Addresses in a row.
pub(super) fn list(addresses: &BTreeSet<Ipv4Addr>) -> String {
    if addresses.is_empty() {
        return "nothing".to_owned();
    }
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
