//! BIND 9.18: zones by catalog or one by one, and the response policy zone.

use super::error::RecipeError;
use super::facts::Facts;
use crate::config::Notification;
use crate::zones::DnsName;

const FILE: &str = "/etc/bind/privatelink-dns.conf";
const KEY_FILE: &str = "/etc/bind/privatelink-dns.key";

/// The zones.
pub(super) fn secondary(facts: &Facts) -> String {
    let mut steps = steps(facts, FILE);
    let (options, zones) = match &facts.catalog {
        Some(catalog) => {
            let hidden = "allow-query { localhost; }; allow-transfer { none; }; notify no;";
            // Five seconds by default, for a catalog as for a policy zone.
            let options = format!(
                "    catalog-zones {{\n        zone \"{}\"\n            default-primaries {{ {} }}\n            \
                 in-memory no min-update-interval 0;\n    }};\n",
                catalog.origin,
                primary(facts),
            );
            // Members of the catalog have that of the options.
            let notify = Some(notify(facts)).filter(|notify| !notify.is_empty());
            let options = notify.map(|notify| format!("    {notify}\n")).unwrap_or_default() + &options;
            (options, zone(facts, &catalog.origin, hidden))
        }
        None => {
            steps.push(facts.listed(true));
            (String::new(), facts.zones.iter().map(|origin| zone(facts, origin, "")).collect())
        }
    };
    let text = format!(
        "options {{\n    \
             // With the default, 20, the second of two zones that change together waits half a second.\n    \
             serial-query-rate 100;\n{options}}};\n{zones}"
    );
    steps.push(
        "Whoever may transfer these zones from this server follows from allow-transfer in options, which\n\
         is everybody by default before BIND 9.20."
            .to_owned(),
    );
    steps.extend(facts.others());
    steps.push(facts.check_zones());
    facts.head("//", "BIND 9.18 or later: the zones", &steps) + &key(facts) + &text
}

/// The response policy zone.
pub(super) fn rpz(facts: &Facts) -> Result<String, RecipeError> {
    let rpz = facts.rpz()?;
    let mut steps = steps(facts, "/etc/bind/privatelink-dns-rpz.conf");
    steps.push(
        "Put this policy zone before others: the first that knows a name decides. Those who may recurse\n\
         get the private addresses, with a TTL of 5 s at most; names that are not in the zone are left\n\
         alone. break-dnssec: clients that ask for signatures get them too (Azure's names have none).\n\
         qname-wait-recurse: nobody waits for public DNS, nor needs it, for a name that is here."
            .to_owned(),
    );
    steps.push(facts.check_rpz());
    let text = format!(
        "options {{\n    response-policy {{\n        zone \"{rpz}\" min-update-interval 0;\n    \
         }} break-dnssec yes qname-wait-recurse no;\n}};\n{}",
        zone(facts, rpz, "allow-query { none; }; allow-transfer { none; }; notify no;")
    );
    Ok(facts.head("//", "BIND 9.18 or later: the response policy zone", &steps) + &key(facts) + &text)
}

/// Where the text belongs.
fn steps(facts: &Facts, file: &str) -> Vec<String> {
    let mut steps = vec![format!(
        "Save it as {file}, and write into named.conf:\n    include \"{file}\";\n\
         What stands in options {{ }} goes into the options that named.conf has: move it there.\n\
         Then: named-checkconf && rndc reconfig"
    )];
    if let Some(key) = &facts.key {
        steps.push(format!(
            "Copy the statement key \"{}\" of {} on the daemon's host to\n\
             {KEY_FILE} (root:bind, mode 0640). One include of it is enough.",
            key.name, key.files
        ));
    }
    steps.extend(facts.source("set transfer-source in options"));
    steps
}

fn key(facts: &Facts) -> String {
    if facts.key.is_some() { format!("include \"{KEY_FILE}\";\n") } else { String::new() }
}

/// A zone of the secondary.
fn zone(facts: &Facts, origin: &DnsName, more: &str) -> String {
    let mut lines = vec!["type secondary;".to_owned(), format!("file \"{origin}.db\";")];
    lines.push(format!("primaries {{ {} }};", primary(facts)));
    lines.extend([notify(facts), more.to_owned()].into_iter().filter(|line| !line.is_empty()));
    format!("zone \"{origin}\" {{\n    {}\n}};\n", lines.join("\n    "))
}

/// Who may send NOTIFY beside the address of the primary, if anybody: who has the key, or the address that
/// it comes from.
fn notify(facts: &Facts) -> String {
    match (&facts.key, facts.secondary.notification) {
        (Some(key), Notification::Signed) => format!("allow-notify {{ key \"{}\"; }};", key.name),
        (_, Notification::Unsigned) if facts.notifier() != facts.primary.ip() => {
            format!("allow-notify {{ {}; }};", facts.notifier())
        }
        _ => String::new(),
    }
}

fn primary(facts: &Facts) -> String {
    let key = facts.key.as_ref().map(|key| format!(" key \"{}\"", key.name)).unwrap_or_default();
    format!("{} port {}{key};", facts.primary.ip(), facts.primary.port())
}
