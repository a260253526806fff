//! What is wrong with a configuration, all of it at once.
//!
//! A person corrects the file once instead of once per fault, so faults are collected. Each tells
//! where it is, what is wrong and what to write; callers get the same as data.

use std::fmt;

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the file.
    Line {
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// The file as a whole: something is missing in it, or it cannot be read.
    File,
    /// In the environment variable of this name.
    Variable(String),
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file's name as the caller gave it.
    pub file: String,
    /// Where the value stands.
    pub place: Place,
    /// The key with its sections, such as `dns.listen`; empty when the fault belongs to no key.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to write or do instead.
    pub remedy: String,
}

impl fmt::Display for ConfigError {
    /// `FILE:LINE: KEY: problem; remedy`, or with the variable's name in place of file and line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Line { line, .. } => write!(f, "{}:{line}: ", self.file)?,
            Place::File => write!(f, "{}: ", self.file)?,
            Place::Variable(name) => write!(f, "environment variable {name}: ")?,
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.problem, self.remedy)
    }
}

/// Every fault of a configuration, at least one: first those of the file by line, then those of the
/// file as a whole, then those of the environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    pub(super) fn new(mut errors: Vec<ConfigError>) -> Self {
        errors.sort_by(|a, b| (&a.place, &a.key).cmp(&(&b.place, &b.key)));
        Self(errors)
    }

    /// The faults in order.
    #[must_use]
    pub fn errors(&self) -> &[ConfigError] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    /// One fault per line, without a line break at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}
