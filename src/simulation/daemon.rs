//! The daemon in the simulation: its book, its disk, and what it serves.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::event::APPLICATIONS;
use crate::config::Config;
use crate::store::Saved;
use crate::sync::tests::build;
use crate::sync::{Book, Step};
use crate::zones::{Generation, ResourceId};

/// Complete polls that prove a removal, and one of everything, with the configuration of the tests.
pub(super) const REMOVAL_POLLS: usize = 3;
pub(super) const BULK_POLLS: usize = 5;

/// A state file on a disk.
#[derive(Default)]
pub(super) struct Disk {
    content: Option<Vec<u8>>,
    pub(super) full: bool,
    /// The next write is cut by a crash, before its rename or after it.
    pub(super) crash: Option<bool>,
}

pub(super) struct Daemon {
    pub(super) book: Book,
    config: Arc<Config>,
    pub(super) disk: Disk,
    unsaved: bool,
    /// The generation that clients see.
    pub(super) served: Option<Arc<Generation>>,
    /// The generation that is on the disk.
    pub(super) durable: Option<Arc<Generation>>,
}

/// The daemon died in the middle of a write.
pub(super) struct Crashed;

/// The configuration that names these applications (bits).
pub(super) fn config(applications: &[ResourceId], named: u8, per_name: bool) -> Arc<Config> {
    let named = (0..APPLICATIONS).filter(|index| named & 1 << index != 0);
    let listed: String = named.map(|index| build::listed(&applications[usize::from(index)])).collect();
    build::config(&format!("{listed}[publish]\nper_name_zones = {per_name}\n"))
}

impl Daemon {
    pub(super) fn start(config: Arc<Config>, now: Timestamp) -> Self {
        let mut daemon = Self {
            book: Book::open(None, config.clone(), now),
            config: config.clone(),
            disk: Disk::default(),
            unsaved: false,
            served: None,
            durable: None,
        };
        let step = daemon.book.configure(config, now);
        // Nothing is saved before anything was read.
        let _ = daemon.take(&step);
        daemon
    }

    /// Starts again with what is on the disk. Says whether it could be read.
    pub(super) fn restart(&mut self, now: Timestamp) -> Result<(), String> {
        self.disk.crash = None;
        let saved = self.disk.content.as_deref().map(Saved::from_bytes).transpose();
        let saved = saved.map_err(|error| format!("the state cannot be read: {error}"))?;
        let found = saved.as_ref().map(|saved| saved.generation.clone());
        if found != self.durable {
            return Err("the state is not what was saved last".to_owned());
        }
        self.book = Book::open(saved, self.config.clone(), now);
        self.unsaved = false;
        let step = self.book.configure(self.config.clone(), now);
        self.served = None;
        let _ = self.take(&step);
        Ok(())
    }

    pub(super) fn lose_state(&mut self, now: Timestamp) -> Result<(), String> {
        (self.disk.content, self.durable) = (None, None);
        self.restart(now)
    }

    pub(super) fn reload(&mut self, config: Arc<Config>, now: Timestamp) -> Result<(), Crashed> {
        self.config = config.clone();
        let step = self.book.configure(config, now);
        self.take(&step)
    }

    /// As the engine does: saves first, and serves also what could not be saved.
    pub(super) fn take(&mut self, step: &Step) -> Result<(), Crashed> {
        self.unsaved |= step.dirty;
        if self.unsaved
            && let Some(saved) = self.book.saved()
        {
            let mut content = Vec::new();
            saved.write(&mut content).expect("memory takes it");
            match self.disk.crash.take() {
                Some(renamed) => {
                    if renamed {
                        (self.disk.content, self.durable) = (Some(content), Some(saved.generation));
                    }
                    return Err(Crashed);
                }
                None if self.disk.full => {}
                None => {
                    (self.disk.content, self.durable) = (Some(content), Some(saved.generation));
                    self.unsaved = false;
                }
            }
        }
        self.served = self.book.generation().cloned();
        Ok(())
    }

    /// The endpoints that an application's names come from.
    pub(super) fn endpoints(&self, application: &ResourceId) -> BTreeSet<ResourceId> {
        let share = self.served.as_ref().and_then(|generation| generation.shares.get(application));
        share.map(|share| share.endpoints.keys().cloned().collect()).unwrap_or_default()
    }
}
