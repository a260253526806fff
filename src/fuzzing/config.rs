//! Configurations of any text.

use crate::config::{self, Place};

/// A configuration and, behind a NUL, lines `NAME=VALUE` of the environment: read, or faults that each say
/// where, what and what to write.
pub fn config(octets: &[u8]) {
    let Ok(input) = std::str::from_utf8(octets) else { return };
    let (text, environment) = input.split_once('\0').unwrap_or((input, ""));
    let pairs = || {
        let lines = environment.lines().filter_map(|line| line.split_once('='));
        lines.map(|(name, value)| (format!("PRIVATELINK_DNS__{name}"), value.to_owned()))
    };
    match config::parse("config.toml", text, pairs()) {
        Ok(config) => assert_eq!(config::parse("config.toml", text, pairs()), Ok(config), "the same again"),
        Err(errors) => {
            assert!(!errors.errors().is_empty());
            for error in errors.errors() {
                assert!(!error.problem.is_empty() && !error.remedy.is_empty(), "{error:?}");
                match &error.place {
                    // The end of a text without its end is a place too.
                    Place::Line { line, column } => {
                        let lines = text.split('\n').count();
                        assert!((1..=lines).contains(line) && *column >= 1, "{error:?}");
                    }
                    Place::File => {}
                    Place::Variable(name) => assert!(name.starts_with("PRIVATELINK_DNS__"), "{error:?}"),
                }
            }
            let lines = errors.to_string();
            assert!(lines.len() < 4096 + 64 * octets.len(), "the faults are bounded: {}", lines.len());
        }
    }
}
