//! TOML: `[[key]]` with name, algorithm and secret, any number of them.

use toml::de::{DeTable, DeValue};

use super::{Fault, Value, Written};
use crate::wire::tsig::Key;

const TABLE: &str =
    "write [[key]], and below it name = \"NAME\", algorithm = \"hmac-sha256\", secret = \"BASE64\"";

/// Reads the keys of a text, each with its line.
pub(super) fn read(text: &str) -> Result<Vec<(usize, Key)>, Fault> {
    let line = |start: usize| text.get(..start).unwrap_or(text).matches('\n').count() + 1;
    let root = DeTable::parse(text).map_err(|error| {
        // What the parser says names kinds of text and never the text.
        let problem = format!("this is not TOML: {}", error.message());
        Fault::new(line(error.span().map_or(0, |span| span.start)), problem, TABLE)
    })?;
    let mut keys = Vec::new();
    for (name, value) in root.get_ref() {
        let DeValue::Array(tables) = value.get_ref() else {
            return Err(Fault::new(line(name.span().start), "this is no [[key]]", TABLE));
        };
        if name.get_ref() != "key" {
            return Err(Fault::new(line(name.span().start), "a key file has nothing but [[key]]", TABLE));
        }
        for table in tables.iter() {
            let at = line(table.span().start);
            let DeValue::Table(fields) = table.get_ref() else {
                return Err(Fault::new(at, "this is no [[key]]", TABLE));
            };
            keys.push((at, written(at, fields, line)?.key()?));
        }
    }
    Ok(keys)
}

fn written<'a>(
    at: usize,
    fields: &'a DeTable<'_>,
    line: impl Fn(usize) -> usize,
) -> Result<Written<'a>, Fault> {
    let mut key = Written { line: at, ..Written::default() };
    for (name, value) in fields {
        let at = line(name.span().start);
        let field: &mut Option<Value<'_>> = match name.get_ref().as_ref() {
            "name" => &mut key.name,
            "algorithm" => &mut key.algorithm,
            "secret" => &mut key.secret,
            _ => {
                return Err(Fault::new(
                    at,
                    "a [[key]] has name, algorithm and secret, and nothing else",
                    TABLE,
                ));
            }
        };
        let DeValue::String(text) = value.get_ref() else {
            return Err(Fault::new(at, format!("the {} is no text", name.get_ref()), "put it in quotes"));
        };
        *field = Some((at, text));
    }
    Ok(key)
}
