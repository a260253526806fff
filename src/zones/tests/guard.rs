//! Additions and changed addresses at once, removals with proof.

use super::build::*;
use super::story::{Story, letter_name, play};
use crate::zones::*;

use FindingKind as Kind;

#[test]
fn additions_are_published_at_once() {
    play(&[
        (0, "ab", "ab", "", "ab"),
        (1, "abc", "abc", "", "abc"),
        (2, "abcd", "~abcd", "", "abcd"),
        (3, "abcd", "abcde", "", "abcde"),
        (4, "abcd", "abcde", "ab", "abcde/ab"),
    ]);
}

#[test]
fn changed_addresses_are_published_at_once() {
    // An endpoint that was deleted and made again under its name has other addresses.
    play(&[
        (0, "abc", "abc", "", "abc"),
        (1, "abc", "404", "", "abc *abc"),
        (2, "abc", "~", "", "abc ?abc"),
        (3, "abc", "~A", "", "Abc ?bc"),
        (4, "abc", "ABC", "", "ABC"),
    ]);
}

#[test]
fn changes_tell_what_happened_to_each_name() {
    let mut story = Story::default();
    let told = |review: &guard::Review| -> Vec<(DnsName, usize, usize, String)> {
        let short = |c: &Change| (c.name.clone(), c.old.len(), c.new.len(), c.cause.clone());
        review.changes.iter().map(short).collect()
    };
    let first = story.review(0, "ab", ["ab", ""]);
    let cause = "observed at the endpoint".to_owned();
    assert_eq!(told(&first), [(letter_name('a'), 0, 1, cause.clone()), (letter_name('b'), 0, 1, cause)]);
    assert_eq!(told(&story.review(1, "ab", ["ab", ""])), []);
    let moved = story.review(2, "ab", ["aB", ""]);
    assert_eq!(told(&moved), [(letter_name('b'), 1, 1, "the endpoint's address changed".to_owned())]);
    for second in [30, 60] {
        assert_eq!(told(&story.review(second, "a", ["a", ""])), []);
    }
    let gone = told(&story.review(90, "a", ["a", ""]));
    assert_eq!((&gone[0].0, gone[0].1, gone[0].2, gone.len()), (&letter_name('b'), 1, 0, 1));
    assert!(gone[0].3.ends_with("no address for it (in 3 complete polls in a row)"), "{}", gone[0].3);
}

#[test]
fn a_removal_needs_three_polls_and_a_minute() {
    play(&[
        (0, "abcdef", "abcdef", "", "abcdef"),
        (30, "abcde", "abcde", "", "abcdef .f"),
        (60, "abcde", "abcde", "", "abcdef .f"),
        (90, "abcde", "abcde", "", "abcde"),
    ]);
    // Two polls are not enough, however long they took.
    play(&[
        (0, "ab", "ab", "", "ab"),
        (1000, "a", "a", "", "ab .b"),
        (9000, "a", "a", "", "ab .b"),
        (9001, "a", "a", "", "a"),
    ]);
    // Nor are many polls within 59 s.
    play(&[
        (0, "ab", "ab", "", "ab"),
        (10, "a", "a", "", "ab .b"),
        (20, "a", "a", "", "ab .b"),
        (40, "a", "a", "", "ab .b"),
        (69, "a", "a", "", "ab .b"),
        (70, "a", "a", "", "a"),
    ]);
}

#[test]
fn a_clock_that_goes_back_removes_nothing() {
    play(&[
        (5000, "ab", "ab", "", "ab"),
        (5010, "a", "a", "", "ab .b"),
        (10, "a", "a", "", "ab .b"),
        (20, "a", "a", "", "ab .b"),
        (900, "a", "a", "", "ab .b"),
        (5070, "a", "a", "", "a"),
    ]);
}

#[test]
fn while_only_one_side_shows_it_the_name_stays() {
    // The endpoint's side.
    let mut story = play(&[(0, "abc", "abc", "", "abc")]);
    assert_eq!(story.polls(30, 60, "abc", "ab", ""), "abc ?c");
    let review = story.review(9000, "abc", ["ab", ""]);
    assert_eq!(review.state.holds.len(), 1);
    let finding = review.state.holds[0].finding();
    assert_eq!(finding.kind, Kind::RemovalHeld);
    assert!(finding.message.contains("Azure is converging"), "{}", finding.message);

    // The application's side.
    let mut story = play(&[(0, "abc", "abc", "", "abc")]);
    assert_eq!(story.polls(30, 60, "ab", "abc", ""), "abc");
    let derived = derive(&super::story::saw("ab", ["abc", ""]));
    assert_eq!(subjects(&derived, Kind::MemberLeaving), [letter_name('c').as_str()]);
}

#[test]
fn one_poll_without_proof_breaks_the_streak() {
    for (required, first) in [("ab", "a"), ("a", "~a"), ("a", "converging"), ("ab", "~a")] {
        let mut story =
            play(&[(0, "ab", "ab", "", "ab"), (30, "a", "a", "", "ab .b"), (100, "a", "a", "", "ab .b")]);
        assert!(story.poll(130, required, first, "").ends_with("b"), "{first}");
        assert!(story.state.holds.iter().all(|h| h.needs == Needs::Proof));
        assert_eq!(story.poll(160, "a", "a", ""), "ab .b");
        assert_eq!(story.poll(190, "a", "a", ""), "ab .b");
        assert_eq!(story.poll(219, "a", "a", ""), "ab .b");
        assert_eq!(story.poll(220, "a", "a", ""), "a");
    }
}

#[test]
fn reappearing_breaks_the_streak() {
    play(&[
        (0, "ab", "ab", "", "ab"),
        (30, "a", "a", "", "ab .b"),
        (100, "a", "a", "", "ab .b"),
        (130, "a", "ab", "", "ab"),
        (160, "a", "a", "", "ab .b"),
        (190, "a", "a", "", "ab .b"),
        (220, "a", "a", "", "a"),
    ]);
}

#[test]
fn more_than_three_and_more_than_half_at_once_is_a_bulk() {
    for (before, after, mark) in [
        ("abcdef", "abc", ".def"),       // three, half
        ("abcd", "a", ".bcd"),           // three, more than half
        ("abcdefgh", "abcd", ".efgh"),   // four, exactly half
        ("abcdefg", "abc", "*defg"),     // four of seven
        ("abcdefghi", "abcd", "*efghi"), // five of nine
        ("abcdefghij", "abcdef", ".ghij"),
    ] {
        let mut story = play(&[(0, before, before, "", before)]);
        assert_eq!(story.poll(30, after, after, ""), format!("{before} {mark}"));
    }
}

#[test]
fn a_bulk_needs_ten_polls_and_ten_minutes() {
    let mut story = play(&[(0, "abcdefg", "abcdefg", "", "abcdefg")]);
    assert_eq!(story.polls(10, 60, "abc", "abc", ""), "abcdefg *defg");
    assert_eq!(story.poll(659, "abc", "abc", ""), "abcdefg *defg");
    assert_eq!(story.poll(660, "abc", "abc", ""), "abc");

    let mut story = play(&[(0, "abcdefg", "abcdefg", "", "abcdefg")]);
    for n in 1..10 {
        assert_eq!(story.poll(100 * n, "abc", "abc", ""), "abcdefg *defg");
    }
    assert_eq!(story.poll(1000, "abc", "abc", ""), "abc");
}

#[test]
fn names_that_another_endpoint_gives_are_not_lost_and_make_no_bulk() {
    play(&[
        (0, "abcde", "abcde", "abcde", "abcde/abcde"),
        (30, "abcde", "abcde", "404", "abcde/abcde .abcde"),
        (60, "abcde", "abcde", "404", "abcde/abcde .abcde"),
        (90, "abcde", "abcde", "404", "abcde"),
    ]);
    // What only the deleted one gave is lost.
    play(&[
        (0, "abcdefg", "abc", "abcdefg", "abc/abcdefg"),
        (30, "abcdefg", "abc", "404", "abc/abcdefg .abc*defg"),
        (60, "abcdefg", "abc", "rejected", "abc/abcdefg .abc*defg"),
        (90, "abcdefg", "abc", "404", "abc/defg *defg"),
    ]);
}

#[test]
fn an_endpoint_that_nobody_mentions_keeps_its_names() {
    let mut story = play(&[(0, "abc", "ab", "c", "ab/c")]);
    assert_eq!(story.polls(30, 60, "ab", "ab", ""), "ab/c ?c");
}

#[test]
fn a_bulk_stays_one_when_a_part_of_it_is_decided() {
    // Approving one name must not let the others go after three polls, since they are fewer then.
    let mut story = play(&[
        (0, "abcdefghi", "abcdefghi", "", "abcdefghi"),
        (60, "abcd", "abcd", "", "abcdefghi *efghi"),
        (120, "abcd", "abcd", "", "abcdefghi *efghi"),
        (180, "abcd", "abcd", "", "abcdefghi *efghi"),
    ]);
    assert_eq!(story.approve("e"), "abcdfghi *fghi");
    assert_eq!(story.poll(240, "abcd", "abcd", ""), "abcdfghi *fghi");
    // Nor must names that come, and dilute the share of those that go.
    assert_eq!(story.poll(300, "abcdxyz", "abcdxyz", ""), "abcdfghixyz *fghi");
    assert_eq!(story.poll(360, "abcdxyz", "abcdxyz", ""), "abcdfghixyz *fghi");
    // A name that comes back leaves the bulk.
    assert_eq!(story.poll(420, "abcdfxyz", "abcdfxyz", ""), "abcdfghixyz *ghi");
    assert_eq!(story.poll(480, "abcdxyz", "abcdxyz", ""), "abcdfghixyz .f*ghi");
}

#[test]
fn an_unchanged_observation_changes_nothing() {
    let mut story = Story::default();
    let first = story.review(0, "abc", ["abc", "ab"]);
    let again = story.review(500, "abc", ["abc", "ab"]);
    assert_eq!((again.share, again.changes), (first.share, vec![]));
    assert_eq!(again.state, GuardState::default());
}

#[test]
fn an_address_keeps_the_time_at_which_it_was_first_observed() {
    let since = |share: &Share| share.placement(&endpoint_id(1), &letter_name('a')).expect("placed").since;
    let mut story = Story::default();
    let look = |story: &mut Story, seconds, shown| {
        let mut observation = super::story::saw("ab", [shown, ""]);
        observation.at = at(seconds);
        since(&story.take(seconds, &derive(&observation)).share)
    };
    assert_eq!(look(&mut story, 5, "ab"), at(5));
    assert_eq!(look(&mut story, 9, "~ab"), at(5));
    assert_eq!(look(&mut story, 10, "b"), at(5));
    assert_eq!(look(&mut story, 11, "ab"), at(5));
    assert_eq!(look(&mut story, 12, "Ab"), at(12));
    // A hold keeps the time at which the name was first missed.
    for seconds in [20, 30, 40] {
        look(&mut story, seconds, "Ab");
        story.review(seconds + 1, "ab", ["A", ""]);
    }
    assert_eq!(story.state.holds[0].since, at(41));
    story.review(99, "a", ["A", ""]);
    assert_eq!((story.state.holds[0].since, story.state.holds[0].proven.since), (at(41), Some(at(99))));
}
