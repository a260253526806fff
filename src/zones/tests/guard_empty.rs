//! Never to zero, but on ARM's plain word.

use super::story::{Story, play};
use crate::zones::*;

fn with_three() -> Story {
    play(&[(0, "abc", "abc", "", "abc")])
}

#[test]
fn arms_plain_word_takes_the_last_names_after_ten_polls_and_ten_minutes() {
    for (required, first) in [("404", ""), ("abc", "404"), ("z", "404"), ("abc", "rejected")] {
        let mut story = with_three();
        assert_eq!(story.polls(10, 60, required, first, ""), "abc *abc", "{required} {first}");
        assert_eq!(story.poll(659, required, first, ""), "abc *abc");
        assert_eq!(story.poll(660, required, first, ""), "");
        assert!(story.state.holds.is_empty());

        let mut story = with_three();
        for n in 1..10 {
            assert_eq!(story.poll(100 * n, required, first, ""), "abc *abc");
        }
        assert_eq!(story.poll(1000, required, first, ""), "");
    }
}

#[test]
fn a_single_last_name_needs_the_same() {
    let mut story = play(&[(0, "a", "a", "", "a")]);
    assert_eq!(story.polls(10, 60, "a", "404", ""), "a *a");
    assert_eq!(story.poll(660, "a", "404", ""), "");
}

#[test]
fn what_comes_back_in_time_was_never_away() {
    for (required, first) in [("404", ""), ("abc", "404"), ("abc", "rejected")] {
        let mut story = with_three();
        assert_eq!(story.polls(10, 60, required, first, ""), "abc *abc");
        assert_eq!(story.poll(620, "abc", "abc", ""), "abc");
        assert_eq!(story.polls(10, 660, required, first, ""), "abc *abc");
    }
}

#[test]
fn member_and_address_gone_never_takes_the_last_names() {
    let mut story = with_three();
    assert_eq!(story.polls(100, 60, "z", "none", ""), "abc !abc");
    let review = story.review(100_000, "z", ["none", ""]);
    assert_eq!(review.state.holds.len(), 3);
    for finding in review.state.holds.iter().map(Hold::finding) {
        assert_eq!(finding.kind, FindingKind::RemovalHeld);
        assert!(finding.message.contains("until an operator decides"), "{}", finding.message);
    }
}

#[test]
fn nor_does_it_name_by_name() {
    let mut story = with_three();
    assert_eq!(story.polls(3, 60, "abz", "ab", ""), "ab");
    assert_eq!(story.polls(3, 240, "az", "a", ""), "a");
    assert_eq!(story.polls(100, 420, "z", "none", ""), "a !a");
}

#[test]
fn nor_does_it_beside_a_name_that_waits_for_proof() {
    let mut story = with_three();
    assert_eq!(story.polls(2, 60, "az", "none", ""), "abc ?a.bc");
    assert_eq!(story.poll(180, "az", "none", ""), "a ?a");
    assert_eq!(story.polls(100, 240, "z", "none", ""), "a !a");
}

#[test]
fn an_application_that_is_still_there_but_converging_keeps_all() {
    for first in ["converging", "~", ""] {
        assert_eq!(with_three().polls(100, 60, "abc", first, ""), "abc ?abc", "{first:?}");
    }
}

#[test]
fn one_poll_with_arms_word_does_not_empty_what_was_held_for_the_operator() {
    for (required, first) in [("404", ""), ("z", "404"), ("z", "rejected")] {
        let mut story = with_three();
        assert_eq!(story.polls(50, 60, "z", "none", ""), "abc !abc");
        assert_eq!(story.poll(10_000, required, first, ""), "abc *abc");
        assert_eq!(story.polls(9, 10_060, required, first, ""), "abc *abc");
        assert_eq!(story.poll(10_600, required, first, ""), "");
    }
}

#[test]
fn arms_word_may_change_its_reason() {
    let mut story = with_three();
    assert_eq!(story.polls(5, 60, "abc", "rejected", ""), "abc *abc");
    assert_eq!(story.polls(5, 360, "abc", "404", ""), "abc *abc");
    assert_eq!(story.poll(660, "404", "", ""), "");
}

#[test]
fn a_deleted_endpoint_is_not_the_last_while_another_may_still_give_the_names() {
    // The endpoint is replaced, and the new one has no addresses yet.
    for second in ["~", "none", "converging"] {
        let mut story = with_three();
        assert_eq!(story.polls(100, 60, "abc", "404", second), "abc !abc", "{second}");
        // When that one goes too, the ten polls begin.
        assert_eq!(story.polls(10, 7000, "abc", "404", "404"), "abc *abc");
        assert_eq!(story.poll(7600, "abc", "404", "404"), "");
    }
    // A second endpoint that is not approved gives nothing.
    let mut story = with_three();
    assert_eq!(story.polls(11, 60, "abc", "404", "rejected"), "");
}

#[test]
fn when_the_new_endpoint_gives_the_names_the_old_addresses_go_soon() {
    let mut story = with_three();
    assert_eq!(story.polls(5, 60, "abc", "404", "~"), "abc !abc");
    assert_eq!(story.poll(360, "abc", "404", "ABC"), "/ABC");
}

#[test]
fn a_tag_that_is_gone_is_not_arms_word() {
    let mut story = with_three();
    assert_eq!(story.polls(100, 60, "untagged", "", ""), "abc !abc");
    assert_eq!(story.polls(10, 7000, "404", "", ""), "abc *abc");
    assert_eq!(story.poll(7550, "untagged", "", ""), "abc !abc");
    assert_eq!(story.approve("abc"), "");
}
