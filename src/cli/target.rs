//! `plan --target`, `apply` and `target`: servers that are written to, for operators.

use std::path::Path;

use super::{ConfigArgument, Failure, Printed, block_on};
use crate::config::Config;
use crate::store::Store;
use crate::targets::{Apply, Planned, Surroundings, ledgers, retire};
use crate::zones::Generation;

/// Something would change.
const CHANGES: u8 = 2;

#[derive(Debug, clap::Args)]
pub(super) struct ApplyArguments {
    /// The target; of type "rfc2136", with dry_run unless the daemon is stopped
    #[arg(long, value_name = "NAME")]
    target: String,
    /// The hash that `plan --target NAME` has printed
    #[arg(long, value_name = "HASH")]
    plan: String,
    #[command(flatten)]
    config: ConfigArgument,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// Remove the records of a target that is configured no more, and its ledger
    ///
    /// What was taken out of the configuration stays at the server. This removes what the ledger knows to
    /// be ours, and nothing else. Run it as the daemon's user or as root.
    Retire {
        /// The name that the target had
        name: String,
        #[command(flatten)]
        config: ConfigArgument,
    },
}

pub(super) fn plan(config: &Path, name: &str, json: bool) -> Result<Printed, Failure> {
    let (config, around, generation) = load(config)?;
    let mut target = Apply::new(&config.targets, name, &around)?;
    let plan = block_on(async { Ok(target.plan(&generation).await?) })?;
    let code = if plan.changes { CHANGES } else { 0 };
    let text =
        if json { serde_json::to_string_pretty(&plan)? + "\n" } else { text(name, &generation, &plan) };
    Ok(Printed { text, code })
}

fn text(name: &str, generation: &Generation, plan: &Planned) -> String {
    let mut text = format!("target {name}, generation {}:\n", generation.number);
    for line in &plan.lines {
        text += &format!("{line}\n");
    }
    if !plan.changes {
        text += "no change\n";
    }
    for zone in &plan.missing {
        text += &format!("? {zone}\n");
    }
    if !plan.unaccounted.is_empty() {
        text += "neither ours nor wanted, left alone:\n";
        for line in &plan.unaccounted {
            text += &format!("  {line}\n");
        }
    }
    text + &format!("plan {}\n", plan.hash)
}

pub(super) fn apply(arguments: &ApplyArguments) -> Result<Printed, Failure> {
    let (config, around, generation) = load(&arguments.config.config)?;
    let mut target = Apply::new(&config.targets, &arguments.target, &around)?;
    let done = block_on(async { Ok(target.apply(&generation, &arguments.plan).await?) })?;
    Ok(Printed::ok(done + "\n"))
}

pub(super) fn main(action: &Action) -> Result<Printed, Failure> {
    let Action::Retire { name, config } = action;
    let config = Config::load(&config.config)?.config;
    let around = Surroundings::new(&config)?;
    let done = block_on(async { Ok(retire(&config.targets, name, &around).await?) });
    match done {
        Ok(done) => Ok(Printed::ok(done + "\n")),
        Err(error) => {
            let known = ledgers(&config.state_directory).unwrap_or_default();
            let known: Vec<String> = known.into_iter().filter(|known| known != name).collect();
            let hint =
                if known.is_empty() { String::new() } else { format!(" (ledgers: {})", known.join(", ")) };
            Err(format!("{error}{hint}").into())
        }
    }
}

/// The configuration, what targets need, and the generation that the daemon last accepted.
fn load(file: &Path) -> Result<(Config, Surroundings, Generation), Failure> {
    let config = Config::load(file)?.config;
    let around = Surroundings::new(&config)?;
    let directory = &config.state_directory;
    let saved = Store::read(directory)?.ok_or_else(|| {
        format!("{} holds no generation yet; start the daemon, or run this as its user", directory.display())
    })?;
    if !saved.released {
        return Err("not every application was read completely yet, so names may be missing; see \
                    `privatelink-dns status`"
            .into());
    }
    let generation = saved.generation.as_ref().clone();
    Ok((config, around, generation))
}
