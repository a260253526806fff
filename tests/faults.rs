//! The list of deliberate faults (`scripts/faults`) fits the code as it is: nothing is built for that.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    fault: Vec<Fault>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    name: String,
    promise: String,
    file: String,
    find: String,
    replace: String,
    tests: Vec<String>,
}

fn faults() -> Vec<Fault> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults");
    let mut faults = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = fs::read_to_string(&path).expect("text");
            let list: List = toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            faults.extend(list.fault);
        }
    }
    faults
}

#[test]
fn every_fault_has_one_place_in_the_code() {
    let mut names = BTreeSet::new();
    for fault in faults() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&fault.file);
        let text =
            fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {}: {e}", fault.name, fault.file));
        let places = text.matches(&fault.find).count();
        assert_eq!(places, 1, "{}: what it replaces is so often in {}", fault.name, fault.file);
        assert_ne!(fault.find, fault.replace, "{}", fault.name);
        assert!(!fault.promise.is_empty(), "{}", fault.name);
        assert!(names.insert(fault.name.clone()), "{} is there twice", fault.name);
    }
    assert!(names.len() >= 30, "{} faults", names.len());
}

#[test]
fn every_fault_names_the_tests_that_catch_it() {
    for fault in faults() {
        assert!(!fault.tests.is_empty(), "{}", fault.name);
        for tests in &fault.tests {
            let words: Vec<&str> = tests.split(' ').collect();
            let is_right = matches!(
                words.as_slice(),
                ["--lib", _]
                    | ["--test", _, _]
                    | ["zones" | "wire" | "store" | "azure" | "serve" | "targets", _]
            );
            assert!(
                is_right,
                "{}: {tests:?} is none of ROOM FILTER, --lib FILTER, --test NAME FILTER",
                fault.name
            );
        }
    }
}
