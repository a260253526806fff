//! An operator may end any hold.

use super::build::{at, endpoint_id, id, subnet};
use super::story::{Story, letter_name, play};
use crate::zones::*;

fn held_for_the_operator() -> Story {
    let mut story = play(&[(0, "abc", "abc", "", "abc")]);
    assert_eq!(story.polls(3, 60, "z", "none", ""), "abc !abc");
    story
}

#[test]
fn approving_ends_every_kind_of_hold_at_once_and_no_other() {
    let mut story = held_for_the_operator();
    assert_eq!(story.approve("b"), "ac !ac");
    assert_eq!(story.approve(""), "ac !ac");
    assert_eq!(story.poll(300, "z", "none", ""), "ac !ac");
    assert_eq!(story.approve("ac"), "");
    assert_eq!(story.poll(360, "z", "none", ""), "");

    let mut story = play(&[(0, "abc", "abc", "", "abc"), (60, "abc", "a", "", "abc ?bc")]);
    assert_eq!(story.approve("b"), "ac ?c");

    let mut story = play(&[(0, "abc", "abc", "", "abc"), (60, "ac", "ac", "", "abc .b")]);
    assert_eq!(story.approve("ab"), "ac");
}

#[test]
fn an_approved_name_comes_back_when_azure_shows_it() {
    let mut story = held_for_the_operator();
    assert_eq!(story.approve("abc"), "");
    assert_eq!(story.poll(300, "abc", "abc", ""), "abc");
}

#[test]
fn approving_touches_only_the_selected_endpoint() {
    let mut story = play(&[(0, "abc", "abc", "abc", "abc/abc"), (60, "abc", "abc", "404", "abc/abc .abc")]);
    assert_eq!(story.approve("a"), "abc/bc .bc");
    assert_eq!(story.approve("bc"), "abc");
}

#[test]
fn approving_nothing_changes_nothing() {
    // The second endpoint is approved, but has no names yet.
    let mut story = play(&[(0, "abc", "abc", "~", "abc"), (60, "ab", "ab", "~", "abc .c")]);
    let share = story.share.clone().expect("a share");
    assert!(share.endpoints[&endpoint_id(2)].names.is_empty());
    let (after, state, changes) = guard::approve(&share, &story.state, |_| false);
    assert_eq!((&after, &state, changes), (&share, &story.state, vec![]));
    story.approve("c");
    assert!(story.share.expect("a share").endpoints.contains_key(&endpoint_id(2)));
}

#[test]
fn an_approval_tells_its_changes() {
    let story = held_for_the_operator();
    let share = story.share.expect("a share");
    let (_, _, changes) = guard::approve(&share, &story.state, |hold| hold.name == letter_name('b'));
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].name, letter_name('b'));
    assert_eq!((changes[0].old.len(), changes[0].new.len()), (1, 0));
    assert!(changes[0].cause.contains("operator"));
}

#[test]
fn a_rejected_removal_never_happens() {
    let mut story = play(&[(0, "abc", "abc", "", "abc"), (60, "ab", "ab", "", "abc .c")]);
    assert_eq!(story.reject("c"), "abc -c");
    assert_eq!(story.polls(100, 120, "ab", "ab", ""), "abc -c");
    let review = story.review(9000, "ab", ["ab", ""]);
    assert_eq!(review.state.holds[0].finding().kind, FindingKind::RemovalRejected);
    // Not even when the application is gone.
    assert_eq!(story.polls(100, 9060, "404", "", ""), "c -c");
    assert_eq!(story.approve("c"), "");
}

#[test]
fn rejecting_touches_only_the_selected() {
    let mut story = play(&[(0, "abc", "abc", "", "abc"), (60, "a", "a", "", "abc .bc")]);
    assert_eq!(story.reject("ac"), "abc .b-c");
    assert_eq!(story.reject(""), "abc .b-c");
    assert_eq!(story.polls(2, 120, "a", "a", ""), "ac -c");
}

#[test]
fn reappearing_clears_a_rejection() {
    let mut story = play(&[(0, "abc", "abc", "", "abc"), (60, "ab", "ab", "", "abc .c")]);
    story.reject("c");
    assert_eq!(story.poll(120, "abc", "abc", ""), "abc");
    assert_eq!(story.polls(2, 180, "ab", "ab", ""), "abc .c");
    assert_eq!(story.poll(300, "ab", "ab", ""), "ab");
}

#[test]
fn rejections_survive_a_restart_and_streaks_do_not() {
    let mut story = play(&[
        (0, "abcd", "abcd", "", "abcd"),
        (60, "ab", "ab", "", "abcd .cd"),
        (120, "ab", "ab", "", "abcd .cd"),
    ]);
    story.reject("c");
    let text = serde_json::to_string(&story.state.holds).expect("JSON");
    let holds: Vec<Hold> = serde_json::from_str(&text).expect("holds");
    assert_eq!(holds, story.state.holds);
    story.state = GuardState::from_rejections(holds);
    assert_eq!(story.state.holds.len(), 1);
    assert_eq!(story.polls(2, 180, "ab", "ab", ""), "abcd .d-c");
    assert_eq!(story.polls(9, 300, "ab", "ab", ""), "abc -c");
}

#[test]
fn a_held_name_keeps_its_endpoint_with_its_subnet() {
    let mut story = play(&[(0, "ab", "ab", "", "ab")]);
    story.poll(60, "ab", "404", "");
    let share = story.share.expect("a share");
    assert_eq!(share.endpoints[&endpoint_id(1)].subnet, Some(subnet("cli-vnet-000003")));
    assert_eq!(share.application, id(super::build::APP));
}

#[test]
fn rejecting_one_of_all_names_is_no_word_on_the_others() {
    let mut story = held_for_the_operator();
    assert_eq!(story.reject("a"), "abc !bc-a");
    assert_eq!(story.polls(100, 300, "z", "none", ""), "abc !bc-a");
    assert_eq!(story.approve("b"), "ac !c-a");
}

#[test]
fn what_cannot_be_read_is_the_operators_until_it_can_be() {
    let mut story = play(&[(0, "abc", "abc", "", "abc"), (60, "ab", "ab", "", "abc .c")]);
    story.reject("a");
    let (held, share) = (story.state.holds.clone(), story.share.clone().expect("a share"));
    story.state = guard::unreadable(&share, &story.state, at(120));
    assert_eq!(story.told(), "abc !abc");
    for (hold, letter) in story.state.holds.iter().zip("abc".chars()) {
        let before = held.iter().find(|before| before.name == hold.name);
        assert_eq!((&hold.name, &hold.application), (&letter_name(letter), &share.application));
        assert_eq!(hold.absence, Absence::ApplicationUnreadable);
        assert_eq!(hold.since, before.map_or_else(|| at(120), |before| before.since));
        assert_eq!(hold.proven, before.map(|before| before.proven).unwrap_or_default());
    }
    let again = guard::unreadable(&share, &story.state, at(180));
    assert_eq!(again, story.state, "it goes on as it began");
    assert_eq!(story.reject("b"), "abc !ac-b");
    story.state = guard::unreadable(&share, &story.state, at(240));
    assert_eq!(story.told(), "abc !ac-b");

    // One that was held for another reason is still.
    let other = held.into_iter().map(|hold| Hold { name: letter_name('z'), ..hold });
    story.state.holds.extend(other);
    story.state = guard::readable(&story.state);
    assert_eq!(
        story.state.holds.iter().map(|hold| hold.name.clone()).collect::<Vec<_>>(),
        [letter_name('z')]
    );
}
