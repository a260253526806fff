//! `check-config`: all errors of a file at once, and with `--online` all that Azure refuses.

mod online;
mod report;

use std::path::PathBuf;
use std::sync::Arc;

use super::{CONFIG, Failure, Printed, block_on};
use crate::config::{Config, Loaded};
use crate::serve::Transfers;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The file to check
    #[arg(default_value = CONFIG)]
    file: PathBuf,
    /// Make every read that the daemon needs, with the credential of the file, and name the actions that
    /// the role lacks
    #[arg(long)]
    online: bool,
    /// Print what --online found as JSON
    #[arg(long, requires = "online")]
    json: bool,
}

pub(super) fn main(arguments: &Arguments) -> Result<Printed, Failure> {
    let Loaded { config, credential, .. } = Config::load(&arguments.file)?;
    if let Some(faults) = credential {
        return Err(faults.into());
    }
    Transfers::new(&config.transfer, Arc::default())?;
    let counted = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let discoveries = match config.discoveries.len() {
        1 => "1 discovery".to_owned(),
        n => format!("{n} discoveries"),
    };
    let offline = format!(
        "{}: ok: {}, {discoveries}, {}\n",
        arguments.file.display(),
        counted(config.applications.len(), "application"),
        counted(config.dns.listen.len(), "DNS listener"),
    );
    if !arguments.online {
        return Ok(Printed::ok(offline));
    }
    let report = block_on(async { Ok(online::check(&config).await?) })?;
    let code = report.result.code();
    let text =
        if arguments.json { serde_json::to_string_pretty(&report)? + "\n" } else { offline + &report.text() };
    Ok(Printed { text, code })
}
