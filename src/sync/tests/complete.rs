//! When every application has been observed, so that missing names may be denied.

use super::build::{DISCOVERY, at, config, found, id, ids, kinds, listed, not_found, untagged};
use crate::sync::Book;
use crate::zones::FindingKind;

/// A book that follows the named applications, none of them read yet.
fn book(names: &[&str]) -> Book {
    let lines: String = names.iter().map(|name| listed(&id(name))).collect();
    Book::open(None, config(&lines), at(0))
}

#[test]
fn an_application_counts_as_observed_once_it_was_found() {
    let mut book = book(&["a", "b"]);
    book.observe(found(&id("a"), 1), at(0));
    assert!(!book.is_complete());
    book.observe(found(&id("b"), 0), at(0));
    assert!(book.is_complete(), "also without names");
}

#[test]
fn one_404_is_no_reason_to_deny_names() {
    let mut book = book(&["a", "b"]);
    book.observe(found(&id("a"), 1), at(0));
    for poll in 1..=2 {
        book.observe(not_found(&id("b")), at(poll));
        assert!(!book.is_complete(), "poll {poll}");
        assert_eq!(kinds(&book, at(poll)), [FindingKind::ApplicationNotFound, FindingKind::NeverObserved]);
    }
    book.fail(&id("b"), "no", at(3));
    assert!(!book.is_complete(), "a failed poll says nothing");
    book.observe(not_found(&id("b")), at(4));
    assert!(book.is_complete(), "the third complete poll in a row");
    book.observe(not_found(&id("b")), at(5));
    assert!(book.is_complete(), "and it stays so");
}

#[test]
fn the_404s_have_to_be_in_a_row() {
    let mut book = Book::open(None, config(DISCOVERY), at(0));
    book.discovered(0, ids(&["a"]), at(0));
    book.observe(not_found(&id("a")), at(1));
    book.observe(not_found(&id("a")), at(2));
    assert!(book.generation().is_none());
    book.observe(untagged(&id("a")), at(3));
    assert!(book.is_complete(), "it was read, even if nobody takes it");
}
