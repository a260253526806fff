//! What is told of targets: to status, metrics and findings.

use jiff::Timestamp;

use super::writer::Notes;
use crate::config::{Target, TargetKind};
use crate::zones::{Finding, FindingKind};

/// A target at one moment.
#[derive(Debug, Clone)]
pub struct TargetState {
    /// Its name.
    pub name: String,
    /// The word for its type.
    pub kind: &'static str,
    /// Where it is.
    pub place: String,
    /// It is told what would be written, and nothing is written.
    pub dry_run: bool,
    /// The generation that it holds.
    pub applied: Option<u64>,
    /// There is a generation that it does not hold yet; never with `dry_run`.
    pub pending: bool,
    /// Its address records or lines, as last seen.
    pub records: usize,
    /// When it was last seen or made to be right; with `dry_run`, when it was last looked at.
    pub last_success: Option<Timestamp>,
    /// What would be written, with `dry_run`.
    pub planned: Option<String>,
    /// What went wrong last, unless it went well since.
    pub error: Option<(Timestamp, String)>,
    /// What else was noticed.
    pub(super) notes: Notes,
}

impl TargetState {
    pub(super) fn new(target: &Target) -> Self {
        let (kind, place) = match &target.kind {
            TargetKind::Hosts { path, .. } => ("hosts", path.display().to_string()),
            TargetKind::ZoneFiles { directory, .. } => ("zone-file", directory.display().to_string()),
            TargetKind::RpzFile { path, .. } => ("rpz-file", path.display().to_string()),
            TargetKind::Rfc2136(settings) => {
                let servers: Vec<String> = settings.servers.iter().map(ToString::to_string).collect();
                ("rfc2136", servers.join(", "))
            }
        };
        Self {
            name: target.name.clone(),
            kind,
            place,
            dry_run: target.dry_run,
            applied: None,
            pending: false,
            records: 0,
            last_success: None,
            planned: None,
            error: None,
            notes: Notes::default(),
        }
    }

    /// Names that somebody else has there.
    #[must_use]
    pub const fn conflicts(&self) -> usize {
        self.notes.conflicts
    }

    /// What a person should know.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let noted = self.notes.findings.iter();
        let noted = noted.map(|(kind, message)| Finding::global(*kind, &self.name, message.clone()));
        self.failing().into_iter().chain(noted).collect()
    }

    fn failing(&self) -> Option<Finding> {
        let (at, error) = self.error.as_ref()?;
        let holds = match self.applied {
            Some(number) => format!("it may hold generation {number} still"),
            None => "it was not written since the daemon started".to_owned(),
        };
        let message = format!(
            "Cannot bring {} up to date since {at}; {holds}. {error}. It is tried again at least every minute.",
            self.place
        );
        Some(Finding::global(FindingKind::TargetFailing, &self.name, message))
    }
}
