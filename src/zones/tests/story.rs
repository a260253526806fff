//! A tiny language for poll sequences.
//!
//! The letters `a` to `z` are names with one required member each. What a poll saw:
//!
//! | required members | |
//! |---|---|
//! | `abc` | these |
//! | `404` | ARM says `ResourceNotFound` for the application |
//! | `untagged` | no discovery takes it any more |
//!
//! | endpoint | |
//! |---|---|
//! | `abC` | approved, settled, shows these; a capital is another address |
//! | `~ab` | the same while Azure is working on it; `~` shows no name yet |
//! | `none` | approved, settled, shows no name |
//! | `404` | `ResourceNotFound` |
//! | `rejected` | by both sides |
//! | `converging` | only the endpoint calls it disconnected |
//! | `` | not in the observation |

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::zones::guard::{self, Review};
use crate::zones::*;

use super::build::{APP, at, endpoint, endpoint_id, facts, id, listed, member, name};

pub(super) const ZONE: &str = "privatelink.azure-devices.net";

pub(super) fn letter_name(letter: char) -> DnsName {
    name(&format!("iotc-{}.azure-devices.net", letter.to_ascii_lowercase()))
}

fn letter_of(public: &DnsName) -> char {
    public.as_str().strip_prefix("iotc-").and_then(|rest| rest.chars().next()).expect("a letter")
}

fn is_new(address: &Ipv4Addr) -> bool {
    address.octets()[2] == 9
}

fn saw_endpoint(number: u8, text: &str) -> Option<Endpoint> {
    use ConnectionState::{Approved, Disconnected, Rejected};
    let (settled, letters) = match text {
        "" => return None,
        "404" => return Some(listed(number, Approved, EndpointOutcome::NotFound("gone".to_owned()))),
        "rejected" | "converging" => {
            let (list, told) =
                if text == "rejected" { (Rejected, Rejected) } else { (Approved, Disconnected) };
            let facts = EndpointFacts { connection: told, ..facts(&[]) };
            return Some(listed(number, list, EndpointOutcome::Found(facts)));
        }
        "none" => (true, ""),
        text => text.strip_prefix('~').map_or((true, text), |rest| (false, rest)),
    };
    let mut facts = facts(&[]);
    facts.settled = settled;
    let addresses = letters.chars().map(|letter| {
        let net = if letter.is_uppercase() { 9 } else { 0 };
        let low = letter.to_ascii_lowercase();
        let address = format!("10.{number}.{net}.{}", u32::from(low) - u32::from('a') + 4);
        member(Some(&format!("iotc-{low}")), &[letter_name(low).as_str()], &address)
    });
    facts.interfaces = InterfaceRead::Read(addresses.collect());
    Some(endpoint(number, facts))
}

/// The observation that the two endpoints and the required members describe.
pub(super) fn saw(required: &str, endpoints: [&str; 2]) -> Observation {
    let outcome = match required {
        "404" => ApplicationOutcome::NotFound("gone".to_owned()),
        "untagged" => ApplicationOutcome::NotSelected,
        members => ApplicationOutcome::Found(Application {
            link_resources: vec![LinkResource {
                group_id: "iotApp".to_owned(),
                required_members: members.chars().map(|c| format!("iotc-{c}")).collect(),
                required_zone_names: vec![ZONE.to_owned()],
            }],
            endpoints: (1..).zip(endpoints).filter_map(|(n, text)| saw_endpoint(n, text)).collect(),
            ..Application::default()
        }),
    };
    Observation { application: id(APP), at: at(0), outcome }
}

/// The polls so far and what the guard made of them.
#[derive(Clone, Default)]
pub(super) struct Story {
    pub(super) share: Option<Share>,
    pub(super) state: GuardState,
    pub(super) policy: GuardPolicy,
}

impl Story {
    /// One complete poll.
    pub(super) fn review(&mut self, seconds: i64, required: &str, endpoints: [&str; 2]) -> Review {
        self.take(seconds, &derive(&saw(required, endpoints)))
    }

    pub(super) fn take(&mut self, seconds: i64, derived: &Derived) -> Review {
        let review = guard::review(self.share.as_ref(), derived, &self.state, &self.policy, at(seconds));
        self.share = Some(review.share.clone());
        self.state = review.state.clone();
        review
    }

    /// One complete poll; what is published and held after it.
    pub(super) fn poll(&mut self, seconds: i64, required: &str, first: &str, second: &str) -> String {
        self.review(seconds, required, [first, second]);
        self.told()
    }

    /// The same poll `times` times, 60 s apart from `seconds` on; what came of the last one.
    pub(super) fn polls(
        &mut self,
        times: i64,
        seconds: i64,
        required: &str,
        first: &str,
        second: &str,
    ) -> String {
        (0..times).map(|n| self.poll(seconds + 60 * n, required, first, second)).last().expect("a poll")
    }

    /// The operator ends the holds of these names.
    pub(super) fn approve(&mut self, letters: &str) -> String {
        let share = self.share.clone().expect("a share");
        let (share, state, changes) =
            guard::approve(&share, &self.state, |hold| letters.contains(letter_of(&hold.name)));
        assert!(changes.iter().all(|c| c.new.is_empty() && letters.contains(letter_of(&c.name))));
        (self.share, self.state) = (Some(share), state);
        self.told()
    }

    /// The operator keeps these names.
    pub(super) fn reject(&mut self, letters: &str) -> String {
        self.state = guard::reject(&self.state, |hold| letters.contains(letter_of(&hold.name)));
        self.told()
    }

    /// Published names, `/` and those of the second endpoint, then what is held: `?` for want of
    /// proof, `.` for some polls, `*` for the many polls of a bulk, `!` for the operator, `-` rejected.
    pub(super) fn told(&self) -> String {
        let share = self.share.as_ref().expect("a share");
        let letters = |number: u8| -> String {
            let names = share.endpoints.get(&endpoint_id(number)).map(|e| &e.names);
            names
                .into_iter()
                .flatten()
                .map(|(public, placement)| {
                    let letter = letter_of(public);
                    if placement.addresses.iter().all(is_new) { letter.to_ascii_uppercase() } else { letter }
                })
                .collect()
        };
        let mut told = letters(1);
        if share.endpoints.get(&endpoint_id(2)).is_some_and(|e| !e.names.is_empty()) {
            told = format!("{told}/{}", letters(2));
        }
        let mut held = BTreeMap::<usize, String>::new();
        for hold in &self.state.holds {
            let mark = match hold.needs {
                _ if hold.rejected => 4,
                Needs::Proof => 0,
                Needs::Polls { polls, .. } if polls == self.policy.bulk_polls => 2,
                Needs::Polls { .. } => 1,
                Needs::Operator => 3,
            };
            held.entry(mark).or_default().push(letter_of(&hold.name));
        }
        if !held.is_empty() {
            told.push(' ');
        }
        for (mark, letters) in held {
            told = format!("{told}{}{letters}", ["?", ".", "*", "!", "-"][mark]);
        }
        told
    }
}

/// Plays a table: second, required members, first endpoint, second endpoint, what is told then.
pub(super) fn play(table: &[(i64, &str, &str, &str, &str)]) -> Story {
    let mut story = Story::default();
    for (seconds, required, first, second, expected) in table {
        assert_eq!(story.poll(*seconds, required, first, second), *expected, "at {seconds} s");
    }
    story
}
