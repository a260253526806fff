//! NSD 4.6: zones one by one. Catalog zones came with NSD 4.9.

use super::facts::{Facts, PLACEHOLDER};
use crate::config::Notification;
use crate::zones::DnsName;

/// The zones.
pub(super) fn text(facts: &Facts) -> String {
    let mut steps = vec![
        "Save it as /etc/nsd/nsd.conf.d/privatelink-dns.conf (root:nsd, mode 0640).\n\
         Then: nsd-checkconf /etc/nsd/nsd.conf && nsd-control reconfig"
            .to_owned(),
    ];
    steps.extend(facts.secret());
    steps.push(facts.listed(false));
    steps.extend(facts.source("set outgoing-interface of the pattern"));
    steps.extend(facts.others());
    steps.push(facts.check_zones());
    let key = facts.key.as_ref().map(|key| {
        format!(
            "key:\n    name: \"{}\"\n    algorithm: {}\n    secret: \"{PLACEHOLDER}\"\n",
            key.name,
            key.algorithm()
        )
    });
    let signed = facts.key.as_ref().map_or("NOKEY", |key| key.name.as_str());
    let ip = facts.primary.ip();
    let notify = match facts.secondary.notification {
        Notification::Signed => format!("    allow-notify: {} {signed}\n", facts.notifier()),
        Notification::Unsigned => format!("    allow-notify: {} NOKEY\n", facts.notifier()),
        Notification::Off => String::new(),
    };
    let zone = |origin: &DnsName| {
        format!("zone:\n    name: \"{origin}\"\n    include-pattern: \"privatelink-dns\"\n")
    };
    facts.head("#", "NSD 4.6 or later: the zones", &steps)
        + "server:\n    # One change after the other is shown at once; a second apart is the default.\n    \
           xfrd-reload-timeout: 0\n"
        + &key.unwrap_or_default()
        + &format!(
            "pattern:\n    name: \"privatelink-dns\"\n    zonefile: \"%s.zone\"\n    \
             request-xfr: {ip}@{} {signed}\n{notify}",
            facts.primary.port()
        )
        + &facts.zones.iter().map(zone).collect::<String>()
}
