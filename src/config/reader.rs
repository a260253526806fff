//! Reads typed values from the tree and collects what is wrong with them.
//!
//! A value that cannot be read is reported and replaced by its default, so that one pass finds every
//! fault; the report keeps such a configuration from ever leaving this room.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::duration;
use super::error::{ConfigError, ConfigErrors, Place};
use super::tree::{Node, Table, Value};
use super::{overlay, schema};

/// The faults found so far, and what is known about the surroundings.
pub(super) struct Report {
    file: String,
    errors: Vec<ConfigError>,
    /// `$CREDENTIALS_DIRECTORY`.
    pub(super) credentials_directory: Option<String>,
    /// The files that the configuration names.
    pub(super) files: Vec<NamedFile>,
}

/// A file that the configuration names.
pub(super) struct NamedFile {
    pub(super) path: PathBuf,
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) holds: Holds,
}

/// What a file should hold.
#[derive(PartialEq)]
pub(super) enum Holds {
    /// Certificates of authorities.
    Authorities,
    /// A token that somebody else writes.
    Token,
    /// A client secret.
    Secret,
    /// The certificate of a service principal.
    Certificate,
    /// That and its private key.
    CertificateAndKey,
    /// The private key of the certificate in that file.
    KeyOf(PathBuf),
    /// TSIG keys.
    Keys,
    /// The private key of a listener, whose certificate is in that file, or in the same.
    ServerPair(Option<PathBuf>),
}

impl Report {
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), errors: Vec::new(), credentials_directory: None, files: Vec::new() }
    }

    pub(super) fn push(&mut self, place: &Place, key: &str, wrong: Wrong) {
        self.errors.push(ConfigError {
            file: self.file.clone(),
            place: place.clone(),
            key: key.to_owned(),
            problem: wrong.problem,
            remedy: wrong.remedy,
        });
    }

    /// Whether a key was rejected. What it was replaced with is compared with nothing.
    pub(super) fn is_wrong(&self, key: &str) -> bool {
        self.errors.iter().any(|error| error.key == key)
    }

    /// Takes the faults of another one.
    pub(super) fn append(&mut self, other: Self) {
        self.errors.extend(other.errors);
    }

    /// Whether nothing is wrong so far.
    pub(super) const fn is_clean(&self) -> bool {
        self.errors.is_empty()
    }

    /// The faults, once something is wrong.
    pub(super) fn into_errors(self) -> ConfigErrors {
        ConfigErrors::new(self.errors)
    }
}

/// What is wrong with a value, and what to write.
#[derive(Debug)]
pub(super) struct Wrong {
    problem: String,
    remedy: String,
}

impl Wrong {
    pub(super) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into() }
    }
}

/// A text in quotes, short enough for a message, and without the user name and password of a URL.
pub(super) fn shown(text: &str) -> String {
    const MAX: usize = 120;
    let url = text.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1)));
    if let Some((scheme, rest)) = url {
        return shown(&format!("{scheme}://…{rest}"));
    }
    match text.char_indices().nth(MAX) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// A value that was accepted, and where it stands.
pub(super) struct Item<T> {
    pub(super) place: Place,
    pub(super) value: T,
}

/// A section of the configuration; empty when it is not there.
pub(super) struct Section<'t> {
    path: String,
    pub(super) place: Place,
    table: Option<&'t Table>,
}

impl<'t> Section<'t> {
    pub(super) fn root(table: &'t Table) -> Self {
        Self { path: String::new(), place: Place::File, table: Some(table) }
    }

    pub(super) fn of(path: String, place: &Place, table: &'t Table) -> Self {
        Self { path, place: place.clone(), table: Some(table) }
    }

    /// `section.key`.
    pub(super) fn path(&self, key: &str) -> String {
        schema::path(&self.path, key)
    }

    /// The value under a key, and where the key stands.
    pub(super) fn node(&self, key: &str) -> Option<(&'t Place, &'t Node)> {
        self.table?.get(key).map(|entry| (&entry.place, &entry.node))
    }

    /// The section below this one.
    pub(super) fn child(&self, key: &str, report: &mut Report) -> Self {
        let path = self.path(key);
        match self.node(key) {
            Some((place, Node { value: Value::Table(table), .. })) => Self::of(path, place, table),
            Some((place, node)) => {
                let heading = schema::heading(&path);
                let problem = format!("expected a section, found {}", found(&node.value));
                report.push(
                    place,
                    &path,
                    Wrong::new(problem, format!("write its keys below a line {heading}")),
                );
                Self { path, place: place.clone(), table: None }
            }
            None => Self { path, place: Place::File, table: None },
        }
    }

    /// The value of a key, if it is there and `read` takes it. `example` is a value as TOML.
    pub(super) fn read<T>(
        &self,
        key: &str,
        example: impl Display,
        report: &mut Report,
        read: impl FnOnce(&Field<'_>) -> Result<T, Wrong>,
    ) -> Option<T> {
        let (_, node) = self.node(key)?;
        let field = Field { key: self.path(key), example: example.to_string(), node };
        match read(&field) {
            Ok(value) => Some(value),
            Err(wrong) => {
                report.push(&node.place, &field.key, wrong);
                None
            }
        }
    }

    /// Like [`read`](Self::read) for a key that has to be there; its absence is reported with the
    /// `reason`.
    pub(super) fn require<T>(
        &self,
        key: &str,
        example: &str,
        reason: &str,
        report: &mut Report,
        read: impl FnOnce(&Field<'_>) -> Result<T, Wrong>,
    ) -> Option<T> {
        if self.node(key).is_none() {
            let remedy = match &self.place {
                Place::Variable(_) => format!("set {}", overlay::variable(&self.path(key))),
                Place::File if !self.path.is_empty() => {
                    format!("write {key} = {example} into {}", schema::heading(&self.path))
                }
                _ => format!("write {key} = {example}"),
            };
            report.push(&self.place, &self.path(key), Wrong::new(format!("is missing{reason}"), remedy));
        }
        self.read(key, example, report, read)
    }

    /// The items of a list that `read` takes, if the list is there.
    pub(super) fn list<T>(
        &self,
        key: &str,
        example: &str,
        maximum: usize,
        report: &mut Report,
        read: impl Fn(&Field<'_>) -> Result<T, Wrong>,
    ) -> Option<Vec<Item<T>>> {
        let (_, node) = self.node(key)?;
        let field = Field::of(&self.path(key), example, node);
        let wrong = match &node.value {
            Value::List(items) if items.is_empty() => field.wrong("is an empty list"),
            Value::List(items) if items.len() > maximum => {
                Wrong::new(format!("has {} items", items.len()), format!("write at most {maximum}"))
            }
            Value::List(items) => return Some(self.items(key, example, items, report, read)),
            _ => field.wrong_type("a list"),
        };
        report.push(&node.place, &field.key, wrong);
        None
    }

    fn items<T>(
        &self,
        key: &str,
        example: &str,
        nodes: &[Node],
        report: &mut Report,
        read: impl Fn(&Field<'_>) -> Result<T, Wrong>,
    ) -> Vec<Item<T>> {
        let mut taken = Vec::with_capacity(nodes.len());
        for node in nodes {
            let field = Field::of(&self.path(key), example, node);
            match read(&field) {
                Ok(value) => taken.push(Item { place: node.place.clone(), value }),
                Err(wrong) => report.push(&node.place, &field.key, wrong),
            }
        }
        taken
    }

    /// A duration in a range, or its default.
    pub(super) fn duration(
        &self,
        key: &str,
        default: Duration,
        range: RangeInclusive<Duration>,
        report: &mut Report,
    ) -> Duration {
        let example = format!("\"{}\"", duration::show(default));
        self.read(key, example, report, |field| field.duration(&range)).unwrap_or(default)
    }

    /// A whole number in a range, or its default.
    pub(super) fn number<T>(
        &self,
        key: &str,
        default: T,
        range: RangeInclusive<i64>,
        report: &mut Report,
    ) -> T
    where
        T: TryFrom<i64> + Copy + Display,
    {
        let read = |field: &Field<'_>| {
            let number = field.integer(&range)?;
            T::try_from(number).map_err(|_| field.out_of_range(&number.to_string(), &range))
        };
        self.read(key, default, report, read).unwrap_or(default)
    }

    /// `true` or `false`, or the default.
    pub(super) fn flag(&self, key: &str, default: bool, report: &mut Report) -> bool {
        self.read(key, default, report, |field| field.boolean()).unwrap_or(default)
    }

    /// One of several words, the first being the default.
    pub(super) fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)], report: &mut Report) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let first = words.first().copied().unwrap_or_default();
        if self.node(key).is_none() {
            return choices.first().map(|(_, value)| *value);
        }
        self.read(key, format!("\"{first}\""), report, |field| {
            let text = field.text()?;
            choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
                let remedy = match schema::nearest(&text.to_ascii_lowercase().replace('_', "-"), &words) {
                    Some(near) => field.write(&format!("\"{near}\"")),
                    None => format!("choose one of {}", words.join(", ")),
                };
                Wrong::new(format!("{} is none of its values", shown(text)), remedy)
            })
        })
    }
}

/// One value while it is read.
pub(super) struct Field<'t> {
    pub(super) key: String,
    example: String,
    pub(super) node: &'t Node,
}

impl<'t> Field<'t> {
    pub(super) fn of(key: &str, example: &str, node: &'t Node) -> Self {
        Self { key: key.to_owned(), example: example.to_owned(), node }
    }

    /// How to write a value, given as TOML, at this place.
    pub(super) fn write(&self, value: &str) -> String {
        match &self.node.place {
            Place::Variable(name) => {
                let plain: String = value.chars().filter(|c| !"[]\"".contains(*c)).collect();
                format!("set {name}={}", plain.replace(", ", ","))
            }
            _ => format!("write {} = {value}", self.key.rsplit('.').next().unwrap_or_default()),
        }
    }

    /// A fault of the value, with the example as remedy.
    pub(super) fn wrong(&self, problem: impl Into<String>) -> Wrong {
        Wrong::new(problem, self.write(&self.example))
    }

    fn wrong_type(&self, expected: &str) -> Wrong {
        self.wrong(format!("expected {expected}, found {}", found(&self.node.value)))
    }

    /// A text, not empty.
    pub(super) fn text(&self) -> Result<&str, Wrong> {
        match &self.node.value {
            Value::Text(text) | Value::Untyped(text) if text.trim().is_empty() => Err(self.wrong("is empty")),
            Value::Text(text) | Value::Untyped(text) => Ok(text),
            _ => Err(self.wrong_type("a text in quotes")),
        }
    }

    fn boolean(&self) -> Result<bool, Wrong> {
        match &self.node.value {
            Value::Boolean(value) => Ok(*value),
            Value::Untyped(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Value::Untyped(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Value::Text(text) | Value::Untyped(text) => {
                // The default is no help to who wanted the opposite.
                let meant = match text.to_ascii_lowercase().as_str() {
                    "true" | "yes" | "on" | "1" => "true",
                    "false" | "no" | "off" | "0" => "false",
                    _ => &self.example,
                };
                let problem = format!("expected true or false, found {}", found(&self.node.value));
                Err(Wrong::new(problem, self.write(meant)))
            }
            _ => Err(self.wrong_type("true or false")),
        }
    }

    pub(super) fn integer(&self, range: &RangeInclusive<i64>) -> Result<i64, Wrong> {
        let (number, text) = match &self.node.value {
            Value::Integer(number, text) => (*number, text.as_str()),
            Value::Untyped(text) if text.parse::<i64>().is_ok() => (text.parse().ok(), text.as_str()),
            _ => return Err(self.wrong_type("a whole number")),
        };
        number.filter(|n| range.contains(n)).ok_or_else(|| self.out_of_range(text, range))
    }

    fn out_of_range(&self, text: &str, range: &RangeInclusive<i64>) -> Wrong {
        let (low, high) = (range.start(), range.end());
        let remedy = format!("write a number from {low} to {high}; the default is {}", self.example);
        Wrong::new(format!("{} is out of range", text.get(..40).unwrap_or(text)), remedy)
    }

    fn duration(&self, range: &RangeInclusive<Duration>) -> Result<Duration, Wrong> {
        let text = match &self.node.value {
            Value::Text(text) | Value::Untyped(text) | Value::Integer(_, text) => text.as_str(),
            _ => return Err(self.wrong_type("a duration in quotes")),
        };
        if !text.is_empty() && text.len() < 20 && text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Wrong::new(format!("{text} has no unit"), self.write(&format!("\"{text}s\""))));
        }
        let value = duration::parse(text).ok_or_else(|| {
            let remedy = format!("write numbers with the units ms, s, m, h or d, such as {}", self.example);
            Wrong::new(format!("{} is no duration", shown(text)), remedy)
        })?;
        if range.contains(&value) {
            return Ok(value);
        }
        let (low, high) = (duration::show(*range.start()), duration::show(*range.end()));
        let remedy = format!("write a duration from {low} to {high}; the default is {}", self.example);
        Err(Wrong::new(format!("{} is out of range", shown(text)), remedy))
    }
}

/// A value for a message.
fn found(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("the text {}", shown(text)),
        Value::Untyped(text) => shown(text),
        Value::Integer(_, text) | Value::Float(text) => {
            format!("the number {}", text.get(..40).unwrap_or(text))
        }
        Value::Boolean(value) => value.to_string(),
        Value::Date(text) => format!("the date {text}"),
        Value::List(_) => "a list".to_owned(),
        Value::Table(_) => "a section".to_owned(),
    }
}
