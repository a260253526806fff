//! Knot DNS 3.2: zones by catalog or one by one.

use super::facts::{Facts, PLACEHOLDER};
use crate::config::Notification;
use crate::zones::DnsName;

/// What remote, rules and template are called.
const NAME: &str = "privatelink-dns";

/// The zones.
pub(super) fn text(facts: &Facts) -> String {
    let mut steps = vec![
        "Save it as /etc/knot/privatelink-dns.conf (root:knot, mode 0640), with a line\n\
         include: privatelink-dns.conf at the end of knot.conf. Then: knotc conf-check && knotc reload"
            .to_owned(),
    ];
    steps.extend(facts.secret());
    let zones = match &facts.catalog {
        Some(catalog) => {
            format!(
                "  - domain: {}\n    template: {NAME}\n    catalog-role: interpret\n    catalog-template: {NAME}\n",
                catalog.origin
            )
        }
        None => {
            steps.push(facts.listed(true));
            let zone = |origin: &DnsName| format!("  - domain: {origin}\n    template: {NAME}\n");
            facts.zones.iter().map(zone).collect()
        }
    };
    steps.extend(facts.source("set via of the remote"));
    steps.extend(facts.others());
    steps.push(facts.check_zones());
    let key = facts.key.as_ref().map(|key| {
        format!("key:\n  - id: {}\n    algorithm: {}\n    secret: {PLACEHOLDER}\n", key.name, key.algorithm())
    });
    let signed = facts.key.as_ref().map(|key| format!("    key: {}\n", key.name)).unwrap_or_default();
    // By its key alone where there is one: the address may be another on a host with several.
    let who = match facts.secondary.notification {
        Notification::Signed => signed.clone(),
        Notification::Unsigned | Notification::Off => format!("    address: {}\n", facts.notifier()),
    };
    let (acl, rule) = match facts.secondary.notification {
        Notification::Off => (String::new(), String::new()),
        _ => (format!("acl:\n  - id: {NAME}\n{who}    action: notify\n"), format!("    acl: {NAME}\n")),
    };
    facts.head("#", "Knot DNS 3.2 or later: the zones", &steps)
        + &key.unwrap_or_default()
        + &format!(
            "remote:\n  - id: {NAME}\n    address: {}@{}\n{signed}\
             {acl}\
             template:\n  - id: {NAME}\n    master: {NAME}\n{rule}    \
             # The journal holds all: a restart needs neither the primary nor files.\n    \
             zonefile-sync: -1\n    zonefile-load: none\n    journal-content: all\n\
             zone:\n{zones}",
            facts.primary.ip(),
            facts.primary.port()
        )
}
