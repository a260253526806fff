//! `[transfer]` and `[[secondary]]`: who takes the zones over, and what proves that it is them.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::credential;
use super::dns::address;
use super::reader::{Field, Holds, NamedFile, Report, Section, Wrong, shown};
use super::scope::tables;
use super::tree::Value;
use super::types::{Access, Notification, Secondary, Transfer};
use super::zones::host_name;
use crate::zones::{Catalog, DnsName};

pub(super) const KEY_FILES: &str = "[\"/etc/privatelink-dns/keys.conf\"]";
const CATALOG: &str = "\"catalog.privatelink-dns.internal\"";
pub(super) const RPZ: &str = "\"rpz.privatelink-dns.internal\"";
const NAME: &str = "\"ns1\"";
const ADDRESS: &str = "\"10.0.0.53\"";

/// More key files than anybody needs.
const MAX_KEY_FILES: usize = 16;

/// Each secondary costs a task, and a finding when it lags.
const MAX_SECONDARIES: usize = 64;

const ACCESS: [(&str, Access); 4] = [
    ("key", Access::Key),
    ("address", Access::Address),
    ("key-or-address", Access::KeyOrAddress),
    ("key-and-address", Access::KeyAndAddress),
];

const NOTIFICATION: [(&str, Notification); 3] =
    [("signed", Notification::Signed), ("unsigned", Notification::Unsigned), ("off", Notification::Off)];

/// What the zones have to know of it: catalog, policy zone and lowest serial.
pub(super) fn zones(
    root: &Section<'_>,
    report: &mut Report,
) -> (Option<Catalog>, Option<DnsName>, Option<u32>) {
    let transfer = root.child("transfer", report);
    let catalog = transfer.read("catalog", CATALOG, report, origin);
    let group = transfer.read("catalog_group", "\"privatelink\"", report, group);
    if let Some((place, _)) = transfer.node("catalog_group")
        && transfer.node("catalog").is_none()
    {
        let wrong = Wrong::new(
            "is the group of a catalog's members, and there is no catalog",
            format!("remove it, or write catalog = {CATALOG}"),
        );
        report.push(place, "transfer.catalog_group", wrong);
    }
    let rpz = transfer.read("rpz", RPZ, report, origin);
    if rpz.is_some()
        && rpz == catalog
        && let Some((place, _)) = transfer.node("rpz")
    {
        let wrong = Wrong::new("is the name of the catalog too", "give each a name of its own");
        report.push(place, "transfer.rpz", wrong);
    }
    let least = transfer.read("serial_at_least", "2026010100", report, |field| {
        let number = field.integer(&(i64::MIN..=i64::MAX))?;
        u32::try_from(number).map_err(|_| field.wrong(format!("{number} is no number of 32 bits")))
    });
    (catalog.map(|origin| Catalog { origin, group }), rpz, least)
}

/// Who takes the zones over.
pub(super) fn read(root: &Section<'_>, report: &mut Report) -> Transfer {
    let transfer = root.child("transfer", report);
    let key_files = key_files(&transfer, report);
    let lag_limit = transfer.duration(
        "lag_limit",
        Duration::from_secs(60),
        Duration::from_secs(1)..=Duration::from_secs(86_400),
        report,
    );
    let mut secondaries = Vec::<Secondary>::new();
    let mut names = HashSet::new();
    for node in tables(root, "secondary", MAX_SECONDARIES, report) {
        let Value::Table(table) = &node.value else { continue };
        let section = Section::of("secondary".to_owned(), &node.place, table);
        let Some(secondary) = secondary(&section, key_files.is_empty(), report) else { continue };
        if !names.insert(secondary.name.clone()) {
            let wrong = Wrong::new(
                format!("{:?} is the name of another secondary", secondary.name),
                "give each secondary a name of its own",
            );
            report.push(&section.place, "secondary.name", wrong);
        }
        secondaries.push(secondary);
    }
    Transfer { key_files, lag_limit, secondaries }
}

fn key_files(transfer: &Section<'_>, report: &mut Report) -> Vec<PathBuf> {
    let directory = report.credentials_directory.clone();
    let items = transfer.list("key_files", KEY_FILES, MAX_KEY_FILES, report, |field| {
        credential::path(field, directory.as_deref())
    });
    let mut files = Vec::new();
    for item in items.unwrap_or_default() {
        report.files.push(NamedFile {
            path: item.value.clone(),
            key: transfer.path("key_files"),
            place: item.place,
            holds: Holds::Keys,
        });
        files.push(item.value);
    }
    files
}

fn secondary(section: &Section<'_>, keyless: bool, report: &mut Report) -> Option<Secondary> {
    let name = section.require("name", NAME, "", report, name);
    let address = section.require("address", ADDRESS, "", report, host);
    let source = section.read("source", "\"10.0.0.5\"", report, source);
    if let (Some(address), Some(source)) = (address, source)
        && address.is_ipv4() != source.is_ipv4()
        && let Some((place, _)) = section.node("source")
    {
        let wrong = Wrong::new(
            format!("{source} is of another family than {}, the address of the secondary", address.ip()),
            "write an address of the same family",
        );
        report.push(place, "secondary.source", wrong);
    }
    let key = section.read("key", "\"ns1-key\"", report, host_name);
    if let Some((place, _)) = section.node("key")
        && keyless
    {
        let wrong = Wrong::new(
            "names a TSIG key, and there is no file with keys",
            format!("write key_files = {KEY_FILES} into [transfer]"),
        );
        report.push(place, "secondary.key", wrong);
    }
    // What proves who asks is never taken for granted: without a key it has to be said.
    let access = match section.node("transfer_by") {
        None if section.node("key").is_some() => Some(Access::Key),
        None => {
            let reason = " (without a key only its address can tell who asks)";
            section.require("transfer_by", "\"address\"", reason, report, |_| Ok(Access::Address))
        }
        Some(_) => section.choice("transfer_by", &ACCESS, report),
    };
    let notification = match section.node("notify") {
        None if section.node("key").is_none() => Some(Notification::Unsigned),
        _ => section.choice("notify", &NOTIFICATION, report),
    };
    for (setting, needs_key) in [
        ("transfer_by", access.is_some_and(|a| a != Access::Address)),
        ("notify", notification == Some(Notification::Signed)),
    ] {
        if needs_key
            && section.node("key").is_none()
            && let Some((place, _)) = section.node(setting)
        {
            let wrong = Wrong::new("needs a TSIG key, and there is none", "write key = \"NAME-OF-THE-KEY\"");
            report.push(place, &section.path(setting), wrong);
        }
    }
    Some(Secondary {
        name: name?,
        address: address?,
        source,
        key,
        access: access?,
        notification: notification?,
    })
}

/// A short name for metrics and logs.
pub(super) fn name(field: &Field<'_>) -> Result<String, Wrong> {
    let text = field.text()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.len() <= 63 && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err(field.wrong(format!("{} is no name of at most 63 letters, digits, '-', '_' and '.'", shown(text))))
}

/// An address of this machine.
fn source(field: &Field<'_>) -> Result<IpAddr, Wrong> {
    let text = field.text()?;
    let address = text.parse::<IpAddr>().ok().filter(|a| !a.is_unspecified() && !a.is_multicast());
    address.ok_or_else(|| field.wrong(format!("{} is no IP address of this machine", shown(text))))
}

/// An address that NOTIFY can be sent to.
pub(super) fn host(field: &Field<'_>) -> Result<SocketAddr, Wrong> {
    let address = address(field, 53)?;
    if address.ip().is_unspecified() || address.port() == 0 {
        return Err(field.wrong(format!("{address} is no address of a server")));
    }
    Ok(address)
}

/// The name of a zone that only secondaries see: none of Azure's.
pub(super) fn origin(field: &Field<'_>) -> Result<DnsName, Wrong> {
    let name = host_name(field)?;
    let labels = name.labels().count();
    if name.labels().any(|label| label == "privatelink") || labels < 2 {
        let problem = format!("{name} may be a zone of Azure's names, or a whole domain");
        return Err(field.wrong(problem));
    }
    // In the policy zone public names stand in front of it.
    if name.as_str().len() > 64 {
        return Err(field.wrong(format!("{name} has more than 64 characters")));
    }
    Ok(name)
}

fn group(field: &Field<'_>) -> Result<String, Wrong> {
    let text = field.text()?;
    if text.len() <= 255 && text.chars().all(|c| c.is_ascii_graphic() && !"\"\\;".contains(c)) {
        return Ok(text.to_owned());
    }
    Err(field.wrong(format!("{} is no group: at most 255 visible characters without blanks", shown(text))))
}
