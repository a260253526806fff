//! The daemon's logic against a world in which everything goes wrong, by seed.
//!
//! Azure, the reads of a poll, the rules, the disk, secondaries and a server that stays primary, all in one
//! thread and in virtual time; once with the book alone, where every step is chosen (`run`), and once with
//! the daemon as it runs (`live`). A seed gives a list of events; whatever they are, the promises of
//! ARCHITECTURE.md hold after each of them, and once the faults end everybody has Azure's names within a
//! bounded number of polls. A list that breaks a promise is made as short as it gets and printed; it is data,
//! so it replays exactly.
//!
//! `scripts/simulate` runs many seeds, `cargo test` some.

mod azure;
mod daemon;
mod event;
mod live;
mod nameserver;
mod peers;
mod run;
mod running;
mod tally;
mod witness;

use event::{Event, events};

/// Seeds of an ordinary test run.
const SEEDS: u64 = 300;

/// Seeds of the running daemon there.
const LIVE_SEEDS: u64 = 100;

/// Fewer seeds need not come by everything.
const FEW: u64 = 50;

/// Events of a seed.
const EVENTS: usize = 60;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// The shortest part of a list of events that still breaks a promise, and how.
fn shortest<T>(
    run: fn(&[Event]) -> Result<T, String>,
    mut events: Vec<Event>,
    mut broken: String,
) -> (Vec<Event>, String) {
    let mut size = events.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        let mut shorter = false;
        while at < events.len() {
            let mut fewer = events.clone();
            fewer.drain(at..(at + size).min(events.len()));
            match run(&fewer) {
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

/// Runs as many seeds as are asked for, else `count`; gives what happened in all of them, and their number.
fn all<T: std::ops::AddAssign + Default + std::fmt::Debug>(
    run: fn(&[Event]) -> Result<T, String>,
    count: u64,
) -> (T, u64) {
    let first = number("SIMULATE_FIRST").unwrap_or(1);
    let count = number("SIMULATE_SEEDS").unwrap_or(count);
    let mut sum = T::default();
    for seed in first..first + count {
        let events = events(seed, EVENTS);
        match run(&events) {
            Ok(tally) => sum += tally,
            Err(broken) => {
                let (events, broken) = shortest(run, events, broken);
                panic!("seed {seed}: {broken}\nafter {} events: {events:#?}", events.len());
            }
        }
    }
    println!("{count} seeds from {first}: {sum:?}");
    (sum, count)
}

#[test]
fn promises_hold_whatever_happens() {
    let (sum, count) = all(run::run, SEEDS);
    assert!(count < FEW || sum.is_lively(count), "too little happened: {sum:?}");
}

#[test]
fn promises_hold_of_the_running_daemon() {
    let (sum, count) = all(live::run, LIVE_SEEDS);
    assert!(count < FEW || sum.is_lively(count), "too little happened: {sum:?}");
}

#[test]
fn a_list_of_events_replays_exactly() {
    for seed in 1..20 {
        let events = events(seed, EVENTS);
        assert_eq!(events, self::events(seed, EVENTS));
        assert_eq!(run::run(&events), run::run(&events));
        assert_eq!(live::run(&events), live::run(&events));
    }
}
