//! The daemon's logic against a world in which everything goes wrong, by seed.
//!
//! Azure, the reads of a poll, the rules, the disk, secondaries and a server that stays primary, all in one
//! thread and in virtual time. A seed gives a list of events; whatever they are, the promises of
//! ARCHITECTURE.md hold after each of them, and once the faults end everybody has Azure's names within a
//! bounded number of polls. A list that breaks a promise is made as short as it gets and printed; it is data,
//! so it replays exactly.
//!
//! `scripts/simulate` runs many seeds, `cargo test` some.

mod azure;
mod daemon;
mod event;
mod peers;
mod run;
mod witness;

use event::{Event, events};

/// Seeds of an ordinary test run.
const SEEDS: u64 = 300;

/// Events of a seed.
const EVENTS: usize = 60;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// The shortest part of a list of events that still breaks a promise, and how.
fn shortest(mut events: Vec<Event>, mut broken: String) -> (Vec<Event>, String) {
    let mut size = events.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        let mut shorter = false;
        while at < events.len() {
            let mut fewer = events.clone();
            fewer.drain(at..(at + size).min(events.len()));
            match run::run(&fewer) {
                Err(reason) => {
                    (events, broken, shorter) = (fewer, reason, true);
                }
                Ok(_) => at += size,
            }
        }
        if !shorter || size > 1 {
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }
    (events, broken)
}

#[test]
fn promises_hold_whatever_happens() {
    let first = number("SIMULATE_FIRST").unwrap_or(1);
    let count = number("SIMULATE_SEEDS").unwrap_or(SEEDS);
    let mut sum = run::Tally::default();
    for seed in first..first + count {
        let events = events(seed, EVENTS);
        match run::run(&events) {
            Ok(tally) => sum += tally,
            Err(broken) => {
                let (events, broken) = shortest(events, broken);
                panic!("seed {seed}: {broken}\nafter {} events: {events:#?}", events.len());
            }
        }
    }
    println!("{count} seeds from {first}: {sum:?}");
    assert!(sum.is_lively(count), "too little happened: {sum:?}");
}

#[test]
fn a_list_of_events_replays_exactly() {
    for seed in 1..20 {
        let events = events(seed, EVENTS);
        assert_eq!(events, self::events(seed, EVENTS));
        assert_eq!(run::run(&events), run::run(&events));
    }
}
