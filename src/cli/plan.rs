//! `plan`: what one poll would change, without changing it.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::{ConfigArgument, Failure, Printed, block_on, target};
use crate::azure::Azure;
use crate::config::Config;
use crate::store::Store;
use crate::sync::Book;
use crate::zones::{Change, Finding, Hold, ResourceId};

/// Something would change.
const CHANGES: u8 = 2;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Tell what would change at this target, of type "rfc2136", from the generation that the daemon last
    /// accepted; Azure is not asked
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgument,
}

/// What would change.
#[derive(Debug, Serialize)]
struct Plan {
    generation: Option<u64>,
    changes: Vec<PlannedChange>,
    held: Vec<Hold>,
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct PlannedChange {
    action: &'static str,
    zone: String,
    name: String,
    endpoint: ResourceId,
    old: Vec<String>,
    new: Vec<String>,
    cause: String,
}

pub(super) fn main(arguments: &Arguments) -> Result<Printed, Failure> {
    if let Some(name) = &arguments.target {
        return target::plan(&arguments.config.config, name, arguments.json);
    }
    let plan = block_on(plan(arguments))?;
    let code = if plan.changes.is_empty() && plan.held.is_empty() { 0 } else { CHANGES };
    let text = if arguments.json { serde_json::to_string_pretty(&plan)? + "\n" } else { plan.text() };
    Ok(Printed { text, code })
}

async fn plan(arguments: &Arguments) -> Result<Plan, Failure> {
    let config = Arc::new(Config::load(&arguments.config.config)?.config);
    let azure = Azure::new(&config.azure, Arc::new(()))?;
    let saved = Store::read(&config.state_directory)?;
    let generation = saved.as_ref().map(|s| s.generation.number);
    let mut book = Book::open(saved, config.clone(), Timestamp::now());
    let mut changes = book.configure(config.clone(), Timestamp::now()).changes;
    for (index, discovery) in config.discoveries.iter().enumerate() {
        book.discovered(index, azure.discover(discovery).await?, Timestamp::now());
    }
    for id in book.wanted() {
        let known: BTreeSet<ResourceId> = book
            .generation()
            .and_then(|g| g.shares.get(&id))
            .map(|share| share.endpoints.keys().cloned().collect())
            .unwrap_or_default();
        let observation = azure.poll(&id, &known).await?;
        changes.extend(book.observe(observation, Timestamp::now()).changes);
    }
    let now = Timestamp::now();
    Ok(Plan {
        generation,
        changes: changes.into_iter().map(PlannedChange::from).collect(),
        held: book.holds(),
        findings: book.findings(now),
    })
}

impl From<Change> for PlannedChange {
    fn from(change: Change) -> Self {
        let list =
            |addresses: &BTreeSet<std::net::Ipv4Addr>| addresses.iter().map(ToString::to_string).collect();
        Self {
            action: match (change.old.is_empty(), change.new.is_empty()) {
                (true, _) => "add",
                (_, true) => "remove",
                _ => "change",
            },
            zone: change.zone.to_string(),
            name: change.name.to_string(),
            endpoint: change.endpoint.clone(),
            old: list(&change.old),
            new: list(&change.new),
            cause: change.cause,
        }
    }
}

impl Plan {
    fn text(&self) -> String {
        let mut text = match self.generation {
            Some(number) => format!("against stored generation {number}:\n"),
            None => "nothing is stored yet:\n".to_owned(),
        };
        for change in &self.changes {
            let sign = match change.action {
                "add" => '+',
                "remove" => '-',
                _ => '~',
            };
            let (old, new) = (change.old.join(","), change.new.join(","));
            let arrow = if old.is_empty() || new.is_empty() { "" } else { " -> " };
            text += &format!(
                "{sign} {} {old}{arrow}{new} ({}: {})\n",
                change.name,
                change.endpoint.name(),
                change.cause
            );
        }
        for hold in &self.held {
            text += &format!("! {} would be held: {}\n", hold.name, hold.absence);
        }
        if self.changes.is_empty() && self.held.is_empty() {
            text += "no change\n";
        }
        for finding in &self.findings {
            text += &format!("{}: {}: {}\n", finding.kind.code(), finding.subject, finding.message);
        }
        text
    }
}
