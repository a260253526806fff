//! `[[application]]` and `[[discovery]]`: whose endpoints are followed.

use std::collections::{BTreeMap, HashMap};

use super::error::Place;
use super::reader::{Field, Report, Section, Wrong, shown};
use super::schema;
use super::tree::{Node, Value};
use super::types::Discovery;
use super::{credential, endpoints};
use crate::zones::{EndpointPolicy, ResourceId, is_plain, same_name};

const APPLICATION: &str =
    "\"/subscriptions/SUBSCRIPTION/resourceGroups/GROUP/providers/Microsoft.IoTCentral/iotApps/NAME\"";
const SUBSCRIPTION: &str = "\"00000000-0000-0000-0000-000000000000\"";
/// Applications, and discoveries; a daemon that follows more would run into Azure's limits on reads.
const MAX_SECTIONS: usize = 1000;

/// Which endpoints count, for the applications where not all of them do.
pub(super) type Policies = BTreeMap<ResourceId, EndpointPolicy>;

/// The applications, their policies, and the discoveries; at least one application or discovery.
pub(super) fn read(root: &Section<'_>, report: &mut Report) -> (Vec<ResourceId>, Policies, Vec<Discovery>) {
    if root.node("application").is_none() && root.node("discovery").is_none() {
        let wrong = Wrong::new(
            "there is neither an application nor a discovery, so there is nothing to follow",
            format!("write [[application]] and below it id = {APPLICATION}"),
        );
        report.push(&Place::File, "application", wrong);
    }
    let (applications, policies) = applications(root, report);
    (applications, policies, discoveries(root, report))
}

fn applications(root: &Section<'_>, report: &mut Report) -> (Vec<ResourceId>, Policies) {
    let mut seen: HashMap<ResourceId, Place> = HashMap::new();
    let mut applications = Vec::new();
    let mut policies = Policies::new();
    let mut prefixes = 0;
    for node in tables(root, "application", MAX_SECTIONS, report) {
        let read = match &node.value {
            Value::Table(table) => {
                let section = Section::of("application".to_owned(), &node.place, table);
                let id = section.require("id", APPLICATION, "", report, application);
                let place = section.node("id").map_or(&node.place, |(_, node)| &node.place);
                let policy = endpoints::read(&section, &mut prefixes, report);
                id.map(|id| (id, place, policy))
            }
            _ => {
                let field = Field::of("application", APPLICATION, node);
                match application(&field) {
                    Ok(id) => Some((id, &node.place, None)),
                    Err(wrong) => {
                        report.push(&node.place, "application", wrong);
                        None
                    }
                }
            }
        };
        let Some((id, place, policy)) = read else { continue };
        if let Some(first) = seen.get(&id) {
            let wrong =
                Wrong::new(format!("is the same application as {}", at(first)), "remove one of the two");
            report.push(place, "application.id", wrong);
        } else {
            seen.insert(id.clone(), place.clone());
            policies.extend(policy.map(|policy| (id.clone(), policy)));
            applications.push(id);
        }
    }
    (applications, policies)
}

/// The items of a repeated section. In the environment they are texts, in the file tables.
pub(super) fn tables<'t>(
    root: &Section<'t>,
    key: &str,
    maximum: usize,
    report: &mut Report,
) -> Vec<&'t Node> {
    let heading = schema::heading(key);
    let Some((place, node)) = root.node(key) else { return Vec::new() };
    let Value::List(items) = &node.value else {
        let problem = match node.value {
            Value::Table(_) => format!("[{key}] makes a single section, but there may be several"),
            _ => "expected sections".to_owned(),
        };
        report.push(place, key, Wrong::new(problem, format!("write {heading} with double brackets")));
        return Vec::new();
    };
    if items.len() > maximum {
        let problem = format!("there are {} of them", items.len());
        report.push(place, key, Wrong::new(problem, format!("write at most {maximum}")));
        return Vec::new();
    }
    if items.is_empty() {
        report.push(place, key, Wrong::new("is an empty list", format!("remove it, or write {heading}")));
    }
    let (good, bad): (Vec<&Node>, Vec<&Node>) =
        items.iter().partition(|node| matches!(node.value, Value::Table(_) | Value::Untyped(_)));
    for node in bad {
        let first = schema::keys(key).unwrap_or_default().first().copied().unwrap_or_default();
        let wrong = Wrong::new("expected sections", format!("write {heading}, and below it {first} = …"));
        report.push(&node.place, key, wrong);
    }
    good
}

fn application(field: &Field<'_>) -> Result<ResourceId, Wrong> {
    let text = field.text()?;
    let id = resource(text, "Microsoft.IoTCentral/iotApps", "an application").map_err(|p| field.wrong(p))?;
    credential::subscription(&id)?;
    Ok(id)
}

/// The id of a resource of this type in a resource group, or what is wrong with the text; `name` is
/// what the type is called in a sentence.
pub(super) fn resource(text: &str, kind: &str, name: &str) -> Result<ResourceId, String> {
    let id: ResourceId = text.parse().map_err(|_| format!("{} is no resource id", shown(text)))?;
    let found = id.resource_type();
    if !found.eq_ignore_ascii_case(kind) {
        return Err(format!("is the id of a {}, not of a {kind}", shown(&found)));
    }
    // Empty, subscriptions, ID, resourceGroups, GROUP, providers, NAMESPACE, TYPE, NAME.
    if id.resource_group().is_none() || id.as_str().split('/').count() != 9 {
        return Err(format!("{} is not the id of {name} in a resource group", shown(text)));
    }
    Ok(id)
}

fn discoveries(root: &Section<'_>, report: &mut Report) -> Vec<Discovery> {
    let mut seen: Vec<(Discovery, Place)> = Vec::new();
    for node in tables(root, "discovery", MAX_SECTIONS, report) {
        let Value::Table(table) = &node.value else { continue };
        let section = Section::of("discovery".to_owned(), &node.place, table);
        let discovery = Discovery {
            subscription: section
                .require("subscription", SUBSCRIPTION, "", report, credential::id)
                .unwrap_or_default(),
            resource_group: section.read("resource_group", "\"my-group\"", report, resource_group),
            tag: section.read("tag", "\"environment=production\"", report, tag),
        };
        if let Some((_, first)) = seen.iter().find(|(other, _)| same(other, &discovery)) {
            let wrong = Wrong::new(format!("takes the same scope as {}", at(first)), "remove one of the two");
            report.push(&node.place, "discovery", wrong);
        }
        seen.push((discovery, node.place.clone()));
    }
    seen.into_iter().map(|(discovery, _)| discovery).collect()
}

fn same(a: &Discovery, b: &Discovery) -> bool {
    let same_group = match (&a.resource_group, &b.resource_group) {
        (Some(a), Some(b)) => same_name(a, b),
        (a, b) => a == b,
    };
    !a.subscription.is_empty()
        && a.subscription.eq_ignore_ascii_case(&b.subscription)
        && same_group
        && a.tag == b.tag
}

fn resource_group(field: &Field<'_>) -> Result<String, Wrong> {
    let text = field.text()?;
    if text.chars().count() <= 90 && text.chars().all(is_plain) && !text.ends_with('.') {
        return Ok(text.to_owned());
    }
    Err(field.wrong(format!("{} is no name of a resource group", shown(text))))
}

/// `name` or `name=value`, with Azure's limits for both.
fn tag(field: &Field<'_>) -> Result<(String, Option<String>), Wrong> {
    let text = field.text()?;
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name.trim(), Some(value.trim())),
        None => (text.trim(), None),
    };
    let possible = !name.is_empty()
        && name.chars().count() <= 512
        && !name.chars().any(|c| c.is_control() || "<>%&\\?/".contains(c))
        && value.is_none_or(|v| v.chars().count() <= 256 && !v.chars().any(char::is_control));
    if possible {
        return Ok((name.to_owned(), value.map(str::to_owned)));
    }
    Err(field.wrong(format!("{} is neither the name of a tag nor name=value", shown(text))))
}

/// A place inside a sentence.
fn at(place: &Place) -> String {
    match place {
        Place::Line { line, .. } => format!("the one in line {line}"),
        Place::File | Place::Variable(_) => "an earlier one".to_owned(),
    }
}
