//! `[guard]` and `[publish]`: when removals are believed, and which zones are made.

use std::collections::HashSet;
use std::time::Duration;

use super::reader::{Field, Report, Section, Wrong, shown};
use super::scope::Policies;
use super::{duration, transfer};
use crate::zones::{DnsName, GuardPolicy, NameError, Publication};

const DAY: Duration = Duration::from_secs(86_400);
const WEEK: Duration = Duration::from_secs(7 * 86_400);
const MAX_POLLS: i64 = 1000;

/// When a removal is believed. The limits for bulk removals default to those for single names when
/// these are higher, so that raising one never contradicts a default.
pub(super) fn guard(root: &Section<'_>, report: &mut Report) -> GuardPolicy {
    let guard = root.child("guard", report);
    let default = GuardPolicy::default();
    let removal_polls = guard.number("removal_polls", default.removal_polls, 1..=MAX_POLLS, report);
    let removal_period =
        guard.duration("removal_period", default.removal_period, Duration::ZERO..=WEEK, report);
    let bulk_polls = guard.number("bulk_polls", default.bulk_polls.max(removal_polls), 1..=MAX_POLLS, report);
    let bulk_period =
        guard.duration("bulk_period", default.bulk_period.max(removal_period), Duration::ZERO..=WEEK, report);
    if bulk_polls < removal_polls && !report.is_wrong("guard.removal_polls") {
        let problem = format!("{bulk_polls} is less than removal_polls, {removal_polls}");
        at_least(&guard, "bulk_polls", problem, &removal_polls.to_string(), report);
    }
    if bulk_period < removal_period && !report.is_wrong("guard.removal_period") {
        let period = duration::show(removal_period);
        let problem = format!("{} is less than removal_period, {period}", duration::show(bulk_period));
        at_least(&guard, "bulk_period", problem, &period, report);
    }
    GuardPolicy {
        removal_polls,
        removal_period,
        bulk_names: guard.number("bulk_names", default.bulk_names, 0..=1_000_000, report),
        bulk_percent: guard.number("bulk_percent", default.bulk_percent, 1..=100, report),
        bulk_polls,
        bulk_period,
    }
}

/// Reports a value that is lower than another key allows.
pub(super) fn at_least(section: &Section<'_>, key: &str, problem: String, least: &str, report: &mut Report) {
    if let Some((_, node)) = section.node(key) {
        report.push(&node.place, &section.path(key), Wrong::new(problem, format!("write at least {least}")));
    }
}

/// Which zones are made, and what stands at their apex; nothing when a name in it is unusable.
pub(super) fn publication(
    root: &Section<'_>,
    endpoints: Policies,
    report: &mut Report,
) -> Option<Publication> {
    let publish = root.child("publish", report);
    let privatelink_zones = publish.flag("privatelink_zones", true, report);
    let per_name_zones = publish.flag("per_name_zones", false, report);
    if !privatelink_zones && !per_name_zones && !report.is_wrong("publish.per_name_zones") {
        let wrong = Wrong::new(
            "no form of publication is on, so nothing would be published",
            "write privatelink_zones = true, per_name_zones = true, or both",
        );
        let place = publish.node("privatelink_zones").map_or(&publish.place, |(place, _)| place);
        report.push(place, "publish", wrong);
    }
    let application_name = publish.flag("application_name", false, report);
    let ttl = seconds(&publish, "ttl", report);
    let negative_ttl = seconds(&publish, "negative_ttl", report);
    let name_servers = name_servers(&publish, privatelink_zones, report);
    let (catalog, rpz, serial_at_least) = transfer::zones(root, report);
    let hostmaster = publish.read("hostmaster", HOSTMASTER, report, hostmaster);
    Some(Publication {
        privatelink_zones,
        per_name_zones,
        application_name,
        ttl,
        negative_ttl,
        name_servers: name_servers.or_else(|| Some(vec!["ns.invalid".parse().ok()?]))?,
        hostmaster: hostmaster.or_else(|| "hostmaster.invalid".parse().ok())?,
        endpoints,
        catalog,
        rpz,
        serial_at_least,
    })
}

const NAME_SERVERS: &str = "[\"ns1.example.net\"]";
const HOSTMASTER: &str = "\"hostmaster.example.net\"";

/// A TTL: whole seconds, up to a day.
fn seconds(publish: &Section<'_>, key: &str, report: &mut Report) -> u32 {
    let ttl = publish.duration(key, Duration::from_secs(10), Duration::ZERO..=DAY, report);
    if ttl.subsec_nanos() != 0
        && let Some((_, node)) = publish.node(key)
    {
        let problem = format!("{} has a fraction of a second, which DNS cannot tell", duration::show(ttl));
        let remedy = format!("write whole seconds, such as \"{}s\"", ttl.as_secs() + 1);
        report.push(&node.place, &publish.path(key), Wrong::new(problem, remedy));
    }
    u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX)
}

/// The names for NS records. In a privatelink zone of ours a name server would be denied, as every
/// name in it that Azure does not show.
fn name_servers(publish: &Section<'_>, privatelink_zones: bool, report: &mut Report) -> Option<Vec<DnsName>> {
    let items = publish.list("name_servers", NAME_SERVERS, 13, report, host_name)?;
    let mut seen = HashSet::new();
    for item in &items {
        if privatelink_zones && item.value.as_str().split('.').any(|label| label == "privatelink") {
            let problem = format!("{} lies in a privatelink zone, where it would not exist", item.value);
            let wrong = Wrong::new(problem, "write a name of another zone, one that resolves");
            report.push(&item.place, &publish.path("name_servers"), wrong);
        }
        if !seen.insert(&item.value) {
            let wrong = Wrong::new(format!("{} is listed twice", item.value), "remove one of the two");
            report.push(&item.place, &publish.path("name_servers"), wrong);
        }
    }
    Some(items.into_iter().map(|item| item.value).collect())
}

pub(super) fn host_name(field: &Field<'_>) -> Result<DnsName, Wrong> {
    let text = field.text()?;
    text.parse().map_err(|e: NameError| field.wrong(format!("{} is no host name: {e}", shown(text))))
}

/// The SOA's RNAME: a mail address with its `@` written as a dot (RFC 1035 section 3.3.13).
fn hostmaster(field: &Field<'_>) -> Result<DnsName, Wrong> {
    let text = field.text()?;
    let Some((local, domain)) = text.split_once('@') else { return host_name(field) };
    let problem = format!("{} is a mail address, which DNS writes with a dot in place of the @", shown(text));
    // A dot left of the @ would need an escape that host names do not have.
    let name = format!("{local}.{domain}");
    let possible = name.parse::<DnsName>().is_ok() && !local.contains('.');
    let remedy = if possible { field.write(&format!("\"{name}\"")) } else { field.write(HOSTMASTER) };
    Err(Wrong::new(problem, remedy))
}
