//! Writes a state directory for `scripts/bench`, so that the daemon serves without Azure.
//!
//! `state DIRECTORY APPLICATIONS NAMES` writes `DIRECTORY/state.json` with so many names, spread over so
//! many applications, and prints the applications as the configuration wants them.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use privatelink_dns::store::{Saved, Store};
use privatelink_dns::zones::derive;

#[path = "../benches/support/mod.rs"]
#[allow(dead_code)]
mod support;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, applications, names] = arguments.as_slice() else {
        eprintln!("usage: state DIRECTORY APPLICATIONS NAMES");
        std::process::exit(2);
    };
    let applications: u32 = applications.parse().expect("a number of applications");
    let names: u32 = names.parse().expect("a number of names");
    let (mut generation, mut history) = (None, VecDeque::new());
    for i in 0..applications {
        let hubs = names * i / applications..names * (i + 1) / applications;
        let observation = support::observation_of(&format!("bench{i}"), hubs);
        println!("[[application]]\nid = \"{}\"", observation.application);
        let (next, difference) = support::accept(generation.as_ref(), &derive(&observation));
        generation = Some(next);
        history.push_back(difference);
    }
    let generation = Arc::new(generation.expect("at least one application"));
    let (store, _) = Store::open(Path::new(directory), support::now()).expect("a store");
    let saved =
        Saved { generation, history, rejections: Vec::new(), last_success: BTreeMap::new(), released: true };
    store.save(&saved).expect("saved");
}
