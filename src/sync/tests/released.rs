//! When secondaries may have the zones, and how a serial overtakes one that they have already.

use super::build::{DISCOVERY, at, config, found, id, ids, listed, names, not_found};
use crate::sync::Book;
use crate::zones::DnsName;

fn two() -> String {
    format!("{}{}", listed(&id("a")), listed(&id("b")))
}

#[test]
fn a_lost_state_takes_no_application_away_from_the_secondaries() {
    let config = config(&two());
    let mut book = Book::open(None, config.clone(), at(0));
    book.observe(found(&id("a"), 1), at(1));
    let step = book.observe(found(&id("b"), 2), at(2));
    assert!(book.is_released() && step.dirty);

    // The state is lost. A zone without the names of `b` would be newer than what the secondaries have.
    let mut book = Book::open(None, config, at(10));
    book.observe(found(&id("a"), 1), at(11));
    assert_eq!((names(&book, &id("a")), names(&book, &id("b"))), (1, 0));
    assert!(!book.is_released());
    book.fail(&id("b"), "no", at(12));
    book.observe(not_found(&id("b")), at(13));
    assert!(!book.is_released(), "one 404 proves nothing");
    book.observe(found(&id("b"), 2), at(14));
    assert!(book.is_released());
    assert_eq!((names(&book, &id("a")), names(&book, &id("b"))), (1, 2));
}

#[test]
fn once_released_is_released_for_good() {
    let mut book = Book::open(None, config(&listed(&id("a"))), at(0));
    book.observe(found(&id("a"), 1), at(1));
    assert!(book.is_released());
    let step = book.configure(config(&two()), at(2));
    assert!(!book.is_complete() && book.is_released() && !step.dirty, "a new application takes nothing away");
    let again = Book::open(book.saved(), config(&two()), at(3));
    assert!(!again.is_complete() && again.is_released(), "and a restart neither");
}

#[test]
fn a_discovery_has_to_have_listed() {
    let mut book = Book::open(None, config(&format!("{DISCOVERY}{}", listed(&id("a")))), at(0));
    book.observe(found(&id("a"), 1), at(1));
    assert!(!book.is_released(), "there may be others");
    let step = book.discovered(0, ids(&["a", "b"]), at(2));
    assert!(!book.is_released() && !step.dirty);
    let step = book.observe(found(&id("b"), 1), at(3));
    assert!(book.is_released() && step.dirty);
}

#[test]
fn a_release_without_a_change_is_saved() {
    let mut book = Book::open(None, config(&format!("{DISCOVERY}{}", listed(&id("a")))), at(0));
    book.observe(found(&id("a"), 1), at(1));
    let step = book.discovered(0, ids(&["a"]), at(2));
    assert!(step.dirty && !step.generation);
    assert!(book.saved().expect("a generation").released);
}

#[test]
fn a_serial_overtakes_the_one_that_a_secondary_has() {
    let mut book = Book::open(None, config(&listed(&id("a"))), at(0));
    book.observe(found(&id("a"), 1), at(1));
    let zone: DnsName = "privatelink.azure-devices.net".parse().expect("a name");
    let ours = book.generation().expect("a generation").serial(&zone).expect("a serial");

    for seen in [ours, ours - 1, ours.wrapping_add(1 << 31)] {
        assert!(book.raise(&zone, seen, "ns1", at(2)).is_none(), "{seen} is not greater than {ours}");
    }
    let (before, after, step) = book.raise(&zone, ours + 100, "ns1", at(2)).expect("raised");
    assert_eq!((before, after, step.generation, step.dirty), (ours, ours + 101, true, true));
    let generation = book.generation().expect("a generation").clone();
    assert_eq!(generation.serial(&zone), Some(after));
    assert!(generation.cause.contains("ns1"), "{}", generation.cause);
    assert_eq!(book.saved().expect("state").history.len(), 2, "the journal goes on");
    let again = Book::open(book.saved(), config(&listed(&id("a"))), at(3));
    assert_eq!(again.generation(), Some(&generation));

    let unknown = "example.net".parse().expect("a name");
    assert!(book.raise(&unknown, u32::MAX, "ns1", at(4)).is_none());
}
