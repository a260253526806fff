//! Log lines: one for each changed name, and one when a finding comes or goes.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::Ipv4Addr;

use crate::zones::{Change, Finding, FindingKind, ResourceId, Severity};

/// Logs each change with zone, name, old, new, cause, endpoint and generation.
pub(super) fn log_changes(changes: &[Change], generation: u64) {
    for change in changes {
        let action = match (change.old.is_empty(), change.new.is_empty()) {
            (true, _) => "added",
            (_, true) => "removed",
            _ => "changed",
        };
        tracing::info!(
            zone = %change.zone,
            name = %change.name,
            old = %list(&change.old),
            new = %list(&change.new),
            cause = %change.cause,
            endpoint = %change.endpoint,
            generation,
            "record {action}",
        );
    }
}

fn list<'a>(addresses: impl IntoIterator<Item = &'a Ipv4Addr>) -> String {
    let mut text = String::new();
    for address in addresses {
        let separator = if text.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}{address}");
    }
    text
}

type Key = (FindingKind, Option<ResourceId>, String);

/// Remembers which findings have been logged.
#[derive(Default)]
pub(super) struct FindingLog(BTreeMap<Key, Finding>);

impl FindingLog {
    /// Logs what is new and what is over. A changed message alone, such as a new correlation id,
    /// is logged at debug level only.
    pub(super) fn update(&mut self, findings: &[Finding]) {
        let current: BTreeMap<Key, Finding> = findings
            .iter()
            .map(|f| ((f.kind, f.application.clone(), f.subject.clone()), f.clone()))
            .collect();
        for (key, finding) in &current {
            let (code, subject, message) = (finding.kind.code(), &finding.subject, &finding.message);
            match (self.0.get(key), finding.kind.severity()) {
                (Some(before), _) if before == finding => {}
                (Some(_), _) => tracing::debug!(finding = code, %subject, "{message}"),
                (None, Severity::Error) => tracing::error!(finding = code, %subject, "{message}"),
                (None, Severity::Warning) => tracing::warn!(finding = code, %subject, "{message}"),
                (None, Severity::Info) => tracing::info!(finding = code, %subject, "{message}"),
            }
        }
        for (key, finding) in &self.0 {
            if !current.contains_key(key) {
                tracing::info!(finding = finding.kind.code(), subject = %finding.subject, "finding is over");
            }
        }
        self.0 = current;
    }
}
