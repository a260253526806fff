//! Plans and ledger against a model of a server that follows RFC 2136.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::server::Server;
use crate::targets::rfc2136::ledger::{Book, Ledger, Origin, Reach, State};
use crate::targets::rfc2136::plan::{
    Desired, Holding, Hosted, Obstacle, Plan, Rules, concerned, guess, plan,
};
use crate::wire::update::NameChange;
use crate::zones::DnsName;

fn name(text: &str) -> DnsName {
    text.parse().expect("a name")
}

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

fn addresses(last: &[u8]) -> BTreeSet<Ipv4Addr> {
    last.iter().copied().map(address).collect()
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(1_755_216_000 + second).expect("a time")
}

fn rules(take_over: bool, now: i64) -> Rules {
    Rules { take_over, refresh: None, now: time(now) }
}

fn desired(names: &[(&str, &[u8])]) -> Desired {
    let names = names.iter().map(|(owner, last)| (name(owner), addresses(last))).collect();
    Desired { names, origins: BTreeMap::new(), ttl: 10, generation: 1 }
}

fn hosted() -> Hosted {
    Hosted { zones: [name("z.example"), name("b.z.example")].into(), broken: BTreeMap::new() }
}

/// A look, the settling of intents, and a plan.
fn look(server: &Server, desired: &Desired, book: &mut Book, rules: Rules) -> Plan {
    let held = server.look(desired, book);
    for (owner, holding) in &held {
        book.settle(owner, &holding.addresses, rules.now);
    }
    plan(desired, book, &hosted(), &held, rules)
}

/// A plan without a look, where the ledger has an idea of the names.
fn guessed(desired: &Desired, book: &Book, rules: Rules) -> Plan {
    let concerned = concerned(desired, book, rules).into_iter();
    let held = concerned.filter_map(|owner| Some((owner.clone(), guess(&owner, &hosted(), book)?))).collect();
    plan(desired, book, &hosted(), &held, rules)
}

/// Carries a plan out, each name in a message of its own.
fn carry_out(server: &mut Server, plan: &Plan, book: &mut Book, now: i64) {
    book.intend(plan, 1, time(now));
    for change in plan.changes.values().flatten() {
        if server.update(std::slice::from_ref(change)) {
            book.done(change);
        } else {
            book.refused(change);
        }
    }
}

#[test]
fn what_is_missing_is_added_and_what_is_equal_is_adopted() {
    let mut server = Server::of(&[("b.z.example", &[2]), ("x.z.example", &[99])]);
    let desired = desired(&[("a.z.example", &[1]), ("b.z.example", &[2]), ("c.other.example", &[3])]);
    let mut book = Book::default();
    let plan = look(&server, &desired, &mut book, rules(false, 0));
    assert_eq!(
        plan.lines(),
        [
            "+ a.z.example 10 A 10.0.0.1 (zone z.example)",
            "= b.z.example A 10.0.0.2 (zone b.z.example, adopted: it is there with this value)",
        ]
    );
    carry_out(&mut server, &plan, &mut book, 0);
    assert_eq!((server.held(&name("a.z.example")).ttl, server.held(&name("b.z.example")).ttl), (10, 60));
    assert!(look(&server, &desired, &mut book, rules(false, 0)).is_empty());
    let rest = concerned(&desired, &book, rules(false, 0));
    assert_eq!(rest, [name("c.other.example")].into(), "there is no zone for it");
    let page = book.page(&name("b.z.example")).expect("adopted");
    assert_eq!(page.records[&address(2)].origin, Origin::Adopted);

    // Without desire it goes: adopted is ours.
    let plan = look(&server, &Desired::default(), &mut book, rules(false, 0));
    carry_out(&mut server, &plan, &mut book, 0);
    assert_eq!(server.held(&name("b.z.example")).addresses, BTreeSet::new());
    assert_eq!(server.held(&name("x.z.example")).addresses, addresses(&[99]));
    assert_eq!(book, Book::default());
}

#[test]
fn what_is_guessed_proves_itself_in_the_message() {
    let mut server = Server::of(&[("a.z.example", &[9]), ("g.z.example", &[2])]);
    server.1.insert(name("c.z.example"));
    let wanted: &[(&str, &[u8])] =
        &[("a.z.example", &[1]), ("g.z.example", &[2]), ("c.z.example", &[3]), ("d.z.example", &[4])];
    let first = desired(&[wanted, &[("z.example", &[5]), ("e.deep.z.example", &[6])]].concat());
    let mut book = Book::default();
    let plan = guessed(&first, &book, rules(false, 0));
    let owners: Vec<&DnsName> = plan.changes.values().flatten().map(|change| &change.owner).collect();
    assert_eq!(owners, ["a.z.example", "c.z.example", "d.z.example", "g.z.example"].map(name).each_ref());
    assert!(plan.changes.values().flatten().all(|change| change.is_unused));
    // Wrong of all but one: foreign, adoptable, in use by another type.
    carry_out(&mut server, &plan, &mut book, 0);
    assert_eq!(book.names().map(|(owner, _)| owner.as_str()).collect::<Vec<_>>(), ["d.z.example"]);
    assert_eq!(server.held(&name("a.z.example")).addresses, addresses(&[9]));
    let plan = look(&server, &first, &mut book, rules(false, 0));
    assert_eq!((plan.conflicts.len(), plan.adoptions.len()), (1, 1));
    carry_out(&mut server, &plan, &mut book, 0);
    assert_eq!(server.held(&name("c.z.example")).addresses, addresses(&[3]));

    // What is ours is guessed to be as it was written.
    let second = desired(&[("d.z.example", &[7])]);
    let plan = guessed(&second, &book, rules(false, 0));
    carry_out(&mut server, &plan, &mut book, 0);
    assert_eq!(server.held(&name("d.z.example")).addresses, addresses(&[7]));
    assert_eq!((server.held(&name("c.z.example")).addresses.len(), book.len()), (0, 1));
    server.0.get_mut(&name("d.z.example")).expect("ours").addresses.insert(address(9));
    let before = server.held(&name("d.z.example"));
    let plan = guessed(&desired(&[("d.z.example", &[8])]), &book, rules(false, 0));
    carry_out(&mut server, &plan, &mut book, 0);
    assert_eq!(server.held(&name("d.z.example")), before, "somebody has written meanwhile");
}

#[test]
fn a_name_is_in_the_longest_zone_and_in_none_while_that_is_not_certain() {
    let mut hosted = hosted();
    let zone = |hosted: &Hosted, text: &str| hosted.zone_of(&name(text)).map(ToString::to_string);
    assert_eq!(zone(&hosted, "a.b.z.example").as_deref(), Some("b.z.example"));
    assert_eq!(zone(&hosted, "b.z.example").as_deref(), Some("b.z.example"));
    assert_eq!(zone(&hosted, "c.z.example").as_deref(), Some("z.example"));
    assert_eq!(zone(&hosted, "example"), None);
    hosted.zones.remove(&name("b.z.example"));
    hosted.broken.insert(name("b.z.example"), "SERVFAIL".to_owned());
    assert_eq!(zone(&hosted, "a.b.z.example"), None, "not in the zone above");
    assert!(hosted.is_broken(&name("a.b.z.example")) && !hosted.is_broken(&name("c.z.example")));
}

#[test]
fn another_value_is_a_conflict_and_taken_over_only_when_that_is_wanted() {
    let mut server = Server::of(&[("a.z.example", &[9])]);
    let desired = desired(&[("a.z.example", &[1])]);
    let mut book = Book::default();
    let plan = look(&server, &desired, &mut book, rules(false, 0));
    assert_eq!(plan.lines(), ["! a.z.example should be 10.0.0.1 and is 10.0.0.9, not ours"]);
    assert!(plan.is_empty());
    let plan = look(&server, &desired, &mut book, rules(true, 0));
    assert_eq!(
        plan.lines(),
        [
            "+ a.z.example 10 A 10.0.0.1 (zone z.example)",
            "- a.z.example A 10.0.0.9 (zone z.example, taken over from somebody else)",
        ]
    );
    carry_out(&mut server, &plan, &mut book, 0);
    assert_eq!(server.held(&name("a.z.example")).addresses, addresses(&[1]));
    assert!(look(&server, &desired, &mut book, rules(true, 0)).is_empty());
}

#[test]
fn beside_a_foreign_record_that_came_later_ours_stays_in_step() {
    let mut server = Server::default();
    let mut book = Book::default();
    let first = desired(&[("a.z.example", &[1])]);
    let plan = look(&server, &first, &mut book, rules(false, 0));
    carry_out(&mut server, &plan, &mut book, 0);
    let held = server.0.get_mut(&name("a.z.example")).expect("written");
    held.addresses.insert(address(9));
    held.ttl = 300;
    let second = desired(&[("a.z.example", &[2])]);
    let plan = look(&server, &second, &mut book, rules(false, 0));
    assert_eq!(plan.conflicts.len(), 1);
    carry_out(&mut server, &plan, &mut book, 0);
    let held = server.held(&name("a.z.example"));
    assert_eq!((held.addresses, held.ttl), (addresses(&[2, 9]), 300), "the foreign record is as it was");
    assert!(look(&server, &second, &mut book, rules(false, 0)).is_empty());
}

#[test]
fn what_somebody_removed_is_told_and_written_again() {
    let mut server = Server::default();
    let mut book = Book::default();
    let desired = desired(&[("a.z.example", &[1])]);
    let plan = look(&server, &desired, &mut book, rules(false, 0));
    assert!(plan.drift.is_empty(), "it was never there");
    carry_out(&mut server, &plan, &mut book, 0);
    server.0.clear();
    assert!(concerned(&desired, &book, rules(false, 0)).is_empty(), "nobody here can know");
    let plan = look(&server, &desired, &mut book, rules(false, 0));
    assert_eq!((plan.drift.len(), plan.lines().len()), (1, 1));
    carry_out(&mut server, &plan, &mut book, 0);
    assert_eq!(server.held(&name("a.z.example")).addresses, addresses(&[1]));
    // Replaced by somebody: reported, not fought over.
    server = Server::of(&[("a.z.example", &[9])]);
    let plan = look(&server, &desired, &mut book, rules(false, 0));
    assert_eq!((plan.drift.len(), plan.conflicts.len(), plan.changes.len()), (1, 1, 0));
    // An alias cannot have an address beside it.
    let alias = Holding { obstacle: Some(Obstacle::Alias("b.example".to_owned())), ..Holding::default() };
    server.0 = [(name("a.z.example"), alias)].into();
    let plan = look(&server, &desired, &mut book, rules(true, 0));
    assert_eq!((plan.conflicts.len(), plan.changes.len()), (1, 0));
}

#[test]
fn another_ttl_and_old_age_write_records_again() {
    let mut server = Server::default();
    let mut book = Book::default();
    let mut desired = desired(&[("a.z.example", &[1, 2])]);
    let plan = look(&server, &desired, &mut book, rules(false, 0));
    carry_out(&mut server, &plan, &mut book, 0);
    desired.ttl = 30;
    assert_eq!(concerned(&desired, &book, rules(false, 0)).len(), 1);
    let plan = look(&server, &desired, &mut book, rules(false, 0));
    carry_out(&mut server, &plan, &mut book, 0);
    assert_eq!(server.held(&name("a.z.example")).ttl, 30);
    let aging = |now| Rules { refresh: Some(Duration::from_secs(3600)), ..rules(false, now) };
    assert!(concerned(&desired, &book, aging(3599)).is_empty());
    assert_eq!(concerned(&desired, &book, aging(3600)).len(), 1);
    let plan = look(&server, &desired, &mut book, aging(3600));
    assert_eq!(plan.lines().len(), 2);
    carry_out(&mut server, &plan, &mut book, 3600);
    assert!(concerned(&desired, &book, aging(3601)).is_empty());
}

#[test]
fn a_message_that_nobody_answered_may_arrive_later() {
    let mut server = Server::default();
    let mut book = Book::default();
    let wanted = desired(&[("a.z.example", &[1])]);
    let plan = look(&server, &wanted, &mut book, rules(false, 0));
    book.intend(&plan, 1, time(0));
    // Desired no more, and not there yet.
    assert!(look(&server, &Desired::default(), &mut book, rules(false, 60)).is_empty());
    assert_eq!(book.page(&name("a.z.example")).expect("kept").records[&address(1)].state, State::Adding);
    let changes: Vec<NameChange> = plan.changes.into_values().flatten().collect();
    assert!(server.update(&changes));
    let plan = look(&server, &Desired::default(), &mut book, rules(false, 61));
    carry_out(&mut server, &plan, &mut book, 61);
    assert_eq!((server.held(&name("a.z.example")).addresses.len(), book.len()), (0, 0));
    // One that never arrives is forgotten.
    let plan = look(&server, &wanted, &mut book, rules(false, 100));
    book.intend(&plan, 1, time(100));
    look(&server, &Desired::default(), &mut book, rules(false, 1000));
    assert_eq!(book.len(), 0);
}

#[test]
fn a_ledger_reads_what_it_wrote_and_knows_other_versions() {
    let reach = Reach {
        servers: vec!["127.0.0.1:53".parse().expect("an address")],
        all: false,
        key: Some(name("k")),
        kerberos: None,
        udp: false,
        find_primary: false,
    };
    let mut ledger = Ledger::new(reach);
    let mut book = Book::default();
    let plan = look(&Server::default(), &desired(&[("a.z.example", &[1])]), &mut book, rules(false, 0));
    book.intend(&plan, 7, time(0));
    ledger.books.insert("any".to_owned(), book);
    let text = serde_json::to_string_pretty(&ledger).expect("JSON");
    assert_eq!(Ledger::from_bytes(text.as_bytes()).expect("a ledger"), ledger);
    let golden = include_str!("../../../../tests/fixtures/ledger/v1.json");
    assert_eq!(text, golden.trim_end());
    let other = text.replace("\"version\": 1", "\"version\": 2");
    assert!(
        Ledger::from_bytes(other.as_bytes()).expect_err("another version").to_string().contains("version 2")
    );
    assert!(Ledger::from_bytes(&text.as_bytes()[..40]).is_err());
}

/// What happens between two looks.
#[derive(Debug, Clone)]
enum Event {
    /// Azure wants these addresses for a name.
    Desire(u8, Vec<u8>),
    /// Somebody else adds a record.
    Add(u8, u8),
    /// Somebody else removes one.
    Remove(u8, u8),
    /// The state directory is lost.
    Lose,
    /// Minutes go by.
    Wait,
    /// A run. Somebody may write between look and messages; it may end before, or right after, the
    /// message of this number, or the messages go unanswered. It may guess, too.
    Run { guesses: bool, meanwhile: Option<(u8, u8)>, ends: Option<(usize, bool)>, unanswered: bool },
}

/// Addresses that nobody desires are 100 and up.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let value = prop_oneof![3 => 1_u8..5, 1 => 100_u8..103];
    let event = prop_oneof![
        4 => (0_u8..4, prop::collection::vec(1_u8..5, 0..3)).prop_map(|(n, a)| Event::Desire(n, a)),
        2 => (0_u8..4, value.clone()).prop_map(|(n, a)| Event::Add(n, a)),
        1 => (0_u8..4, value.clone()).prop_map(|(n, a)| Event::Remove(n, a)),
        1 => Just(Event::Lose),
        1 => Just(Event::Wait),
        6 => (any::<bool>(), prop::option::weighted(0.3, (0_u8..4, value)), prop::option::weighted(0.3, (0_usize..3, any::<bool>())),
              prop::bool::weighted(0.2))
            .prop_map(|(guesses, meanwhile, ends, unanswered)| Event::Run { guesses, meanwhile, ends, unanswered }),
    ];
    prop::collection::vec(event, 1..60)
}

fn owner(index: u8) -> DnsName {
    name(["a.z.example", "b.z.example", "c.b.z.example", "d.z.example"][usize::from(index)])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn whatever_happens_foreign_records_stay_and_desired_names_keep_an_address(
        events in events(),
        take_over in prop::bool::weighted(0.2),
    ) {
        let (mut server, mut book, mut desired) = (Server::default(), Book::default(), desired(&[]));
        let mut now = 0;
        for event in events {
            now += 1;
            match event {
                Event::Desire(n, wanted) if wanted.is_empty() => { desired.names.remove(&owner(n)); }
                Event::Desire(n, wanted) => { desired.names.insert(owner(n), addresses(&wanted)); }
                Event::Add(n, a) => { server.0.entry(owner(n)).or_default().addresses.insert(address(a)); }
                Event::Remove(n, a) => { server.0.entry(owner(n)).or_default().addresses.remove(&address(a)); }
                Event::Lose => book = Book::default(),
                Event::Wait => now += 200,
                Event::Run { guesses, meanwhile, ends, unanswered } => {
                    let plan = if guesses {
                        guessed(&desired, &book, rules(take_over, now))
                    } else {
                        look(&server, &desired, &mut book, rules(take_over, now))
                    };
                    // Written down before anything is sent.
                    let known = book.clone();
                    book.intend(&plan, 1, time(now));
                    if let Some((n, a)) = meanwhile {
                        server.0.entry(owner(n)).or_default().addresses.insert(address(a));
                    }
                    for (i, change) in plan.changes.values().flatten().enumerate() {
                        if ends == Some((i, false)) {
                            break;
                        }
                        for gone in &change.remove {
                            let ours = known.page(&change.owner).is_some_and(|p| p.records.contains_key(gone));
                            prop_assert!(ours || take_over, "{} {} is foreign", change.owner, gone);
                            prop_assert!(take_over || gone.octets()[3] < 100);
                        }
                        let had = !server.held(&change.owner).addresses.is_empty();
                        let done = server.update(std::slice::from_ref(change));
                        let has = !server.held(&change.owner).addresses.is_empty();
                        prop_assert!(!had || has || !desired.names.contains_key(&change.owner));
                        if ends == Some((i, true)) {
                            break;
                        }
                        match (unanswered, done) {
                            (true, _) => {}
                            (false, true) => book.done(change),
                            (false, false) => book.refused(change),
                        }
                    }
                }
            }
        }
        // When nobody interferes it comes to rest, and what is not in conflict is as desired.
        now += 1000;
        let plan = look(&server, &desired, &mut book, rules(take_over, now));
        carry_out(&mut server, &plan, &mut book, now);
        let again = look(&server, &desired, &mut book, rules(take_over, now));
        prop_assert!(again.is_empty(), "{again:?}");
        let in_conflict: BTreeSet<&DnsName> = again.conflicts.iter().map(|c| &c.owner).collect();
        prop_assert!(!take_over || in_conflict.is_empty());
        for (owner, wanted) in &desired.names {
            let held = server.held(owner).addresses;
            prop_assert!(in_conflict.contains(owner) || held == *wanted, "{owner} {held:?} {wanted:?}");
        }
        for (owner, page) in book.names() {
            prop_assert!(page.records.keys().all(|a| desired.names.get(owner).is_some_and(|w| w.contains(a))));
        }
    }

    #[test]
    fn two_daemons_with_one_server_come_to_rest(
        events in prop::collection::vec((0_u8..4, prop::collection::vec(1_u8..5, 0..3), any::<[bool; 3]>()), 1..30),
    ) {
        let (mut server, mut books) = (Server::default(), [Book::default(), Book::default()]);
        // Each knows Azure's state of another time.
        let mut desires = [desired(&[]), desired(&[])];
        let mut azure = desired(&[]);
        for (n, wanted, learn) in events {
            if wanted.is_empty() {
                azure.names.remove(&owner(n));
            } else {
                azure.names.insert(owner(n), addresses(&wanted));
            }
            for i in 0..2 {
                if learn[i] {
                    desires[i] = azure.clone();
                }
                if learn[2] {
                    let plan = guessed(&desires[i], &books[i], rules(false, 0));
                    carry_out(&mut server, &plan, &mut books[i], 0);
                }
                let plan = look(&server, &desires[i], &mut books[i], rules(false, 0));
                carry_out(&mut server, &plan, &mut books[i], 0);
            }
        }
        // An address that one removed before the other knew of it is nobody's conflict in the end.
        for _ in 0..3 {
            for book in &mut books {
                let plan = look(&server, &azure, book, rules(false, 0));
                carry_out(&mut server, &plan, book, 0);
            }
        }
        for book in &mut books {
            let plan = look(&server, &azure, book, rules(false, 0));
            prop_assert!(plan.is_empty() && plan.conflicts.is_empty(), "{plan:?}");
        }
        for n in 0..4 {
            let wanted = azure.names.get(&owner(n)).cloned().unwrap_or_default();
            prop_assert_eq!(server.held(&owner(n)).addresses, wanted);
        }
    }
}
