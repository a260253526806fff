//! The guard against random histories, judged by an oracle that knows only what each poll saw.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::build::{at, endpoint_id};
use super::story::{Story, letter_name, saw};
use crate::zones::*;

/// What one complete poll sees, in the words of [`super::story`].
#[derive(Debug, Clone)]
struct Sight {
    seconds: i64,
    required: String,
    endpoints: [String; 2],
}

/// What happens in a history.
#[derive(Debug, Clone)]
enum Event {
    /// The same sight, polled several times, so many seconds apart.
    Polls { sight: Sight, times: u8, step: i64 },
    /// An operator approves the holds of these names.
    Approve(String),
    /// An operator rejects them.
    Reject(String),
    /// The daemon starts anew.
    Restart,
}

fn letters() -> impl Strategy<Value = String> {
    subsequence(vec!['a', 'b', 'c', 'd', 'e', 'f'], 0..=6).prop_map(String::from_iter)
}

fn an_endpoint() -> impl Strategy<Value = String> {
    prop_oneof![
        1 => select(vec!["", "404", "404", "rejected", "converging", "none", "~"]).prop_map(str::to_owned),
        2 => letters().prop_map(|shown| if shown.is_empty() { "none".to_owned() } else { shown }),
        1 => Just("abcdef".to_owned()),
        1 => letters().prop_map(|shown| shown.to_ascii_uppercase()).prop_filter("a name", |s| !s.is_empty()),
        1 => letters().prop_map(|shown| format!("~{shown}")),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    // The `z` stands for a member that never has an address: a list without members proves nothing.
    let required = prop_oneof![
        8 => letters().prop_map(|l| l + "z"),
        2 => letters(),
        1 => select(vec!["404", "untagged"]).prop_map(str::to_owned),
    ];
    let sight = (required, an_endpoint(), an_endpoint(), 1..14u8, 1..200i64).prop_map(
        |(required, first, second, times, step)| Event::Polls {
            sight: Sight { seconds: 0, required, endpoints: [first, second] },
            times,
            step,
        },
    );
    // What was seen everywhere at once is what removals start from.
    let all = Just(Event::Polls {
        sight: Sight {
            seconds: 0,
            required: "abcdefz".to_owned(),
            endpoints: ["abcdef".to_owned(), String::new()],
        },
        times: 1,
        step: 30,
    });
    prop_oneof![
        10 => sight,
        3 => all,
        1 => letters().prop_map(Event::Approve),
        1 => letters().prop_map(Event::Reject),
        1 => Just(Event::Restart),
    ]
}

impl Sight {
    /// Whether both sides lack the name at the endpoint, and if so whether that is ARM's plain word.
    fn gone(&self, endpoint: usize, letter: char) -> Option<bool> {
        match (self.required.as_str(), self.endpoints[endpoint].as_str()) {
            ("404", _) => Some(true),
            ("untagged", _) => Some(false),
            (_, "404" | "rejected") => {
                Some(self.endpoints.iter().all(|e| matches!(e.as_str(), "" | "404" | "rejected")))
            }
            ("", _) | (_, "" | "converging") => None,
            (_, shown) if shown.starts_with('~') => None,
            (required, "none") => (!required.contains(letter)).then_some(false),
            (required, shown) => {
                let there = shown.to_ascii_lowercase().contains(letter) || required.contains(letter);
                (!there).then_some(false)
            }
        }
    }
}

/// How many polls in a row up to the last one lack the name for the same kind of reason, over how
/// many seconds, and whether that is ARM's plain word.
fn streak(log: &[Sight], endpoint: usize, letter: char) -> Option<(usize, i64, bool)> {
    let last = log.last()?;
    let reason = last.gone(endpoint, letter)?;
    let run: Vec<i64> = log
        .iter()
        .rev()
        .take_while(|sight| sight.gone(endpoint, letter) == Some(reason))
        .map(|sight| sight.seconds)
        .collect();
    Some((run.len(), last.seconds - run.last()?, reason))
}

type Published = BTreeMap<(ResourceId, DnsName), BTreeSet<Ipv4Addr>>;

fn published(share: &Share) -> Published {
    share.placements().map(|(e, n, p)| ((e.clone(), n.clone()), p.addresses.clone())).collect()
}

fn names_of(published: &Published) -> BTreeSet<&DnsName> {
    published.keys().map(|(_, name)| name).collect()
}

/// The oracle: everything that has to be true of one poll.
fn judge(
    log: &[Sight],
    from: usize,
    before: &Story,
    after: &Story,
    review: &guard::Review,
) -> Result<(), TestCaseError> {
    let sight = log.last().expect("a poll");
    let derived = derive(&saw(&sight.required, [&sight.endpoints[0], &sight.endpoints[1]]));
    let seen = published(&derived.share);
    let old = before.share.as_ref().map(published).unwrap_or_default();
    let new = published(&review.share);

    // What Azure shows is published as shown; the rest is as before and held, one hold for each.
    let held: BTreeSet<_> = review.state.holds.iter().map(|h| (h.endpoint.clone(), h.name.clone())).collect();
    for (key, addresses) in &seen {
        prop_assert_eq!(new.get(key), Some(addresses));
    }
    for (key, addresses) in new.iter().filter(|(key, _)| !seen.contains_key(*key)) {
        prop_assert_eq!(old.get(key), Some(addresses));
        prop_assert!(held.contains(key));
    }
    prop_assert_eq!(held.len(), new.len() - seen.len());

    // The changes tell the whole difference.
    let mut applied = old.clone();
    for change in &review.changes {
        let key = (change.endpoint.clone(), change.name.clone());
        prop_assert_eq!(applied.remove(&key).unwrap_or_default(), change.old.clone());
        prop_assert_ne!(&change.old, &change.new);
        prop_assert!(!change.cause.is_empty());
        if !change.new.is_empty() {
            applied.insert(key, change.new.clone());
        }
    }
    prop_assert_eq!(&applied, &new);

    // What left had its proof.
    let lost: BTreeSet<_> = names_of(&old).difference(&names_of(&seen)).copied().cloned().collect();
    let bulk = lost.len() > 3 && 2 * lost.len() > names_of(&old).len();
    for endpoint in 0..2 {
        for letter in 'a'..='f' {
            let key = (endpoint_id(endpoint as u8 + 1), letter_name(letter));
            let rejected =
                before.state.holds.iter().any(|h| h.rejected && (&h.endpoint, &h.name) == (&key.0, &key.1));
            if old.contains_key(&key) && !new.contains_key(&key) {
                prop_assert!(!rejected, "a rejected removal happened");
                let proof = streak(&log[from..], endpoint, letter);
                prop_assert!(proof.is_some(), "{key:?} left without proof");
                let (polls, seconds, arms_word) = proof.unwrap_or_default();
                prop_assert!(polls >= 3 && seconds >= 60, "{key:?} left after {polls} polls, {seconds} s");
                if new.is_empty() || (bulk && lost.contains(&key.1)) {
                    prop_assert!(
                        polls >= 10 && seconds >= 600,
                        "{key:?} left after {polls} polls, {seconds} s"
                    );
                }
                prop_assert!(arms_word || !new.is_empty(), "{key:?} was the last, without ARM's word");
            }
            // And what has all the proof that there is does not stay for ever.
            if let (true, Some((10.., 600.., arms_word))) =
                (new.contains_key(&key), streak(&log[from..], endpoint, letter))
            {
                let last = seen.is_empty() && !arms_word;
                prop_assert!(rejected || last || seen.contains_key(&key), "{key:?} stays");
            }
        }
    }

    // Ages are stable.
    for (endpoint, name, placement) in review.share.placements() {
        let known = before.share.as_ref().and_then(|s| s.placement(endpoint, name));
        if let Some(known) = known.filter(|known| known.addresses == placement.addresses) {
            prop_assert_eq!(known.since, placement.since);
        }
    }
    for hold in &review.state.holds {
        let known = before.state.holds.iter().find(|h| h.endpoint == hold.endpoint && h.name == hold.name);
        prop_assert_eq!(hold.since, known.map_or_else(|| at(sight.seconds), |h| h.since));
        prop_assert_eq!(hold.rejected, known.is_some_and(|h| h.rejected));
    }

    // A second look at the same observation brings nothing new; where nothing is held, nothing changes.
    let again = guard::review(after.share.as_ref(), &derived, &after.state, &after.policy, at(sight.seconds));
    prop_assert!(again.changes.iter().all(|c| c.new.is_empty()));
    if held.is_empty() {
        prop_assert_eq!(&again.share.endpoints, &review.share.endpoints);
        prop_assert_eq!(&again.changes, &vec![]);
    }
    Ok(())
}

fn letters_of(holds: &[Hold], letters: &str) -> Vec<bool> {
    holds.iter().map(|h| letters.chars().any(|l| letter_name(l) == h.name)).collect()
}

/// Plays a history; `judge` looks at each poll.
fn play(events: Vec<Event>) -> Result<(), TestCaseError> {
    let mut story = Story::default();
    let mut log = Vec::<Sight>::new();
    let (mut now, mut from) = (0, 0);
    for event in events {
        match event {
            Event::Polls { sight, times, step } => {
                for _ in 0..times {
                    now += step;
                    log.push(Sight { seconds: now, ..sight.clone() });
                    let before = story.clone();
                    let [first, second] = &sight.endpoints;
                    let review = story.review(now, &sight.required, [first, second]);
                    judge(&log, from, &before, &story, &review)?;
                }
            }
            Event::Approve(letters) => {
                let Some(share) = story.share.clone() else { continue };
                let before = story.state.holds.clone();
                story.approve(&letters);
                let selected = letters_of(&before, &letters);
                let (gone, kept): (Vec<_>, Vec<_>) = before.into_iter().zip(selected).partition(|(_, s)| *s);
                prop_assert_eq!(&story.state.holds, &kept.into_iter().map(|(h, _)| h).collect::<Vec<_>>());
                let mut left = published(&share);
                left.retain(|(e, n), _| !gone.iter().any(|(h, _)| h.endpoint == *e && h.name == *n));
                prop_assert_eq!(story.share.as_ref().map(published), Some(left));
            }
            Event::Reject(letters) => {
                if story.share.is_none() {
                    continue;
                }
                let before = story.state.holds.clone();
                let share = story.share.clone();
                story.reject(&letters);
                let selected = letters_of(&before, &letters);
                let after: Vec<Hold> = before
                    .into_iter()
                    .zip(selected)
                    .map(|(hold, selected)| Hold { rejected: hold.rejected || selected, ..hold })
                    .collect();
                prop_assert_eq!(&story.state.holds, &after);
                prop_assert_eq!(&story.share, &share);
            }
            Event::Restart => {
                let rejected = story.state.holds.iter().filter(|h| h.rejected).count();
                story.state = GuardState::from_rejections(story.state.holds.clone());
                prop_assert_eq!(story.state.holds.len(), rejected);
                // Streaks start anew, so only later polls count.
                from = log.len();
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_azure_shows_nothing_leaves_without_proof(events in prop::collection::vec(event(), 1..16)) {
        play(events)?;
    }
}
