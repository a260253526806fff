//! What the engine is told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::book::Selection;
use crate::azure::Azure;
use crate::config::Config;
use crate::serve::{Recursion, Transfers};
use crate::zones::{Observation, ResourceId};

/// Everything that makes the engine act.
pub(super) enum Event {
    /// A poll of an application ended, of the poller with this number.
    Polled(u64, ResourceId, Duration, Result<Observation, String>),
    /// A discovery ended, of the poller with this number.
    Discovered(u64, usize, Result<BTreeSet<ResourceId>, String>),
    /// Somebody wants something.
    Command(Command),
}

/// What an operator can ask for.
pub enum Command {
    /// Poll all applications now.
    Poll(oneshot::Sender<usize>),
    /// End the selected holds: their names go.
    Approve(Selection, oneshot::Sender<usize>),
    /// Keep the names of the selected holds.
    Reject(Selection, oneshot::Sender<usize>),
    /// Take a checked configuration, and what was made for it: the ARM client, the resolver, and who may
    /// transfer.
    Reload(Arc<Config>, Arc<Azure>, (Option<Recursion>, Arc<Transfers>), oneshot::Sender<()>),
    /// A configuration was refused; the text says why.
    ReloadRefused(String),
}
