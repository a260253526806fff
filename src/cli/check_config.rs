//! `check-config`: all errors of a file at once.

use std::path::Path;
use std::sync::Arc;

use super::{Failure, Printed};
use crate::config::{Config, Loaded};
use crate::serve::Transfers;

pub(super) fn main(file: &Path) -> Result<Printed, Failure> {
    let Loaded { config, credential, .. } = Config::load(file)?;
    if let Some(faults) = credential {
        return Err(faults.into());
    }
    Transfers::new(&config.transfer, Arc::default())?;
    let counted = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let discoveries = match config.discoveries.len() {
        1 => "1 discovery".to_owned(),
        n => format!("{n} discoveries"),
    };
    Ok(Printed::ok(format!(
        "{}: ok: {}, {discoveries}, {}\n",
        file.display(),
        counted(config.applications.len(), "application"),
        counted(config.dns.listen.len(), "DNS listener"),
    )))
}
