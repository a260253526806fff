//! Unbound 1.17: the zones as auth-zones, or the response policy zone. It knows no TSIG.

use super::error::RecipeError;
use super::facts::Facts;
use crate::config::Notification;
use crate::zones::DnsName;

const SERVER: &str = "Unbound";

/// Where Unbound may write on Debian and Ubuntu.
const DIRECTORY: &str = "/var/lib/unbound";

/// The zones.
pub(super) fn auth_zone(facts: &Facts) -> Result<String, RecipeError> {
    facts.fits_without_tsig(SERVER)?;
    let mut steps = steps(facts, "privatelink-dns.conf");
    steps.push(facts.listed(false));
    steps.extend(facts.others());
    if facts.privatelink_zones {
        steps.push(
            "Where this Unbound asks another resolver (forward-zone), it takes the chain of a public name from\n\
             there as a whole, past the privatelink zones, and devices get public addresses: then take\n\
             unbound-rpz, or per_name_zones in [publish]."
                .to_owned(),
        );
    }
    steps.push(facts.check_zones());
    let insecure: String =
        facts.zones.iter().map(|origin| format!("    domain-insecure: \"{origin}\"\n")).collect();
    let zones = facts.zones.iter().map(|origin| {
        format!(
            "auth-zone:\n{}    fallback-enabled: no\n    for-downstream: yes\n    for-upstream: yes\n",
            zone(facts, origin)
        )
    });
    Ok(facts.head("#", "Unbound 1.17 or later: the zones", &steps)
        + &server(facts)
        + "    # The zones are not signed.\n"
        + &insecure
        + &zones.collect::<String>())
}

/// The response policy zone.
pub(super) fn rpz(facts: &Facts) -> Result<String, RecipeError> {
    let rpz = facts.rpz()?;
    facts.fits_without_tsig(SERVER)?;
    let mut steps = steps(facts, "privatelink-dns-rpz.conf");
    steps.push(
        "Put this policy zone before others: the first that knows a name decides. Names that are not in\n\
         the zone are left alone. A module-config that is set elsewhere has to begin with respip too."
            .to_owned(),
    );
    steps.push(facts.check_rpz());
    Ok(facts.head("#", "Unbound 1.17 or later: the response policy zone", &steps)
        + &server(facts)
        + "    module-config: \"respip validator iterator\"\nrpz:\n"
        + &zone(facts, rpz))
}

fn steps(facts: &Facts, file: &str) -> Vec<String> {
    let place = format!(
        "Save it as /etc/unbound/unbound.conf.d/{file}.\n\
         Then: unbound-checkconf && systemctl restart unbound"
    );
    [place]
        .into_iter()
        .chain(facts.source(
            "it has to be the one that leads to the primary; outgoing-interface is not used for transfers",
        ))
        .collect()
}

fn server(facts: &Facts) -> String {
    let ip = facts.primary.ip();
    let mut text = "server:\n".to_owned();
    if ip.is_loopback() {
        text += "    # The daemon is on this host.\n    do-not-query-localhost: no\n";
    }
    if facts.secondary.notification != Notification::Off {
        let ip = facts.notifier();
        let length = if ip.is_ipv4() { 32 } else { 128 };
        text += &format!(
            "    # It takes NOTIFY only from who may ask.\n    access-control: {ip}/{length} allow\n"
        );
    }
    text
}

/// Name, origin and file of a zone.
fn zone(facts: &Facts, origin: &DnsName) -> String {
    let ip = facts.primary.ip();
    let notify = match facts.secondary.notification {
        Notification::Off => String::new(),
        _ => format!("    allow-notify: {}\n", facts.notifier()),
    };
    format!(
        "    name: \"{origin}\"\n    primary: {ip}@{}\n{notify}    zonefile: \"{DIRECTORY}/{origin}.zone\"\n",
        facts.primary.port()
    )
}
