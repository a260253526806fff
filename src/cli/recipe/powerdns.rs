//! PowerDNS Authoritative Server 4.7: zones by catalog or one by one, as a script.

use super::error::RecipeError;
use super::facts::{Facts, PLACEHOLDER};
use crate::config::Notification;
use crate::zones::DnsName;

/// The zones.
pub(super) fn text(facts: &Facts) -> Result<String, RecipeError> {
    let mut steps = vec![
        "A script for its host, with any backend that writes (SQLite, MySQL, PostgreSQL, LMDB). Save it,\n\
         read it, and run it as root with sh."
            .to_owned(),
    ];
    steps.extend(facts.secret());
    let mut commands = String::new();
    if let Some(key) = &facts.key {
        commands += &format!("pdnsutil import-tsig-key {} {} {PLACEHOLDER}\n", key.name, key.algorithm());
    }
    match &facts.catalog {
        Some(catalog) => {
            let lacks = "fetches the members of a catalog without a key, because they do not inherit that \
                         of the catalog";
            facts.may_transfer_by_address("PowerDNS", lacks)?;
            commands += &zone(facts, &catalog.origin.to_string(), "");
            commands += &format!("pdnsutil set-kind {} consumer\n", catalog.origin);
        }
        None => {
            steps.push(facts.listed(true));
            let names: Vec<&str> = facts.zones.iter().map(DnsName::as_str).collect();
            commands += &format!("for zone in {}; do\n", names.join(" "));
            commands += &zone(facts, "\"$zone\"", "    ");
            commands += "done\n";
        }
    }
    steps.extend(facts.source("set query-local-address"));
    if facts.secondary.notification == Notification::Unsigned {
        steps.push("NOTIFY comes unsigned: leave allow-unsigned-notify at its default, yes.".to_owned());
    }
    // Seen with 4.7.3 and gsqlite3-dnssec=yes, Debian's default: what IXFR adds has auth = 0.
    steps.push(
        "Whole zones are transferred. Leave the metadata IXFR alone: PowerDNS gives no answer for names that\n\
         it has from changes alone, until the zone is rectified."
            .to_owned(),
    );
    steps.extend(facts.others());
    steps.push(facts.check_zones());
    // It takes NOTIFY from the primary of a zone, and from this address.
    let proxy = if facts.notifier() == facts.primary.ip() {
        String::new()
    } else {
        format!("trusted-notification-proxy={}\n", facts.notifier())
    };
    Ok(facts.head("#", "PowerDNS Authoritative Server 4.7 or later: the zones", &steps)
        + &format!(
            "set -eu\n\
             cat >/etc/powerdns/pdns.d/privatelink-dns.conf <<'END'\n\
             secondary=yes\n\
             # How often it looks for work, such as new members of a catalog, in seconds.\n\
             xfr-cycle-interval=1\n\
             # One transfer at a time: of two, SQLite refuses one ('database is locked'), and it is lost.\n\
             retrieval-threads=1\n\
             {proxy}END\n\
             {commands}\
             systemctl restart pdns\n"
        ))
}

/// The commands that make a zone.
fn zone(facts: &Facts, origin: &str, indent: &str) -> String {
    let mut text = format!("{indent}pdnsutil create-secondary-zone {origin} {}\n", facts.primary);
    if let Some(key) = &facts.key {
        text += &format!("{indent}pdnsutil activate-tsig-key {origin} {} secondary\n", key.name);
    }
    text
}
