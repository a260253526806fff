//! What the fuzz targets in `fuzz/` run: one function for each, which takes any octets and panics when a
//! promise is broken.
//!
//! Here and not in `fuzz/`, because what reads the octets of others is private, and because the tests of
//! the crate run the same functions over the committed seeds. Built for tests and fuzzers only; what needs
//! the inside of a room lies in a file `fuzzing` of that room.

mod config;
mod state;

pub use crate::admin::fuzzing::api;
pub use crate::azure::fuzzing::arm;
pub use crate::serve::fuzzing::{answer, resolver, tsig};
pub use crate::targets::fuzzing::{hosts, zonefile};
pub use config::config;
pub use state::state;

/// What other servers send, whatever asked them: secondaries, servers that are written to, domain
/// controllers.
pub fn transfer(octets: &[u8]) {
    crate::serve::fuzzing::transfer(octets);
    crate::targets::fuzzing::transfer(octets);
    crate::wire::gss::fuzzing::transfer(octets.get(2..).unwrap_or_default());
}

/// Choices, taken from the input one after the other.
pub(crate) struct Octets<'a>(pub(crate) &'a [u8]);

impl Octets<'_> {
    /// The next octet.
    pub(crate) fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A text: its length, then its octets, each as a letter that names may have or nearly may have.
    pub(crate) fn text(&mut self) -> String {
        const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
        let length = usize::from(self.next().unwrap_or_default() % 80);
        (0..length)
            .map_while(|_| self.next())
            .map(|octet| if octet == b'_' { '_' } else { char::from(LETTERS[usize::from(octet & 63)]) })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    type Target = fn(&[u8]);

    /// The functions by their names, which are those of the targets and of their seeds' directories.
    const TARGETS: [(&str, Target); 10] = [
        ("answer", answer),
        ("api", api),
        ("arm", arm),
        ("config", config),
        ("hosts", hosts),
        ("resolver", resolver),
        ("state", state),
        ("transfer", transfer),
        ("tsig", tsig),
        ("zonefile", zonefile),
    ];

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("a directory");
        let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("text");
        let mut names: Vec<String> = entries.map(|entry| name(entry.expect("an entry"))).collect();
        names.sort();
        names
    }

    #[test]
    fn every_seed_passes_its_target() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let expected: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names(&root.join("seeds")), expected);
        let sources = names(&root.join("fuzz_targets"));
        assert_eq!(sources, expected.iter().map(|name| format!("{name}.rs")).collect::<Vec<_>>());
        for (target, run) in TARGETS {
            let directory = root.join("seeds").join(target);
            let seeds = names(&directory);
            assert!(!seeds.is_empty(), "{target} has no seeds");
            for seed in seeds {
                let octets = fs::read(directory.join(&seed)).expect("a seed");
                eprintln!("{target}/{seed}");
                run(&octets);
                // And what a first change of it would be.
                run(&octets[..octets.len() / 2]);
            }
        }
    }
}
