//! What the engine shows to everybody else: one immutable value, replaced after every step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;

use super::book::Report;
use crate::zones::{Difference, Finding, Generation, Hold, ResourceId};

/// The engine's state at one moment.
#[derive(Debug, Clone)]
pub struct View {
    /// When the daemon started.
    pub started: Timestamp,
    /// When the view was made.
    pub at: Timestamp,
    /// The accepted generation.
    pub generation: Option<Arc<Generation>>,
    /// The differences that led to it, oldest first.
    pub history: Arc<VecDeque<Difference>>,
    /// The applications that are polled.
    pub applications: BTreeMap<ResourceId, Report>,
    /// Held removals.
    pub holds: Vec<Hold>,
    /// What a person should know, most important first.
    pub findings: Vec<Finding>,
    /// Every application has been observed at least once.
    pub complete: bool,
    /// Every application was once read completely: others may take the zones over.
    pub released: bool,
    /// Applications without a complete poll for too long.
    pub stale: BTreeSet<ResourceId>,
    /// How the last load of the configuration went.
    pub configuration: Loaded,
    /// When the token in use for Azure ends.
    pub token_expiry: Option<Timestamp>,
}

/// How the last load of the configuration went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Whether the last attempt was accepted.
    pub successful: bool,
    /// When a configuration was last accepted.
    pub at: Timestamp,
}

impl View {
    /// A view before anything has happened.
    #[must_use]
    pub fn empty(now: Timestamp) -> Self {
        Self {
            started: now,
            at: now,
            generation: None,
            history: Arc::default(),
            applications: BTreeMap::new(),
            holds: Vec::new(),
            findings: Vec::new(),
            complete: false,
            released: false,
            stale: BTreeSet::new(),
            configuration: Loaded { successful: true, at: now },
            token_expiry: None,
        }
    }

    /// Whether DNS answers can be given.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.generation.as_ref().is_some_and(|g| g.is_answered())
    }

    /// The endpoints that the application's published names come from.
    #[must_use]
    pub fn endpoints(&self, application: &ResourceId) -> BTreeSet<ResourceId> {
        let share = self.generation.as_ref().and_then(|g| g.shares.get(application));
        share.map(|s| s.endpoints.keys().cloned().collect()).unwrap_or_default()
    }
}
