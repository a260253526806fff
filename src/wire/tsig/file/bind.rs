//! BIND's syntax: `key "name" { algorithm hmac-sha256; secret "base64"; };`, any number of them.

use super::{Fault, Written};
use crate::wire::tsig::Key;

/// What a text consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// With or without quotes.
    Word(&'a str),
    Open,
    Close,
    End,
}

/// Takes a text apart; comments are those of the shell, C and C++.
struct Tokens<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Tokens<'a> {
    const fn new(text: &'a str) -> Self {
        Self { rest: text, line: 1 }
    }

    fn take(&mut self, length: usize) -> &'a str {
        // Every length is one that `find` or `len` gave.
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    /// Leaves out white space and comments.
    fn skip(&mut self) -> Result<(), Fault> {
        loop {
            let white = self.rest.len() - self.rest.trim_start().len();
            self.take(white);
            if self.rest.starts_with('#') || self.rest.starts_with("//") {
                let length = self.rest.find('\n').unwrap_or(self.rest.len());
                self.take(length);
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                let Some(length) = comment.find("*/") else {
                    return Err(Fault::new(self.line, "this comment does not end", "end it with */"));
                };
                self.take(length + 4);
            } else {
                return Ok(());
            }
        }
    }

    fn next(&mut self) -> Result<Option<(usize, Token<'a>)>, Fault> {
        self.skip()?;
        let line = self.line;
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        let token = match first {
            '{' | '}' | ';' => {
                self.take(1);
                match first {
                    '{' => Token::Open,
                    '}' => Token::Close,
                    _ => Token::End,
                }
            }
            '"' => {
                self.take(1);
                let length = self.rest.find(['"', '\n']).unwrap_or(self.rest.len());
                let word = self.take(length);
                if self.take(1) != "\"" {
                    return Err(Fault::new(line, "this quote does not end in its line", "end it with \""));
                }
                Token::Word(word)
            }
            _ => {
                let is_end = |c: char| c.is_whitespace() || matches!(c, '{' | '}' | ';' | '"');
                let length = self.rest.find(is_end).unwrap_or(self.rest.len());
                Token::Word(self.take(length))
            }
        };
        Ok(Some((line, token)))
    }

    /// The next token, if it is this one.
    fn expect(&mut self, wanted: Token<'_>, shown: &str, place: &str) -> Result<(), Fault> {
        match self.next()? {
            Some((_, token)) if token == wanted => Ok(()),
            other => {
                let line = other.map_or(self.line, |(line, _)| line);
                Err(Fault::new(line, format!("there is no {shown} {place}"), CLAUSE))
            }
        }
    }

    fn word(&mut self, after: &str) -> Result<(usize, &'a str), Fault> {
        match self.next()? {
            Some((line, Token::Word(word))) if !word.is_empty() => Ok((line, word)),
            other => {
                let line = other.map_or(self.line, |(line, _)| line);
                Err(Fault::new(line, format!("nothing stands after \"{after}\""), CLAUSE))
            }
        }
    }
}

const CLAUSE: &str = "write key \"NAME\" { algorithm hmac-sha256; secret \"BASE64\"; };";

/// Whether a text is TOML, which begins with the `[` of `[[key]]`.
pub(super) fn is_toml(text: &str) -> Result<bool, Fault> {
    let mut tokens = Tokens::new(text);
    tokens.skip()?;
    Ok(tokens.rest.starts_with('['))
}

/// Reads the keys of a text, each with its line.
pub(super) fn read(text: &str) -> Result<Vec<(usize, Key)>, Fault> {
    let mut tokens = Tokens::new(text);
    let mut keys = Vec::new();
    while let Some((line, token)) = tokens.next()? {
        match token {
            Token::Word(word) if word.eq_ignore_ascii_case("key") => {
                keys.push((line, clause(&mut tokens, line)?.key()?));
            }
            _ => return Err(Fault::new(line, "this is no key clause", CLAUSE)),
        }
    }
    Ok(keys)
}

/// Reads a clause that begins in `line`, after its first word.
fn clause<'a>(tokens: &mut Tokens<'a>, line: usize) -> Result<Written<'a>, Fault> {
    let mut clause = Written { line, name: Some(tokens.word("key")?), ..Written::default() };
    tokens.expect(Token::Open, "{", "after the name of the key")?;
    loop {
        let (line, what) = match tokens.next()? {
            Some((line, Token::Word(word))) => (line, word.to_ascii_lowercase()),
            Some((_, Token::Close)) => break,
            other => {
                let line = other.map_or(tokens.line, |(line, _)| line);
                return Err(Fault::new(line, "the clause does not end", CLAUSE));
            }
        };
        let (field, name) = match what.as_str() {
            "algorithm" => (&mut clause.algorithm, "algorithm"),
            "secret" => (&mut clause.secret, "secret"),
            _ => return Err(Fault::new(line, "a key has algorithm and secret, and nothing else", CLAUSE)),
        };
        if field.replace(tokens.word(name)?).is_some() {
            return Err(Fault::new(line, format!("the key has two {name}s"), "remove one of them"));
        }
        tokens.expect(Token::End, ";", &format!("after the {name}"))?;
    }
    tokens.expect(Token::End, ";", "after the } of the clause")?;
    Ok(clause)
}
