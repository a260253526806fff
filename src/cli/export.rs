//! `export`: the stored or the served generation for other software.

use std::fs;
use std::path::PathBuf;

use super::client::Client;
use super::{CONFIG, Failure, Printed, block_on};
use crate::config::Contact;
use crate::store::Store;
use crate::targets::export::{Format, export, zone_files};
use crate::targets::write_zone_file;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// What to print
    #[arg(value_enum)]
    format: Format,
    /// Ask the running daemon instead of reading its state directory, which takes root
    #[arg(long, conflicts_with_all = ["state", "directory"])]
    daemon: bool,
    /// Read this state directory instead of that of the configuration
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// With bind: write the zone files into this directory, and print the statements for named.conf
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// The configuration file
    #[arg(long, short, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
}

pub(super) fn main(arguments: &Arguments) -> Result<Printed, Failure> {
    if arguments.directory.is_some() && arguments.format != Format::Bind {
        return Err("--directory is for zone files: export bind --directory DIR".into());
    }
    if arguments.daemon {
        return block_on(of_daemon(arguments));
    }
    let state = match &arguments.state {
        Some(directory) => directory.clone(),
        None => Contact::load(&arguments.config)?.state_directory,
    };
    let saved = Store::read(&state)?.ok_or_else(|| {
        format!("{} holds no generation yet; is it the daemon's state directory?", state.display())
    })?;
    if !saved.released {
        return Err("not every application was read completely yet, so names may be missing; see \
                    `privatelink-dns status`"
            .into());
    }
    match &arguments.directory {
        Some(directory) => {
            let directory = fs::canonicalize(directory)
                .map_err(|error| format!("cannot use the directory {}: {error}", directory.display()))?;
            let mut statements = String::new();
            for file in zone_files(&saved.generation) {
                let path = directory.join(&file.name);
                write_zone_file(&path, &file.text)?;
                let (origin, path) = (&file.origin, path.display());
                statements += &format!("zone \"{origin}\" {{ type primary; file \"{path}\"; }};\n");
            }
            Ok(Printed::ok(statements))
        }
        None => Ok(Printed::ok(export(&saved.generation, arguments.format))),
    }
}

async fn of_daemon(arguments: &Arguments) -> Result<Printed, Failure> {
    let path = format!("/api/v1/export/{}", arguments.format.word());
    let (status, body) = Client::new(&arguments.config)?.get(&path).await?;
    if status.is_success() {
        return Ok(Printed::ok(String::from_utf8(body)?));
    }
    let error = serde_json::from_slice::<serde_json::Value>(&body).unwrap_or_default();
    Err(format!("the daemon refused: {}", error["error"].as_str().unwrap_or(status.as_str())).into())
}
