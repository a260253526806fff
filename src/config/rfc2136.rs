//! `[[target]]` of type "rfc2136": servers that stay primary and take updates.

use std::net::SocketAddr;
use std::time::Duration;

use super::reader::{Field, Report, Section, Wrong};
use super::transfer::{KEY_FILES, host};
use super::types::{Rfc2136, ServerMode};
use super::zones::host_name;

const SERVERS: &str = "[\"10.0.0.53\"]";
const ZONES: &str = "[\"privatelink.azure-devices.net\"]";

/// Each is asked and written to.
const MAX_SERVERS: usize = 16;

/// As many as there could be of one application.
const MAX_ZONES: usize = 1024;

/// The keys of this type alone.
pub(super) const KEYS: &[&str] = &[
    "servers",
    "mode",
    "transport",
    "key",
    "zones",
    "on_conflict",
    "check_interval",
    "find_primary",
    "refresh",
];

const MODES: [(&str, ServerMode); 2] = [("failover", ServerMode::Failover), ("all", ServerMode::All)];

/// `keyless`: there is no file with keys.
pub(super) fn read(section: &Section<'_>, keyless: bool, report: &mut Report) -> Option<Rfc2136> {
    if section.node("servers").is_none() {
        section.require("servers", SERVERS, "", report, |_| Ok(()));
    }
    let items = section.list("servers", SERVERS, MAX_SERVERS, report, host).unwrap_or_default();
    let mut servers = Vec::<SocketAddr>::new();
    for item in items {
        if servers.contains(&item.value) {
            let wrong = Wrong::new(format!("{} is in the list already", item.value), "remove one of the two");
            report.push(&item.place, &section.path("servers"), wrong);
        }
        servers.push(item.value);
    }
    let key = section.read("key", "\"update-key\"", report, host_name);
    if let Some((place, _)) = section.node("key")
        && keyless
    {
        let wrong = Wrong::new(
            "names a TSIG key, and there is no file with keys",
            format!("write key_files = {KEY_FILES} into [transfer]"),
        );
        report.push(place, &section.path("key"), wrong);
    }
    let zones = section.list("zones", ZONES, MAX_ZONES, report, |field: &Field<'_>| host_name(field));
    let mode = section.choice("mode", &MODES, report);
    let udp = section.choice("transport", &[("tcp", false), ("udp", true)], report);
    let take_over = section.choice("on_conflict", &[("report", false), ("take-over", true)], report);
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let check_interval =
        section.duration("check_interval", minutes(5), Duration::from_secs(10)..=minutes(24 * 60), report);
    let find_primary = section.flag("find_primary", false, report);
    let refresh = section
        .node("refresh")
        .is_some()
        .then(|| section.duration("refresh", minutes(24 * 60), minutes(60)..=minutes(30 * 24 * 60), report));
    if servers.is_empty() {
        return None;
    }
    Some(Rfc2136 {
        servers,
        mode: mode?,
        udp: udp?,
        key,
        zones: zones.unwrap_or_default().into_iter().map(|item| item.value).collect(),
        take_over: take_over?,
        check_interval,
        find_primary,
        refresh,
    })
}
