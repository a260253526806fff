//! Every section and key that the format knows.
//!
//! One table, so that a misspelled key is found wherever it stands, and the answer can name the
//! section where the key belongs.

use super::error::Place;
use super::overlay;
use super::reader::{Report, Wrong, shown};
use super::tree::{Table, Value};

/// The sections, the file's top level first under the empty name, each with its keys and
/// subsections.
pub(super) const SECTIONS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "version",
            "azure",
            "application",
            "discovery",
            "guard",
            "publish",
            "dns",
            "resolver",
            "transfer",
            "secondary",
            "target",
            "verify",
            "admin",
            "state",
            "log",
        ],
    ),
    (
        "azure",
        &[
            "cloud",
            "resource_manager",
            "authority",
            "audience",
            "ca_file",
            "poll_interval",
            "request_timeout",
            "credential",
        ],
    ),
    (
        "azure.credential",
        &[
            "kind",
            "tenant_id",
            "client_id",
            "object_id",
            "resource_id",
            "secret_file",
            "certificate_file",
            "key_file",
            "token_file",
        ],
    ),
    ("application", &["id", "endpoints", "prefer", "by_subnet"]),
    ("discovery", &["subscription", "resource_group", "tag"]),
    (
        "guard",
        &["removal_polls", "removal_period", "bulk_names", "bulk_percent", "bulk_polls", "bulk_period"],
    ),
    (
        "publish",
        &[
            "privatelink_zones",
            "per_name_zones",
            "application_name",
            "ttl",
            "negative_ttl",
            "name_servers",
            "hostmaster",
        ],
    ),
    (
        "dns",
        &[
            "listen",
            "allow_query",
            "udp_threads",
            "tcp_connections",
            "tcp_connections_per_client",
            "tcp_idle_timeout",
            "stale_after",
            "rate_limit",
            "tls",
        ],
    ),
    ("dns.tls", &["certificate_file", "key_file", "listen", "https_listen", "https_path"]),
    ("dns.rate_limit", &["responses_per_second", "slip", "ipv4_prefix", "ipv6_prefix"]),
    (
        "resolver",
        &[
            "upstreams",
            "order",
            "allow",
            "fallback",
            "timeout",
            "max_in_flight",
            "cache_mib",
            "max_ttl",
            "max_negative_ttl",
            "ca_file",
        ],
    ),
    ("transfer", &["key_files", "catalog", "catalog_group", "rpz", "serial_at_least", "lag_limit"]),
    ("secondary", &["name", "address", "source", "key", "transfer_by", "notify"]),
    (
        "target",
        &[
            "name",
            "type",
            "dry_run",
            "path",
            "in_place",
            "directory",
            "origin",
            "reload",
            "reload_timeout",
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
        ],
    ),
    ("verify", &["enabled", "interval", "resolvers", "connect", "ports", "ca_file"]),
    ("admin", &["listen"]),
    ("state", &["directory"]),
    ("log", &["format", "level"]),
];

/// The keys whose value is a list; comma separated in the environment.
pub(super) const LISTS: &[&str] = &[
    "dns.listen",
    "dns.allow_query",
    "dns.tls.listen",
    "dns.tls.https_listen",
    "resolver.upstreams",
    "resolver.allow",
    "publish.name_servers",
    "transfer.key_files",
    "verify.resolvers",
    "verify.ports",
    "application",
];

/// The sections that may occur several times.
pub(super) const REPEATED: &[&str] = &["application", "discovery", "secondary", "target"];

/// Names that a secret in the open would have.
const SECRETS: &[&str] = &["secret", "client_secret", "password", "certificate_password", "private_key"];

/// The keys of a section.
pub(super) fn keys(section: &str) -> Option<&'static [&'static str]> {
    SECTIONS.iter().find(|(name, _)| *name == section).map(|(_, keys)| *keys)
}

/// `section.key`, or the key alone at the top level.
pub(super) fn path(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

/// Reports every key below a section that the format does not know.
pub(super) fn report_unknown(section: &str, table: &Table, report: &mut Report) {
    let known = keys(section).unwrap_or_default();
    for (key, entry) in table {
        let below = path(section, key);
        if !known.contains(&key.as_str()) {
            let is_section = match &entry.node.value {
                Value::Table(_) => true,
                Value::List(items) => items.iter().any(|n| matches!(n.value, Value::Table(_))),
                _ => false,
            };
            report.push(&entry.place, &path(section, &name(key)), unknown(section, key, is_section, false));
            continue;
        }
        match &entry.node.value {
            Value::Table(table) if keys(&below).is_some() => report_unknown(&below, table, report),
            Value::List(items) if keys(&below).is_some() => {
                for item in items {
                    if let Value::Table(table) = &item.value {
                        report_unknown(&below, table, report);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Reports a key of the environment that the format does not know.
pub(super) fn report_unknown_variable(section: &str, key: &str, place: &Place, report: &mut Report) {
    report.push(place, &path(section, &name(key)), unknown(section, key, false, true));
}

/// A key as it may be printed.
fn name(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.len() <= 64 && key.chars().all(bare) { key.to_owned() } else { shown(key) }
}

fn unknown(section: &str, key: &str, is_section: bool, variable: bool) -> Wrong {
    let plain = key.to_ascii_lowercase().replace('-', "_");
    if SECRETS.contains(&plain.as_str()) {
        return Wrong::new(
            "a secret in the configuration is seen by everybody who sees the configuration",
            "put it into a file of its own (systemd: LoadCredential=) and write its path, such as \
             secret_file = \"$CREDENTIALS_DIRECTORY/client-secret\", into [azure.credential]",
        );
    }
    let written = |section: &str, key: &str| match (variable, keys(&path(section, key)).is_some()) {
        (true, true) => format!("{}…", overlay::variable(&path(section, key))),
        (true, false) => overlay::variable(&path(section, key)),
        (false, true) => heading(&path(section, key)),
        (false, false) => key.to_owned(),
    };
    let here = keys(section).unwrap_or_default();
    let problem = if is_section { "is no known section" } else { "is no known key" };
    let remedy = if let Some(same) = here.iter().find(|k| **k == plain) {
        format!("write {}", written(section, same))
    } else if let Some(homes) = homes(&plain, variable) {
        homes
    } else if let Some(near) = nearest(&plain, here) {
        format!("did you mean {}?", written(section, near))
    } else if section.is_empty() {
        let all: Vec<String> = here.iter().map(|k| written(section, k)).collect();
        format!("known here are {}", all.join(", "))
    } else if let [only] = here {
        format!("the only key of {} is {only}", heading(section))
    } else {
        format!("the keys of {} are {}", heading(section), here.join(", "))
    };
    Wrong::new(problem, remedy)
}

/// How a section is opened in the file.
pub(super) fn heading(section: &str) -> String {
    if REPEATED.contains(&section) { format!("[[{section}]]") } else { format!("[{section}]") }
}

/// Where a key that is known elsewhere belongs.
fn homes(key: &str, variable: bool) -> Option<String> {
    let homes: Vec<&str> =
        SECTIONS.iter().filter(|(_, keys)| keys.contains(&key)).map(|(section, _)| *section).collect();
    let first = homes.first()?;
    if keys(&path(first, key)).is_some() && !variable {
        return Some(format!("write {}", heading(&path(first, key))));
    }
    let named = |section: &&str| match (variable, section.is_empty()) {
        (true, _) if keys(&path(section, key)).is_some() => {
            format!("{}…", overlay::variable(&path(section, key)))
        }
        (true, _) => overlay::variable(&path(section, key)),
        (false, true) => "the top of the file".to_owned(),
        (false, false) => heading(section),
    };
    let named: Vec<String> = homes.iter().map(named).collect();
    Some(format!("{} {}", if variable { "set" } else { "it belongs to" }, named.join(" or ")))
}

/// The candidate that a mistyped word most likely stands for.
pub(super) fn nearest<'c>(word: &str, candidates: &[&'c str]) -> Option<&'c str> {
    // Longer words are no key, and the comparison takes time by the product of the lengths.
    if word.len() > 64 {
        return None;
    }
    candidates
        .iter()
        .map(|candidate| {
            let slip = word.len() > 2 && strsim::damerau_levenshtein(word, candidate) == 1;
            (if slip { 1.0 } else { strsim::jaro_winkler(word, candidate) }, *candidate)
        })
        .filter(|(likeness, _)| *likeness >= 0.85)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}
