//! `[[target]]` of type "rfc2136": servers that stay primary and take updates.

use std::net::SocketAddr;
use std::time::Duration;

use super::credential;
use super::reader::{Field, Report, Section, Wrong};
use super::transfer::{KEY_FILES, host};
use super::types::{Kerberos, KerberosIdentity, Rfc2136, ServerMode};
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
    "keytab",
    "ccache",
    "password_file",
    "principal",
    "service",
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
    let kerberos = kerberos(section, report);
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
        kerberos,
        zones: zones.unwrap_or_default().into_iter().map(|item| item.value).collect(),
        take_over: take_over?,
        check_interval,
        find_primary,
        refresh,
    })
}

/// Where a Kerberos identity may come from, and whether it needs the name of an account.
const IDENTITIES: [(&str, bool); 3] = [("keytab", true), ("ccache", false), ("password_file", true)];

/// The Kerberos account, one at most and not beside a TSIG key.
fn kerberos(section: &Section<'_>, report: &mut Report) -> Option<Kerberos> {
    let directory = report.credentials_directory.clone();
    let mut signs = section.node("key").map(|_| "key");
    let mut found = None;
    for (key, needs_account) in IDENTITIES {
        let Some((place, _)) = section.node(key) else { continue };
        if let Some(other) = signs.replace(key) {
            let wrong = Wrong::new(
                format!("names the identity a second time, beside {other}"),
                "keep one of the two",
            );
            report.push(place, &section.path(key), wrong);
        }
        let path = section.read(key, format!("\"/etc/privatelink-dns/{key}\""), report, |field| {
            credential::path(field, directory.as_deref())
        });
        found = Some((key, needs_account, path));
    }
    let account = found.as_ref().is_some_and(|(_, needs_account, _)| *needs_account);
    for (key, used) in [("principal", account), ("service", found.is_some())] {
        if let Some((place, _)) = section.node(key)
            && !used
        {
            let with = if key == "principal" {
                "keytab or password_file"
            } else {
                "keytab, ccache or password_file"
            };
            let wrong = Wrong::new(
                "belongs to a Kerberos account, and there is none",
                format!("remove it, or set {with}"),
            );
            report.push(place, &section.path(key), wrong);
        }
    }
    let principal = match account {
        true => section.require("principal", PRINCIPAL, "", report, principal),
        false => None,
    };
    let service = section.read("service", "\"dc1.example.com\"", report, host_name);
    let (key, _, path) = found?;
    let identity = match key {
        "keytab" => KerberosIdentity::Keytab { path: path?, principal: principal? },
        "ccache" => KerberosIdentity::Ccache(path?),
        _ => KerberosIdentity::Password { file: path?, principal: principal? },
    };
    Some(Kerberos { identity, service })
}

const PRINCIPAL: &str = "\"privatelink-dns@EXAMPLE.COM\"";

fn principal(field: &Field<'_>) -> Result<String, Wrong> {
    let text = field.text()?;
    let is_whole = text.split_once('@').is_some_and(|(name, realm)| !name.is_empty() && !realm.is_empty());
    if is_whole && text.chars().all(|c| c.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(field.wrong("is no account with its realm"))
}
