//! What is kept beside the generation: its differences, and what an operator said.

use std::sync::Arc;

use super::build::{at, config, found, id, listed, names};
use crate::sync::{Book, Selection};

#[test]
fn the_newest_32_differences_are_kept_and_survive_a_restart() {
    let config = config(&listed(&id("a")));
    let mut book = Book::open(None, config.clone(), at(0));
    for change in 1..=40 {
        book.observe(found(&id("a"), change), at(i64::from(change)));
    }
    let history = book.history();
    let numbers: Vec<u64> = history.iter().map(|difference| difference.number).collect();
    assert_eq!(numbers, (9..=40).collect::<Vec<u64>>());
    let newest = &history[31].zones[0];
    assert_eq!((newest.added.len(), newest.removed.len()), (1, 0));

    let again = Book::open(book.saved(), config, at(100));
    assert_eq!(again.history(), history);
}

#[test]
fn a_poll_that_changes_nothing_is_no_difference() {
    let mut book = Book::open(None, config(&listed(&id("a"))), at(0));
    for poll in 1..=3 {
        book.observe(found(&id("a"), 1), at(poll));
    }
    assert_eq!(book.history().len(), 1);
}

#[test]

fn nobody_has_a_copy_of_what_was() {
    let mut book = Book::open(None, config(&listed(&id("a"))), at(0));
    book.observe(found(&id("a"), 1), at(1));
    let before = book.history();
    book.observe(found(&id("a"), 2), at(2));
    let (now, saved) = (book.history(), book.saved().expect("state"));
    assert_eq!((before.len(), now.len()), (1, 2));
    // A history can have 100,000 records, and many have one: transfers, views, the state on its way to the disk.
    assert!(Arc::ptr_eq(&before[0].zones, &now[0].zones));
    assert!(Arc::ptr_eq(&now[1].zones, &saved.history[1].zones));
}

#[test]
fn a_rejection_survives_a_restart() {
    let config = config(&listed(&id("a")));
    let mut book = Book::open(None, config.clone(), at(0));
    book.observe(found(&id("a"), 3), at(1));
    book.observe(found(&id("a"), 2), at(2));
    let (count, step) = book.reject(&Selection::All);
    assert!(count == 1 && step.dirty, "it is saved at once");

    let mut again = Book::open(book.saved(), config, at(10));
    for poll in 0..20 {
        again.observe(found(&id("a"), 2), at(20 + poll));
    }
    assert_eq!(names(&again, &id("a")), 3);
    assert!(again.holds().iter().all(|hold| hold.rejected));
}
