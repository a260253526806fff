//! What goes into the book and what comes out of it: reports, steps, selections.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::zones::{Change, DnsName, Finding, Hold, ResourceId};

/// How the polls of one application went.
#[derive(Debug, Clone)]
pub struct Report {
    /// Since when the application is followed.
    pub since: Timestamp,
    /// Complete polls since the start.
    pub succeeded: u64,
    /// Failed polls since the start.
    pub failed: u64,
    /// Failed polls since the last complete one.
    pub consecutive_failures: u32,
    /// Complete polls in a row in which the application did not exist.
    pub not_found: u32,
    /// When the last complete poll ended; after a restart, what the state file knew of it.
    pub last_success: Option<Timestamp>,
    /// When the last poll ended.
    pub last_attempt: Option<Timestamp>,
    /// What the last poll found; a failed poll adds its error to the findings before it.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The report of an application that is followed from now on.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self {
            since: now,
            succeeded: 0,
            failed: 0,
            consecutive_failures: 0,
            not_found: 0,
            last_success: None,
            last_attempt: None,
            findings: Vec::new(),
        }
    }
}

/// What an entry in the book changed.
#[derive(Debug, Default)]
pub struct Step {
    /// Names that changed, for the log.
    pub changes: Vec<Change>,
    /// A new generation was accepted.
    pub generation: bool,
    /// What has to survive a restart changed.
    pub dirty: bool,
}

/// Which holds an operator means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All of them.
    All,
    /// Those of one application.
    Application(ResourceId),
    /// Those of some names.
    Names(BTreeSet<DnsName>),
}

impl Selection {
    /// Whether the hold is meant.
    #[must_use]
    pub fn contains(&self, hold: &Hold) -> bool {
        match self {
            Self::All => true,
            Self::Application(application) => hold.application == *application,
            Self::Names(names) => names.contains(&hold.name),
        }
    }
}
