//! What a person should know of a secondary.

use std::time::Duration;

use super::state::SecondarySummary;
use super::task::Watched;
use super::zone::{Moment, Zone};
use crate::config::Notification;
use crate::serve::apex;
use crate::zones::{DnsName, Finding, FindingKind};

/// Zones that are named; more are counted.
const NAMED: usize = 5;

impl Watched {
    /// The findings when `limit` is the longest time that something may be missing.
    pub(super) fn findings(&self, limit: Duration, now: Moment) -> Vec<Finding> {
        let summary = self.summary(now);
        // Who is not notified comes when its refresh timer says so.
        let limit = match self.peer.settings.notification {
            Notification::Off => limit.max(2 * apex::REFRESH),
            Notification::Signed | Notification::Unsigned => limit,
        };
        let overdue = |since: Option<Moment>| since.filter(|since| since.age(now.at) > limit);
        let (lagging, refusing) = self.look(|state| {
            let zones = || state.schedule.zones().iter();
            let behind = zones().filter(|(_, zone)| state.schedule.is_behind(zone));
            let refusing = zones().filter(|(_, zone)| zone.is_current());
            let refusal = |zone: &Zone| zone.notify.problem.as_ref().map(|(_, text)| text.clone());
            (
                Late::of(behind.filter_map(|(origin, zone)| Some((overdue(zone.since)?, origin, None)))),
                Late::of(refusing.filter_map(|(o, zone)| Some((overdue(zone.refused)?, o, refusal(zone))))),
            )
        });
        let name = &summary.name;
        let lagging = lagging
            .map(|late| Finding::global(FindingKind::SecondaryLagging, name, self.lagging(&late, &summary)));
        let refusing = refusing.map(|late| {
            let message = format!(
                "Since {} the secondary at {} refuses NOTIFY of {}, and takes changes over only when it asks by itself. \
                 {} Allow NOTIFY from this daemon there, or set notify = \"off\".",
                late.since,
                summary.address,
                late.zones,
                late.text.map(|text| format!("It answers {text}.")).unwrap_or_default(),
            );
            Finding::global(FindingKind::NotifyRefused, name, message)
        });
        lagging.into_iter().chain(refusing).collect()
    }

    fn lagging(&self, late: &Late, summary: &SecondarySummary) -> String {
        let last = |what: &str, time: Option<jiff::Timestamp>| match time {
            Some(time) => format!("It last {what} at {time}."),
            None => format!("It never {what}."),
        };
        let acknowledged = match self.peer.settings.notification {
            Notification::Off => String::new(),
            Notification::Signed | Notification::Unsigned => {
                format!("{} ", last("acknowledged a NOTIFY", summary.acknowledged))
            }
        };
        let error = summary.error.as_ref();
        let error = error.map(|(time, text)| format!(" Last error, at {time}: {text}.")).unwrap_or_default();
        format!(
            "The secondary at {} lacks changes of {} since {}; whoever asks it gets old answers. {acknowledged}{}{error} \
             Check that it runs, that it has these zones with this daemon as their primary, that it can reach this \
             daemon over TCP, and that key and clock are the same on both.",
            summary.address,
            late.zones,
            late.since,
            last("asked for a transfer", summary.asked),
        )
    }
}

/// Zones that are late, the oldest first.
struct Late {
    since: jiff::Timestamp,
    zones: String,
    text: Option<String>,
}

impl Late {
    fn of<'a>(zones: impl Iterator<Item = (Moment, &'a DnsName, Option<String>)>) -> Option<Self> {
        let mut zones: Vec<_> = zones.collect();
        zones.sort_by_key(|(since, ..)| since.at);
        let (since, _, text) = zones.first()?;
        let names: Vec<&str> = zones.iter().take(NAMED).map(|(_, origin, _)| origin.as_str()).collect();
        let more = match zones.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more zones"),
        };
        Some(Self { since: since.time, zones: format!("{}{more}", names.join(", ")), text: text.clone() })
    }
}
