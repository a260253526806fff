//! When records count as stale.

use super::build::{DISCOVERY, at, config, found, id, ids, listed};
use crate::sync::Book;

/// `stale_after` is 15 minutes.
const LIMIT: i64 = 900;

#[test]
fn nothing_is_stale_before_it_was_followed_for_long() {
    let mut book = Book::open(None, config(DISCOVERY), at(0));
    let late = 10 * LIMIT;
    book.discovered(0, ids(&["a"]), at(late));
    assert!(book.stale(at(late + LIMIT)).is_empty(), "found just now");
    assert_eq!(book.stale(at(late + LIMIT + 1)), ids(&["a"]));

    let later = 2 * late;
    book.configure(config(&format!("{DISCOVERY}{}", listed(&id("b")))), at(later));
    assert_eq!(book.stale(at(later + LIMIT)), ids(&["a"]), "b was configured just now");
    assert_eq!(book.stale(at(later + LIMIT + 1)), ids(&["a", "b"]));
    book.observe(found(&id("a"), 1), at(later + LIMIT + 1));
    assert_eq!(book.stale(at(later + LIMIT + 2)), ids(&["b"]));
}

#[test]
fn the_age_of_records_survives_a_restart() {
    let config = config(&listed(&id("a")));
    let mut book = Book::open(None, config.clone(), at(0));
    book.observe(found(&id("a"), 1), at(0));
    let mut saved = book.saved().expect("state");
    let again = Book::open(Some(saved.clone()), config.clone(), at(LIMIT));
    assert!(again.stale(at(LIMIT)).is_empty());
    assert_eq!(again.stale(at(LIMIT + 1)), ids(&["a"]));
    assert_eq!(again.saved(), Some(saved.clone()), "it is kept for the next one");

    // State of a daemon that did not save it.
    saved.last_success.clear();
    let again = Book::open(Some(saved), config, at(LIMIT));
    assert!(again.stale(at(LIMIT + LIMIT)).is_empty());
}
