//! Applications that a discovery found, and how they end.

use std::collections::BTreeSet;

use super::build::{DISCOVERY, at, config, found, id, ids, kinds, listed, names, not_found, untagged};
use crate::sync::{Book, Selection};
use crate::zones::{FindingKind, Needs};

/// A book that follows what is tagged, with application `a` read once.
fn book() -> Book {
    let mut book = Book::open(None, config(DISCOVERY), at(0));
    book.discovered(0, ids(&["a"]), at(0));
    book.observe(found(&id("a"), 2), at(0));
    assert_eq!(names(&book, &id("a")), 2);
    book
}

/// Nothing of an application is left: it is not polled, reported, held or saved.
fn assert_forgotten(book: &Book) {
    assert_eq!(book.wanted(), BTreeSet::new());
    assert!(book.reports().is_empty());
    assert!(book.holds().is_empty());
    assert_eq!(kinds(book, at(100_000)), []);
    assert!(book.saved().is_none_or(|saved| saved.generation.shares.is_empty()));
}

#[test]
fn a_deleted_one_leaves_nothing_behind() {
    // The list may say so before the last poll or after it.
    for list_first in [true, false] {
        let mut book = book();
        if list_first {
            book.discovered(0, BTreeSet::new(), at(1));
        }
        for poll in 1..=5 {
            assert_eq!(book.wanted(), ids(&["a"]), "poll {poll}: its names wait for proof");
            let step = book.observe(not_found(&id("a")), at(poll));
            assert_eq!(step.changes.len(), if poll == 5 { 2 } else { 0 });
        }
        if !list_first {
            assert_eq!(kinds(&book, at(5)), [FindingKind::ApplicationNotFound]);
            let step = book.discovered(0, BTreeSet::new(), at(6));
            assert!(step.dirty && step.generation, "its empty share is not saved any more");
        }
        assert_forgotten(&book);
    }
}

#[test]
fn one_that_was_never_read_leaves_nothing_behind() {
    let mut book = Book::open(None, config(DISCOVERY), at(0));
    book.discovered(0, ids(&["a"]), at(0));
    book.fail(&id("a"), "no", at(0));
    assert_eq!(kinds(&book, at(0)), [FindingKind::PollFailed, FindingKind::NeverObserved]);
    let step = book.discovered(0, BTreeSet::new(), at(1));
    assert!(!step.generation, "nothing was ever accepted");
    assert_forgotten(&book);
}

#[test]
fn one_whose_tag_was_taken_off_leaves_nothing_once_approved() {
    let mut book = book();
    book.discovered(0, BTreeSet::new(), at(1));
    for poll in 1..=9 {
        book.observe(untagged(&id("a")), at(poll));
    }
    assert_eq!(names(&book, &id("a")), 2, "a tag is not the operator's word");
    let (ended, step) = book.approve(&Selection::All, at(10));
    assert_eq!((ended, step.changes.len(), step.generation, step.dirty), (2, 2, true, true));
    assert_forgotten(&book);
}

#[test]
fn one_that_fails_the_list_of_another_scope_is_forgotten_too() {
    let other = DISCOVERY.replace("00000000-0", "11111111-1");
    let mut book = Book::open(None, config(&format!("{DISCOVERY}{other}")), at(0));
    book.discovered(0, ids(&["a"]), at(0));
    book.observe(found(&id("a"), 1), at(0));
    book.discovery_failed(1, "no");
    book.discovered(0, BTreeSet::new(), at(1));
    for poll in 1..=5 {
        book.observe(not_found(&id("a")), at(poll));
    }
    assert!(book.reports().is_empty(), "the other discovery could never list it");
}

#[test]
fn one_that_is_listed_stays_without_names() {
    let mut book = book();
    for poll in 1..=9 {
        book.observe(not_found(&id("a")), at(poll));
    }
    book.discovered(0, ids(&["a"]), at(9));
    assert_eq!(kinds(&book, at(9)), [FindingKind::ApplicationNotFound]);
    assert_eq!(book.wanted(), ids(&["a"]));
}

#[test]
fn one_that_is_named_stays_too() {
    let mut book = Book::open(None, config(&format!("{DISCOVERY}{}", listed(&id("a")))), at(0));
    book.discovered(0, BTreeSet::new(), at(0));
    for poll in 1..=3 {
        book.observe(not_found(&id("a")), at(poll));
    }
    assert_eq!(book.wanted(), ids(&["a"]));
    assert_eq!(kinds(&book, at(3)), [FindingKind::ApplicationNotFound], "the operator has to take it out");
}

#[test]
fn one_that_cannot_be_read_any_more_is_the_operators_to_end() {
    let mut book = book();
    book.discovered(0, BTreeSet::new(), at(1));
    for failure in 1..=2 {
        book.fail(&id("a"), "the resource group does not exist", at(failure));
        assert!(book.holds().is_empty(), "a failure may pass");
    }
    book.fail(&id("a"), "the resource group does not exist", at(3));
    book.fail(&id("a"), "the resource group does not exist", at(4));
    let holds = book.holds();
    assert_eq!(holds.len(), 2);
    assert!(holds.iter().all(|hold| hold.needs == Needs::Operator && hold.since == at(3)), "{holds:?}");
    assert!(kinds(&book, at(4)).contains(&FindingKind::RemovalHeld));
    assert_eq!(names(&book, &id("a")), 2);

    let (ended, step) = book.approve(&Selection::Application(id("a")), at(5));
    assert_eq!((ended, step.changes.len()), (2, 2));
    assert_forgotten(&book);
}

#[test]
fn one_that_fails_is_nobodys_to_end_while_it_may_be_there() {
    let mut still_listed = book();
    still_listed.discovered(0, ids(&["a"]), at(1));
    fails_for_long(still_listed);

    let mut not_listed_since_the_restart = Book::open(book().saved(), config(DISCOVERY), at(1));
    not_listed_since_the_restart.discovery_failed(0, "no");
    fails_for_long(not_listed_since_the_restart);

    let mut named = book();
    named.configure(config(&format!("{DISCOVERY}{}", listed(&id("a")))), at(1));
    named.discovered(0, BTreeSet::new(), at(1));
    fails_for_long(named);
}

fn fails_for_long(mut book: Book) {
    for failure in 1..=9 {
        book.fail(&id("a"), "no", at(failure));
    }
    assert!(book.holds().is_empty());
    assert_eq!(names(&book, &id("a")), 2);
}

#[test]
fn one_that_is_seen_again_is_held_no_more() {
    for listed in [true, false] {
        let mut book = book();
        book.discovered(0, BTreeSet::new(), at(1));
        for failure in 1..=3 {
            book.fail(&id("a"), "no", at(failure));
        }
        book.reject(&Selection::All);
        assert!(kinds(&book, at(3)).contains(&FindingKind::RemovalRejected));
        book.fail(&id("a"), "no", at(4));
        assert!(book.holds().iter().all(|hold| hold.rejected), "a rejection stays");
        if listed {
            book.discovered(0, ids(&["a"]), at(5));
        } else {
            book.observe(found(&id("a"), 2), at(5));
        }
        assert!(book.holds().is_empty());
        assert_eq!(names(&book, &id("a")), 2);
    }
}
