//! What the daemon knows, from its API or from its state directory.

use serde::de::DeserializeOwned;

use super::client::Client;
use super::{ConfigArgument, Failure, block_on};
use crate::config::Contact;
use crate::store::{Saved, Store};

/// Where an answer comes from and how it is printed.
#[derive(Debug, clap::Args)]
pub(super) struct Source {
    /// Read the state directory instead of asking the running daemon; takes root
    #[arg(long)]
    pub(super) offline: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigArgument,
}

impl Source {
    /// Asks the daemon for `path`.
    pub(super) fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        block_on(async { Client::optional(&self.config.config)?.ask(path).await })
    }

    /// Where the daemon is, and what it has stored.
    pub(super) fn read(&self) -> Result<(Contact, Saved), Failure> {
        let contact = Contact::load(&self.config.config)?;
        let directory = contact.state_directory.display();
        let saved = Store::read(&contact.state_directory)?.ok_or_else(|| {
            format!("{directory} holds no generation yet; is it the daemon's state directory?")
        })?;
        Ok((contact, saved))
    }

    /// The answer as JSON, or as `text` says it.
    pub(super) fn print<T: serde::Serialize>(
        &self,
        answer: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<String, Failure> {
        Ok(if self.json { serde_json::to_string_pretty(answer)? + "\n" } else { text(answer) })
    }
}
