//! `endpoints`, `prefer` and `by_subnet` in `[[application]]`: which of several private endpoints
//! count.

use std::collections::{BTreeMap, HashSet};

use super::reader::{Field, Item, Report, Section, Wrong, shown};
use super::scope::resource;
use crate::zones::{EndpointPolicy, Prefix, PrefixError, ResourceId};

const PREFER: &str = "[\"/subscriptions/SUBSCRIPTION/resourceGroups/GROUP/providers/Microsoft.Network/privateEndpoints/NAME\"]";
const BY_SUBNET: &str = "[\"10.1.0.0/16=/subscriptions/SUBSCRIPTION/resourceGroups/GROUP/providers/\
     Microsoft.Network/privateEndpoints/NAME\"]";

/// More than an application can have.
const MAX_ENDPOINTS: usize = 64;
/// Client prefixes of all applications: every query is compared with them.
const MAX_PREFIXES: usize = 1024;

/// The policies, each with the key of its list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    All,
    Prefer,
    BySubnet,
}

const KINDS: [(&str, Kind); 3] =
    [("all", Kind::All), ("prefer", Kind::Prefer), ("by-subnet", Kind::BySubnet)];
const LISTS: [(&str, &str, Kind); 2] =
    [("prefer", PREFER, Kind::Prefer), ("by_subnet", BY_SUBNET, Kind::BySubnet)];

/// The policy of one application; nothing when all endpoints count. `prefixes` counts the client
/// prefixes of the applications read so far.
pub(super) fn read(
    application: &Section<'_>,
    prefixes: &mut usize,
    report: &mut Report,
) -> Option<EndpointPolicy> {
    let kind = application.choice("endpoints", &KINDS, report);
    let prefer = application.list("prefer", PREFER, MAX_ENDPOINTS, report, endpoint);
    let by_subnet = application.list("by_subnet", BY_SUBNET, MAX_PREFIXES, report, network);
    if let Some(items) = &prefer {
        report_repeated(application, "prefer", items, |id| id.clone(), report);
    }
    if let Some(items) = &by_subnet {
        report_repeated(application, "by_subnet", items, |(prefix, _)| *prefix, report);
        *prefixes += items.len();
        if *prefixes > MAX_PREFIXES
            && let Some((place, _)) = application.node("by_subnet")
        {
            let problem = format!("with it there are {prefixes} client prefixes in all applications");
            let remedy = format!("write at most {MAX_PREFIXES} in all");
            report.push(place, &application.path("by_subnet"), Wrong::new(problem, remedy));
        }
    }
    // Without the policy nobody knows which lists belong here.
    let kind = kind?;
    report_lists(application, kind, report);
    match kind {
        Kind::All => None,
        Kind::Prefer => Some(EndpointPolicy::Prefer(prefer?.into_iter().map(|item| item.value).collect())),
        Kind::BySubnet => {
            let networks: BTreeMap<_, _> = by_subnet?.into_iter().map(|item| item.value).collect();
            Some(EndpointPolicy::BySubnet(networks))
        }
    }
}

/// Reports the list that the policy needs and that is not there, and those that it does not use.
fn report_lists(application: &Section<'_>, kind: Kind, report: &mut Report) {
    let word = |kind| KINDS.iter().find(|(_, k)| *k == kind).map_or("", |(word, _)| *word);
    let default = if application.node("endpoints").is_none() { ", the default" } else { "" };
    for (key, example, user) in LISTS {
        if user == kind {
            let reason = format!(" (endpoints = \"{}\" needs it)", word(kind));
            application.require(key, example, &reason, report, |_| Ok(()));
        } else if let Some((place, _)) = application.node(key) {
            let wrong = Wrong::new(
                format!("is not used with endpoints = \"{}\"{default}", word(kind)),
                format!("remove it, or write endpoints = \"{}\"", word(user)),
            );
            report.push(place, &application.path(key), wrong);
        }
    }
}

fn report_repeated<T, K: std::hash::Hash + Eq + std::fmt::Display>(
    application: &Section<'_>,
    key: &str,
    items: &[Item<T>],
    name: impl Fn(&T) -> K,
    report: &mut Report,
) {
    let mut seen = HashSet::new();
    for item in items {
        let name = name(&item.value);
        if seen.contains(&name) {
            let wrong = Wrong::new(format!("{name} is listed twice"), "remove one of the two");
            report.push(&item.place, &application.path(key), wrong);
        }
        seen.insert(name);
    }
}

fn endpoint(field: &Field<'_>) -> Result<ResourceId, Wrong> {
    private_endpoint(field, field.text()?)
}

fn private_endpoint(field: &Field<'_>, text: &str) -> Result<ResourceId, Wrong> {
    resource(text, "Microsoft.Network/privateEndpoints", "a private endpoint").map_err(|p| field.wrong(p))
}

/// `PREFIX=ENDPOINT`.
fn network(field: &Field<'_>) -> Result<(Prefix, ResourceId), Wrong> {
    let text = field.text()?;
    let Some((prefix, id)) = text.split_once('=') else {
        return Err(field.wrong(format!("{} is not of the form PREFIX=ENDPOINT", shown(text))));
    };
    let (prefix, id) = (prefix.trim(), id.trim());
    let prefix = prefix.parse().map_err(|error: PrefixError| {
        let problem = format!("{} {error}", shown(prefix));
        match &error {
            PrefixError::HostBits { meant } | PrefixError::Mapped { meant } => {
                Wrong::new(problem, format!("write {meant} in front of the ="))
            }
            PrefixError::Length { maximum } => {
                Wrong::new(problem, format!("write a length of at most {maximum}"))
            }
            PrefixError::Syntax => field.wrong(problem),
        }
    })?;
    Ok((prefix, private_endpoint(field, id)?))
}
