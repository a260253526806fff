//! `[state]` and `[log]`: what the daemon leaves behind.

use std::path::PathBuf;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::reader::{Field, Report, Section, Wrong, shown};
use super::schema::nearest;
use super::types::Log;

const DIRECTORY: &str = "/var/lib/privatelink-dns";
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

pub(super) fn state_directory(root: &Section<'_>, report: &mut Report) -> PathBuf {
    let state = root.child("state", report);
    let directory = state.read("directory", format!("\"{DIRECTORY}\""), report, |field| {
        let text = field.text()?;
        if text.starts_with('/') && !text.contains('\0') {
            return Ok(PathBuf::from(text));
        }
        Err(field.wrong(format!("{} is no absolute path", shown(text))))
    });
    directory.unwrap_or_else(|| PathBuf::from(DIRECTORY))
}

pub(super) fn log(root: &Section<'_>, report: &mut Report) -> Log {
    let log = root.child("log", report);
    Log {
        json: log.choice("format", &[("text", false), ("json", true)], report).unwrap_or(false),
        filter: log.read("level", "\"info\"", report, filter).unwrap_or_else(|| "info".to_owned()),
    }
}

/// A level, or directives of `tracing`'s filter.
fn filter(field: &Field<'_>) -> Result<String, Wrong> {
    let text = field.text()?;
    // The filter takes a lone word that is no level for the name of a module, and so hides typing
    // errors. Words inside the brackets of a span are left to it.
    let lone = |part: &&str| !part.contains('=') && LevelFilter::from_str(part).is_err();
    if !text.contains('[')
        && let Some(word) = text.split(',').map(str::trim).find(lone)
    {
        let remedy = match nearest(&word.to_ascii_lowercase(), &LEVELS) {
            Some(near) => field.write(&format!("\"{}\"", text.replacen(word, near, 1))),
            None => format!("write one of {}, or MODULE=LEVEL for a single module", LEVELS.join(", ")),
        };
        return Err(Wrong::new(format!("{} is no level", shown(word)), remedy));
    }
    // The filter would wait for such a module for ever.
    let module = |part: &str| part.split_once('=').map(|(module, _)| module.trim().to_owned());
    if !text.contains('[')
        && let Some(module) = text.split(',').filter_map(module).find(|module| module.contains('-'))
    {
        let remedy = field.write(&format!("\"{}\"", text.replacen(&module, &module.replace('-', "_"), 1)));
        return Err(Wrong::new(format!("{} is no module: these have no dashes", shown(&module)), remedy));
    }
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => {
            let remedy = field.write("\"info,privatelink_dns::azure=debug\"");
            Err(Wrong::new(format!("{} is no filter: {error}", shown(text)), remedy))
        }
    }
}
