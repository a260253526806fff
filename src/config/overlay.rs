//! The overlay from the environment: `PRIVATELINK_DNS__DNS__LISTEN` stands for `listen` in `[dns]`.
//!
//! For containers, where a variable is easier to set than a file is to write. A variable replaces
//! the file's value whole and is checked like it; one that stands for no key is an error, since its
//! author believes that it does something.

use std::collections::BTreeMap;

use ::config::{Environment, Source};

use super::error::Place;
use super::reader::{Report, Wrong};
use super::schema;
use super::tree::{Entry, Node, Table, Value};

/// In front of every variable of the overlay.
const PREFIX: &str = "PRIVATELINK_DNS";
/// Between the prefix, the sections and the key.
const SEPARATOR: &str = "__";

/// The variable that stands for a key such as `dns.listen`.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{SEPARATOR}{}", key.to_ascii_uppercase().replace('.', SEPARATOR))
}

/// Whether a variable stands for a key such as `dns.listen`.
pub(super) fn stands_for(name: &str, key: &str) -> bool {
    name.replace('.', SEPARATOR).eq_ignore_ascii_case(&variable(key))
}

/// Whether the overlay looks at the variable.
pub(super) fn concerns(name: &str) -> bool {
    let prefix = PREFIX.len() + SEPARATOR.len();
    name.get(..prefix).is_some_and(|p| p.eq_ignore_ascii_case(&format!("{PREFIX}{SEPARATOR}")))
}

/// Lays the variables over the file's table. Empty variables count as unset. Returns the names of
/// those that took part.
pub(super) fn apply(variables: Vec<(String, String)>, root: &mut Table, report: &mut Report) -> Vec<String> {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut ours = Vec::new();
    for (name, value) in variables {
        if !concerns(&name) || value.is_empty() {
            continue;
        }
        if let Some(other) = names.insert(name.to_ascii_lowercase().replace('.', SEPARATOR), name.clone()) {
            let wrong = Wrong::new(format!("stands for the same key as {other}"), "unset one of the two");
            report.push(&Place::Variable(name), "", wrong);
            continue;
        }
        ours.push((name, value));
    }
    let source = Environment::with_prefix(PREFIX)
        .prefix_separator(SEPARATOR)
        .separator(SEPARATOR)
        .source(Some(ours.into_iter().collect()));
    let collected = match source.collect() {
        Ok(collected) => collected,
        Err(error) => {
            let wrong = Wrong::new(
                format!("the {PREFIX}{SEPARATOR} environment variables cannot be read: {error}"),
                "correct or unset them",
            );
            report.push(&Place::File, "", wrong);
            return Vec::new();
        }
    };
    let mut applied = Vec::new();
    for (key, value) in collected.into_iter().collect::<BTreeMap<_, _>>() {
        let spelled = variable(&key);
        let name = names.remove(&spelled.to_ascii_lowercase()).unwrap_or(spelled);
        // Every value is a text: the source does not guess types here.
        let text = value.into_string().unwrap_or_default();
        let place = Place::Variable(name.clone());
        if set(&key, text, &place, root, report) {
            applied.push(name);
        }
    }
    applied
}

/// Puts one value into the table. Returns whether it stands for a key.
fn set(key: &str, text: String, place: &Place, root: &mut Table, report: &mut Report) -> bool {
    let mut section = String::new();
    let mut segments = key.split('.').peekable();
    let mut table = Some(root);
    while let Some(segment) = segments.next() {
        let known = schema::keys(&section).unwrap_or_default();
        if !known.contains(&segment) {
            schema::report_unknown_variable(&section, segment, place, report);
            return false;
        }
        let path = schema::path(&section, segment);
        let is_section = schema::keys(&path).is_some();
        let last = segments.peek().is_none();
        let is_key = !is_section || schema::LISTS.contains(&path.as_str());
        if last && is_key {
            if let Some(table) = table {
                let value = if schema::LISTS.contains(&path.as_str()) {
                    list(&text, place)
                } else {
                    Value::Untyped(text)
                };
                let node = Node { place: place.clone(), value };
                table.insert(segment.to_owned(), Entry { place: place.clone(), node });
            }
            return true;
        }
        if last || schema::REPEATED.contains(&path.as_str()) {
            report.push(place, &path, no_single_value(&path));
            return false;
        }
        if !is_section {
            let wrong = Wrong::new("is a key and has no keys of its own", format!("set {}", variable(&path)));
            report.push(place, &path, wrong);
            return false;
        }
        table = table.and_then(|table| {
            let entry = table.entry(segment.to_owned()).or_insert_with(|| {
                let node = Node { place: place.clone(), value: Value::Table(Table::new()) };
                Entry { place: place.clone(), node }
            });
            match &mut entry.node.value {
                Value::Table(table) => Some(table),
                // The file has something else here, which is reported when the section is read.
                _ => None,
            }
        });
        section = path;
    }
    false
}

fn no_single_value(section: &str) -> Wrong {
    if section == "application" {
        let example = "/subscriptions/…/iotApps/ONE,/subscriptions/…/iotApps/TWO";
        return Wrong::new("is a list", format!("set {}={example}", variable(section)));
    }
    if schema::REPEATED.contains(&section) {
        let heading = schema::heading(section);
        return Wrong::new(
            "cannot be set in the environment",
            format!("unset the variable and write {heading} into the file"),
        );
    }
    let first = schema::keys(section).unwrap_or_default().first().copied().unwrap_or_default();
    let example = variable(&schema::path(section, first));
    Wrong::new("is a section, not a key", format!("set its keys one by one, such as {example}"))
}

fn list(text: &str, place: &Place) -> Value {
    let item = |text: &str| Node { place: place.clone(), value: Value::Untyped(text.trim().to_owned()) };
    Value::List(text.split(',').map(item).collect())
}
