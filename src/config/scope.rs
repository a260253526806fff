//! `[[application]]` and `[[discovery]]`: whose endpoints are followed.

use std::collections::HashMap;

use super::credential;
use super::error::Place;
use super::reader::{Field, Report, Section, Wrong, shown};
use super::schema;
use super::tree::{Node, Value};
use super::types::Discovery;
use crate::zones::ResourceId;

const APPLICATION: &str =
    "\"/subscriptions/SUBSCRIPTION/resourceGroups/GROUP/providers/Microsoft.IoTCentral/iotApps/NAME\"";
const SUBSCRIPTION: &str = "\"00000000-0000-0000-0000-000000000000\"";
/// Applications, and discoveries; a daemon that follows more would run into Azure's limits on reads.
const MAX_SECTIONS: usize = 1000;

/// The applications and discoveries; at least one of either.
pub(super) fn read(root: &Section<'_>, report: &mut Report) -> (Vec<ResourceId>, Vec<Discovery>) {
    if root.node("application").is_none() && root.node("discovery").is_none() {
        let wrong = Wrong::new(
            "there is neither an application nor a discovery, so there is nothing to follow",
            format!("write [[application]] and below it id = {APPLICATION}"),
        );
        report.push(&Place::File, "application", wrong);
    }
    (applications(root, report), discoveries(root, report))
}

fn applications(root: &Section<'_>, report: &mut Report) -> Vec<ResourceId> {
    let mut seen: HashMap<ResourceId, Place> = HashMap::new();
    let mut applications = Vec::new();
    for node in tables(root, "application", report) {
        let read = match &node.value {
            Value::Table(table) => {
                let section = Section::of("application".to_owned(), &node.place, table);
                let id = section.require("id", APPLICATION, "", report, application);
                let place = section.node("id").map_or(&node.place, |(_, node)| &node.place);
                id.map(|id| (id, place))
            }
            _ => {
                let field = Field::of("application", APPLICATION, node);
                match application(&field) {
                    Ok(id) => Some((id, &node.place)),
                    Err(wrong) => {
                        report.push(&node.place, "application", wrong);
                        None
                    }
                }
            }
        };
        let Some((id, place)) = read else { continue };
        if let Some(first) = seen.get(&id) {
            let wrong =
                Wrong::new(format!("is the same application as {}", at(first)), "remove one of the two");
            report.push(place, "application.id", wrong);
        } else {
            seen.insert(id.clone(), place.clone());
            applications.push(id);
        }
    }
    applications
}

/// The items of a repeated section. In the environment they are texts, in the file tables.
fn tables<'t>(root: &Section<'t>, key: &str, report: &mut Report) -> Vec<&'t Node> {
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
    if items.len() > MAX_SECTIONS {
        let problem = format!("there are {} of them", items.len());
        report.push(place, key, Wrong::new(problem, format!("write at most {MAX_SECTIONS}")));
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
    let id: ResourceId =
        text.parse().map_err(|_| field.wrong(format!("{} is no resource id", shown(text))))?;
    let kind = id.resource_type();
    if !kind.eq_ignore_ascii_case("Microsoft.IoTCentral/iotApps") {
        let problem = format!("is the id of a {}, not of a Microsoft.IoTCentral/iotApps", shown(&kind));
        return Err(field.wrong(problem));
    }
    // Empty, subscriptions, ID, resourceGroups, GROUP, providers, NAMESPACE, iotApps, NAME.
    if id.resource_group().is_none() || id.as_str().split('/').count() != 9 {
        return Err(
            field.wrong(format!("{} is not the id of an application in a resource group", shown(text)))
        );
    }
    credential::subscription(&id)?;
    Ok(id)
}

fn discoveries(root: &Section<'_>, report: &mut Report) -> Vec<Discovery> {
    let mut seen: Vec<(Discovery, Place)> = Vec::new();
    for node in tables(root, "discovery", report) {
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
    let group = |d: &Discovery| d.resource_group.as_ref().map(|g| g.to_ascii_lowercase());
    !a.subscription.is_empty()
        && a.subscription.eq_ignore_ascii_case(&b.subscription)
        && group(a) == group(b)
        && a.tag == b.tag
}

fn resource_group(field: &Field<'_>) -> Result<String, Wrong> {
    let text = field.text()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.()".contains(c);
    if text.len() <= 90 && text.chars().all(plain) && !text.ends_with('.') {
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
