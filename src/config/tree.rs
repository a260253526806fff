//! The configuration as a tree of values that know where they stand.
//!
//! File and environment meet here: after this step a value is a value, and only its [`Place`] tells
//! where it came from. None of the types prints itself, because a value may be a secret that
//! somebody pasted.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Place;

/// A table with the place of every key.
pub(super) type Table = BTreeMap<String, Entry>;

/// A key's place and its value.
pub(super) struct Entry {
    /// Where the key stands.
    pub(super) place: Place,
    /// The value.
    pub(super) node: Node,
}

/// A value and its place.
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// A value.
pub(super) enum Value {
    /// From an environment variable, where nothing tells a number from a text.
    Untyped(String),
    Text(String),
    /// Nothing when out of the range of 64 bits; the text as it was written, for messages.
    Integer(Option<i64>, String),
    Float(String),
    Boolean(bool),
    Date(String),
    List(Vec<Node>),
    Table(Table),
}

/// A fault of the syntax.
pub(super) struct SyntaxError {
    pub(super) place: Place,
    pub(super) message: String,
    /// The text that the fault is about, when it is a key.
    pub(super) duplicate: Option<String>,
}

/// Faults of one syntax error tend to multiply; more than these help nobody.
const MAX_SYNTAX_ERRORS: usize = 10;

/// Reads TOML.
///
/// # Errors
/// The faults of the syntax, the first of each line.
pub(super) fn read(text: &str) -> Result<Table, Vec<SyntaxError>> {
    let lines = Lines::new(text);
    let (table, faults) = DeTable::parse_recoverable(text);
    if faults.is_empty() {
        return Ok(lines.table(table.into_inner()));
    }
    let mut errors: Vec<SyntaxError> = Vec::new();
    for fault in faults {
        let span = fault.span();
        let place = span.clone().map_or(Place::File, |s| lines.place(&s));
        let same_line = |other: &Place| match (other, &place) {
            (Place::Line { line: a, .. }, Place::Line { line: b, .. }) => a == b,
            (a, b) => a == b,
        };
        if errors.len() == MAX_SYNTAX_ERRORS || errors.iter().any(|e| same_line(&e.place)) {
            continue;
        }
        let duplicate = (fault.message() == "duplicate key")
            .then(|| span.and_then(|s| text.get(s)).unwrap_or_default().to_owned());
        errors.push(SyntaxError { place, message: fault.message().to_owned(), duplicate });
    }
    Err(errors)
}

/// Reads what can be read of TOML, without its faults.
pub(super) fn recover(text: &str) -> Table {
    let (table, _) = DeTable::parse_recoverable(text);
    Lines::new(text).table(table.into_inner())
}

/// Turns byte offsets into lines.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect();
        Self { text, starts }
    }

    fn place(&self, span: &Range<usize>) -> Place {
        let line = self.starts.partition_point(|start| *start <= span.start);
        let start = line.checked_sub(1).and_then(|i| self.starts.get(i)).copied().unwrap_or(0);
        let before = self.text.get(start..span.start).unwrap_or_default();
        Place::Line { line, column: before.chars().count() + 1 }
    }

    fn table(&self, table: DeTable<'_>) -> Table {
        let entry = |(key, value): (Spanned<std::borrow::Cow<'_, str>>, Spanned<DeValue<'_>>)| {
            let place = self.place(&key.span());
            (key.into_inner().into_owned(), Entry { place, node: self.node(value) })
        };
        table.into_iter().map(entry).collect()
    }

    fn node(&self, value: Spanned<DeValue<'_>>) -> Node {
        let place = self.place(&value.span());
        let value = match value.into_inner() {
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Integer(n) => {
                Value::Integer(i64::from_str_radix(n.as_str(), n.radix()).ok(), n.to_string())
            }
            DeValue::Float(n) => Value::Float(n.to_string()),
            DeValue::Boolean(b) => Value::Boolean(b),
            DeValue::Datetime(date) => Value::Date(date.to_string()),
            DeValue::Array(items) => Value::List(items.into_iter().map(|item| self.node(item)).collect()),
            DeValue::Table(table) => Value::Table(self.table(table)),
        };
        Node { place, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_line() {
        let table = read("a = 1\n\n[b]\nc = [\n  'x',\n  'ü', 'y',\n]\n[[d]]\n[[d]]\ne.f = 0x10\n");
        let table = table.unwrap_or_default();
        let line = |place: &Place| match place {
            Place::Line { line, column } => (*line, *column),
            _ => (0, 0),
        };
        assert_eq!(line(&table["a"].place), (1, 1));
        assert_eq!(line(&table["a"].node.place), (1, 5));
        assert_eq!(line(&table["b"].node.place), (3, 1));
        let Value::Table(b) = &table["b"].node.value else { unreachable!("a table") };
        let Value::List(c) = &b["c"].node.value else { unreachable!("a list") };
        assert_eq!(c.iter().map(|n| line(&n.place)).collect::<Vec<_>>(), [(5, 3), (6, 3), (6, 8)]);
        let Value::List(d) = &table["d"].node.value else { unreachable!("a list") };
        assert_eq!(d.iter().map(|n| line(&n.place)).collect::<Vec<_>>(), [(8, 1), (9, 1)]);
    }

    #[test]
    fn depth_is_bounded() {
        for text in [
            format!("{} = 1", vec!["a"; 100_000].join(".")),
            format!("[{}]", vec!["a"; 100_000].join(".")),
            format!("a = {}", "[".repeat(100_000)),
            format!("a = {}", "{a=".repeat(100_000)),
        ] {
            assert!(read(&text).is_err());
            recover(&text);
        }
    }
}
