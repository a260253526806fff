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
