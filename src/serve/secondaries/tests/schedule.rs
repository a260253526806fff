//! What is told and asked next, without clock and sockets.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use proptest::prelude::*;

use super::super::queue::Rank;
use super::super::schedule::{Job, Kind, Next, Outcome, Pace, Raise, SLOTS, Schedule};
use super::super::zone::{Holding, Moment};
use crate::zones::DnsName;
use crate::zones::generation::is_greater;

/// A schedule with a clock that only moves when it is told to.
struct Desk {
    schedule: Schedule,
    now: Moment,
    zones: BTreeMap<DnsName, (Rank, u32)>,
}

fn name(text: &str) -> DnsName {
    text.parse().expect("a name")
}

impl Desk {
    fn new(zones: &[(&str, Rank)]) -> Self {
        Self::of(true, zones)
    }

    fn of(active: bool, zones: &[(&str, Rank)]) -> Self {
        let random = fastrand::Rng::with_seed(7);
        let mut desk = Self {
            schedule: Schedule::new("ns1".to_owned(), active, Pace::default(), random),
            now: Moment { at: Instant::now(), time: Timestamp::UNIX_EPOCH },
            zones: zones.iter().map(|(origin, rank)| (name(origin), (*rank, 100))).collect(),
        };
        desk.publish();
        desk
    }

    fn publish(&mut self) {
        self.schedule.publish(&self.zones, self.now);
    }

    /// A change of a zone.
    fn change(&mut self, origin: &str, serial: u32) {
        self.zones.get_mut(&name(origin)).expect("a zone").1 = serial;
        self.publish();
    }

    fn pass(&mut self, time: Duration) {
        self.now.at += time;
    }

    /// Everything that is due now.
    fn due(&mut self) -> Vec<Job> {
        std::iter::from_fn(|| match self.schedule.next(self.now.at) {
            Next::Start(job) => Some(job),
            Next::Wait(_) => None,
        })
        .collect()
    }

    /// The one job that is due.
    fn job(&mut self) -> Job {
        let mut due = self.due();
        assert_eq!(due.len(), 1, "{due:?}");
        due.remove(0)
    }

    fn end(&mut self, job: &Job, outcome: Outcome) -> Option<Raise> {
        self.schedule.ended(job, outcome, self.now)
    }

    /// Lets time pass until something is due; gives how long it was.
    fn wait(&mut self) -> Duration {
        match self.schedule.next(self.now.at) {
            Next::Wait(Some(at)) => {
                let time = at - self.now.at;
                self.pass(time);
                time
            }
            other => panic!("{other:?}"),
        }
    }

    fn is_current(&self, origin: &str) -> bool {
        self.schedule.zones()[&name(origin)].is_current()
    }
}

const NOTIFY: Kind = Kind::Notify { tcp: false };

fn refused() -> Outcome {
    Outcome::Refused("NOTAUTH".to_owned())
}

fn kinds(jobs: &[Job]) -> Vec<(Kind, &str, u32)> {
    jobs.iter().map(|job| (job.kind, job.origin.as_str(), job.serial)).collect()
}

/// A zone whose first probe has failed, with its first NOTIFY under way.
fn first() -> (Desk, Job) {
    let mut desk = Desk::new(&[("a.net", Rank::Other)]);
    let jobs = desk.due();
    assert_eq!(kinds(&jobs), [(NOTIFY, "a.net", 100), (Kind::Probe, "a.net", 100)]);
    desk.end(&jobs[1], Outcome::Seen(99));
    (desk, jobs[0].clone())
}

#[test]
fn the_catalog_is_told_of_first_and_then_the_policy_zone() {
    let mut desk = Desk::new(&[("a.net", Rank::Other), ("b.net", Rank::Policy), ("c.net", Rank::Catalog)]);
    let jobs = desk.due();
    let notifies: Vec<_> = jobs.iter().filter(|job| job.kind == NOTIFY).cloned().collect();
    assert_eq!(kinds(&notifies), [(NOTIFY, "c.net", 100), (NOTIFY, "b.net", 100), (NOTIFY, "a.net", 100)]);
}

#[test]
fn hundreds_of_zones_go_out_in_turn() {
    let names: Vec<String> = (0..300).map(|i| format!("z{i:03}.net")).collect();
    let zones: Vec<_> = names.iter().map(|name| (name.as_str(), Rank::Other)).collect();
    let mut desk = Desk::new(&zones);
    let (mut told, mut jobs) = (Vec::new(), desk.due());
    assert_eq!(jobs.len(), SLOTS);
    while let Some(job) = jobs.pop() {
        if job.kind == NOTIFY {
            told.push(job.origin.to_string());
            desk.end(&job, Outcome::Acknowledged);
        } else {
            desk.end(&job, Outcome::Seen(100));
        }
        jobs.extend(desk.due());
        assert!(jobs.len() <= SLOTS);
    }
    told.sort();
    assert_eq!(told, names, "each once");
    assert_eq!(desk.schedule.next(desk.now.at), Next::Wait(None), "and then it is calm");
}

#[test]
fn a_burst_of_changes_is_one_notify_of_the_newest() {
    let (mut desk, first) = first();
    for serial in 101..=150 {
        desk.change("a.net", serial);
    }
    assert_eq!(desk.due(), [], "one is under way");
    desk.end(&first, Outcome::Acknowledged);
    let job = desk.job();
    assert_eq!(kinds(std::slice::from_ref(&job)), [(NOTIFY, "a.net", 150)], "at once");
    desk.end(&job, Outcome::Acknowledged);
    let zone = &desk.schedule.zones()[&name("a.net")];
    assert!(zone.is_acknowledged() && zone.notify.due.is_none());
}

#[test]
fn what_is_not_acknowledged_is_told_again_ever_more_seldom() {
    let (mut desk, mut job) = first();
    desk.schedule.transferred(&name("a.net"), 100, desk.now);
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        desk.end(&job, refused());
        let paused = desk.wait();
        let longest = Duration::from_secs(seconds);
        assert!(paused <= longest && paused >= longest.mul_f64(0.75), "{paused:?}, not {longest:?}");
        job = desk.job();
    }
    // A change is told at once, and begins with short pauses.
    desk.end(&job, refused());
    desk.change("a.net", 101);
    job = desk.job();
    desk.end(&job, refused());
    assert!(desk.wait() <= Duration::from_secs(1));
}

#[test]
fn tcp_has_its_turn_when_datagrams_are_lost() {
    let (mut desk, mut job) = first();
    desk.schedule.transferred(&name("a.net"), 100, desk.now);
    let mut transports = Vec::new();
    for _ in 0..6 {
        transports.push(job.kind == Kind::Notify { tcp: true });
        desk.end(&job, Outcome::Timeout);
        desk.wait();
        job = desk.job();
    }
    assert_eq!(transports, [false, false, false, true, false, true]);
    // What got through once is tried first.
    assert_eq!(job.kind, NOTIFY);
    desk.end(&job, Outcome::Timeout);
    desk.wait();
    let job = desk.job();
    assert_eq!(job.kind, Kind::Notify { tcp: true });
    desk.end(&job, Outcome::Acknowledged);
    desk.change("a.net", 101);
    assert_eq!(desk.job().kind, Kind::Notify { tcp: true });
}

#[test]
fn a_transfer_makes_it_current_whatever_becomes_of_the_notify() {
    let (mut desk, job) = first();
    assert!(!desk.is_current("a.net"));
    desk.schedule.transferred(&name("a.net"), 99, desk.now);
    assert!(!desk.is_current("a.net"), "of the serial before");
    desk.schedule.transferred(&name("a.net"), 100, desk.now);
    assert!(desk.is_current("a.net"));
    desk.end(&job, refused());
    assert!(desk.is_current("a.net"));
    let zone = &desk.schedule.zones()[&name("a.net")];
    assert!(zone.refused.is_some() && zone.notify.due.is_some() && zone.probe.due.is_none());
}

#[test]
fn when_no_transfer_follows_it_is_asked_until_it_has_the_zone() {
    let (mut desk, job) = first();
    desk.end(&job, Outcome::Acknowledged);
    assert!(!desk.is_current("a.net"), "it has 99 still");
    for seconds in [5, 5, 10, 20, 40, 60, 60] {
        let (paused, longest) = (desk.wait(), Duration::from_secs(seconds));
        assert!(paused <= longest && paused >= longest.mul_f64(0.75), "{paused:?}, not {longest:?}");
        let job = desk.job();
        assert_eq!(job.kind, Kind::Probe);
        desk.end(&job, Outcome::Seen(99));
        assert!(!desk.is_current("a.net"));
        // Maybe it lost the transfer: it is told once more.
        let job = desk.job();
        assert_eq!(job.kind, NOTIFY);
        desk.end(&job, Outcome::Acknowledged);
        assert!(!desk.is_current("a.net"));
    }
    desk.wait();
    let job = desk.job();
    desk.end(&job, Outcome::Seen(100));
    assert!(desk.is_current("a.net"));
    assert_eq!(desk.schedule.next(desk.now.at), Next::Wait(None));
}

#[test]
fn where_it_cannot_be_asked_its_acknowledgement_counts() {
    let (mut desk, job) = first();
    desk.end(&job, Outcome::Acknowledged);
    desk.change("a.net", 101);
    let job = desk.job();
    desk.end(&job, Outcome::Acknowledged);
    assert!(!desk.is_current("a.net"), "it may be asked");
    for _ in 0..3 {
        desk.wait();
        let job = desk.job();
        desk.end(&job, refused());
        assert!(desk.is_current("a.net"));
    }
    assert_eq!(desk.schedule.next(desk.now.at), Next::Wait(None), "it is not asked for ever");
    // A transfer that it began proves that it does not have it.
    desk.schedule.asked(&name("a.net"), Some(100), desk.now);
    assert!(!desk.is_current("a.net"));
    assert!(matches!(desk.schedule.next(desk.now.at), Next::Wait(Some(_))), "it is asked again");
    desk.schedule.transferred(&name("a.net"), 101, desk.now);
    assert!(desk.is_current("a.net"));
}

#[test]
fn a_greater_serial_is_a_reason_to_raise_ours_once_a_minute() {
    let mut desk = Desk::new(&[("a.net", Rank::Other)]);
    let jobs = desk.due();
    desk.end(&jobs[0], Outcome::Acknowledged);
    let wanted = Raise { zone: name("a.net"), seen: 500, secondary: "ns1".to_owned() };
    assert_eq!(desk.end(&jobs[1], Outcome::Seen(500)), Some(wanted));
    assert!(!desk.is_current("a.net"), "it waits for a greater one");
    assert_eq!(desk.schedule.asked(&name("a.net"), Some(501), desk.now), None, "just asked for");
    desk.pass(Duration::from_secs(60));
    let raise = desk.schedule.asked(&name("a.net"), Some(501), desk.now).expect("again");
    assert_eq!(raise.seen, 501);
    desk.change("a.net", 502);
    let job = desk.job();
    assert_eq!(kinds(&[job]), [(NOTIFY, "a.net", 502)]);
    assert_eq!(desk.schedule.asked(&name("a.net"), Some(501), desk.now), None);
}

#[test]
fn one_that_is_only_watched_lacks_nothing_that_it_never_had() {
    let mut desk = Desk::of(false, &[("a.net", Rank::Other)]);
    let behind = |desk: &Desk| desk.schedule.is_behind(&desk.schedule.zones()[&name("a.net")]);
    assert_eq!(desk.due(), []);
    assert!(!behind(&desk));
    desk.schedule.asked(&name("a.net"), None, desk.now);
    desk.schedule.transferred(&name("a.net"), 100, desk.now);
    desk.change("a.net", 101);
    assert_eq!(desk.due(), []);
    assert!(behind(&desk));
    desk.schedule.asked(&name("a.net"), Some(101), desk.now);
    assert!(!behind(&desk));
}

#[test]
fn a_request_that_comes_to_nothing_is_no_reason_for_ever() {
    // A catalog in BIND answers nobody but the host itself, where somebody tries a transfer out.
    let mut desk = Desk::new(&[("c.net", Rank::Catalog)]);
    let live = |desk: &mut Desk, seconds: u64| {
        for _ in 0..seconds {
            for job in desk.due() {
                let is_probe = job.kind == Kind::Probe;
                desk.end(&job, if is_probe { refused() } else { Outcome::Acknowledged });
            }
            desk.pass(Duration::from_secs(1));
        }
    };
    live(&mut desk, 30);
    assert!(desk.is_current("c.net"));
    desk.schedule.asked(&name("c.net"), Some(99), desk.now);
    live(&mut desk, 1);
    assert!(!desk.is_current("c.net"));
    live(&mut desk, 300);
    assert!(desk.is_current("c.net"), "it was told again and let it be");
    // One that asks again and again is none of these.
    for _ in 0..30 {
        desk.schedule.asked(&name("c.net"), Some(99), desk.now);
        live(&mut desk, 10);
        assert!(!desk.is_current("c.net"));
    }
}

#[test]
fn what_it_is_not_there_for_is_nothing_that_it_lacks() {
    let all =
        [("c.net", Rank::Catalog), ("rpz.net", Rank::Policy), ("a.net", Rank::Other), ("b.net", Rank::Other)];
    let lacks = |taken: &[&str]| -> Vec<String> {
        let mut desk = Desk::new(&all);
        for job in desk.due() {
            let has = taken.contains(&job.origin.as_str());
            let outcome = match job.kind {
                Kind::Probe if has => Outcome::Seen(100),
                Kind::Notify { .. } if has => Outcome::Acknowledged,
                _ => refused(),
            };
            desk.end(&job, outcome);
        }
        while desk.now.at < Instant::now() + Duration::from_secs(30) {
            for job in desk.due() {
                let has = taken.contains(&job.origin.as_str());
                desk.end(&job, if has { Outcome::Seen(100) } else { refused() });
            }
            desk.pass(Duration::from_secs(1));
        }
        let zones = desk.schedule.zones().iter();
        zones
            .filter(|(_, zone)| desk.schedule.is_behind(zone))
            .map(|(origin, _)| origin.to_string())
            .collect()
    };
    assert_eq!(lacks(&["rpz.net"]), [""; 0], "a resolver");
    assert_eq!(lacks(&["a.net", "b.net"]), [""; 0], "the zones one by one");
    assert_eq!(lacks(&["a.net"]), ["b.net"], "one was forgotten");
    assert_eq!(lacks(&["c.net"]), ["a.net", "b.net"], "members that it does not take");
    assert_eq!(lacks(&["c.net", "a.net", "b.net"]), [""; 0], "without the policy zone");
    assert_eq!(lacks(&[]), ["a.net", "b.net", "c.net", "rpz.net"], "it is not set up");
}

#[test]
fn the_oldest_change_that_it_lacks_counts() {
    let (mut desk, job) = first();
    desk.schedule.transferred(&name("a.net"), 100, desk.now);
    desk.end(&job, Outcome::Acknowledged);
    desk.pass(Duration::from_secs(1));
    let since = desk.now;
    for serial in 101..=103 {
        desk.change("a.net", serial);
        desk.pass(Duration::from_secs(1));
    }
    assert_eq!(desk.schedule.zones()[&name("a.net")].since, Some(since));
}

#[test]
fn a_zone_that_went_and_came_again_takes_no_answer_to_what_was_before() {
    let (mut desk, job) = first();
    let zones = std::mem::take(&mut desk.zones);
    desk.publish();
    assert_eq!(desk.schedule.next(desk.now.at), Next::Wait(None));
    desk.zones = zones;
    desk.publish();
    desk.end(&job, Outcome::Acknowledged);
    assert!(!desk.schedule.zones()[&name("a.net")].is_acknowledged());
    assert_eq!(kinds(&desk.due()), [(NOTIFY, "a.net", 100), (Kind::Probe, "a.net", 100)]);
}

#[derive(Debug, Clone)]
enum Event {
    Change(usize, u32),
    Toggle(usize),
    Pass(u64),
    End(usize, u8, u32),
    Asked(usize, Option<u32>),
    Transferred(usize, u32),
}

const ZONES: [&str; 12] = [
    "a.net", "b.net", "c.net", "d.net", "e.net", "f.net", "g.net", "h.net", "i.net", "j.net", "k.net",
    "l.net",
];

fn event() -> impl Strategy<Value = Event> {
    let zone = 0..ZONES.len();
    // Serials around ours, and anywhere.
    let serial = prop_oneof![90_u32..300, any::<u32>()];
    prop_oneof![
        3 => (zone.clone(), 1_u32..3).prop_map(|(zone, by)| Event::Change(zone, by)),
        1 => zone.clone().prop_map(Event::Toggle),
        3 => (0_u64..90_000).prop_map(Event::Pass),
        8 => (any::<usize>(), 0_u8..5, serial.clone()).prop_map(|(i, how, serial)| Event::End(i, how, serial)),
        1 => (zone.clone(), proptest::option::of(serial.clone())).prop_map(|(z, s)| Event::Asked(z, s)),
        1 => (zone, serial).prop_map(|(zone, serial)| Event::Transferred(zone, serial)),
    ]
}

fn outcome(kind: Kind, how: u8, serial: u32) -> Outcome {
    match (how, kind) {
        (0 | 1, Kind::Notify { .. }) => Outcome::Acknowledged,
        (0 | 1, Kind::Probe) => Outcome::Seen(serial),
        (2, _) => refused(),
        (3, _) => Outcome::Timeout,
        _ => Outcome::Error("reset".to_owned()),
    }
}

proptest! {
    #[test]
    fn whatever_happens_no_change_is_forgotten(events in proptest::collection::vec(event(), 1..300)) {
        let all: Vec<_> = ZONES.iter().enumerate().map(|(i, origin)| {
            (*origin, match i { 3 => Rank::Catalog, 5 => Rank::Policy, _ => Rank::Other })
        }).collect();
        let mut desk = Desk::new(&all);
        let everything = desk.zones.clone();
        let mut jobs = desk.due();
        let mut raised = BTreeMap::<DnsName, Instant>::new();
        for event in events {
            let before = desk.schedule.zones().clone();
            let raise = match event {
                Event::Change(zone, by) => {
                    if let Some((_, serial)) = desk.zones.get_mut(&name(ZONES[zone])) {
                        *serial = serial.wrapping_add(by);
                    }
                    desk.publish();
                    None
                }
                Event::Toggle(zone) => {
                    let origin = name(ZONES[zone]);
                    if desk.zones.remove(&origin).is_none() {
                        desk.zones.insert(origin.clone(), everything[&origin]);
                        raised.remove(&origin);
                    }
                    desk.publish();
                    None
                }
                Event::Pass(milliseconds) => {
                    desk.pass(Duration::from_millis(milliseconds));
                    None
                }
                Event::End(..) if jobs.is_empty() => None,
                Event::End(index, how, serial) => {
                    let job = jobs.swap_remove(index % jobs.len());
                    desk.end(&job, outcome(job.kind, how, serial))
                }
                Event::Asked(zone, serial) => desk.schedule.asked(&name(ZONES[zone]), serial, desk.now),
                Event::Transferred(zone, serial) => {
                    desk.schedule.transferred(&name(ZONES[zone]), serial, desk.now);
                    None
                }
            };
            if let Some(raise) = raise {
                prop_assert!(is_greater(raise.seen, before[&raise.zone].serial));
                let last = raised.insert(raise.zone, desk.now.at);
                prop_assert!(last.is_none_or(|last| desk.now.at - last >= Duration::from_secs(60)));
            }
            jobs.extend(desk.due());
            prop_assert_eq!(jobs.len(), desk.schedule.under_way());
            prop_assert!(jobs.len() <= SLOTS);
            prop_assert_eq!(desk.schedule.zones().len(), desk.zones.len());
            for (origin, zone) in desk.schedule.zones() {
                prop_assert_eq!(zone.serial, desk.zones[origin].1);
                for attempts in [&zone.notify, &zone.probe] {
                    prop_assert!(attempts.due.is_none() || attempts.under_way.is_none());
                    let longest = desk.now.at + Duration::from_secs(60);
                    prop_assert!(attempts.due.is_none_or(|due| due <= longest));
                }
                let is_planned = zone.notify.due.is_some() || zone.notify.under_way.is_some();
                prop_assert!(zone.is_acknowledged() || is_planned, "{} {:?}", origin, zone);
                let is_planned = zone.probe.due.is_some() || zone.probe.under_way.is_some();
                prop_assert!(zone.is_current() || is_planned, "{} {:?}", origin, zone);
                prop_assert_eq!(zone.is_current(), zone.since.is_none());
            }
        }
        // From here on the secondary answers, and then has everything.
        let end = desk.now.at + Duration::from_secs(600);
        loop {
            for job in std::mem::take(&mut jobs) {
                let answer = match job.kind {
                    Kind::Notify { .. } => Outcome::Acknowledged,
                    Kind::Probe => Outcome::Seen(job.serial),
                };
                desk.end(&job, answer);
            }
            jobs = desk.due();
            if jobs.is_empty() {
                match desk.schedule.next(desk.now.at) {
                    Next::Wait(Some(at)) => desk.now.at = at,
                    _ => break,
                }
                jobs = desk.due();
            }
            prop_assert!(desk.now.at < end, "it never ends");
        }
        for zone in desk.schedule.zones().values() {
            prop_assert!(zone.is_acknowledged() && zone.is_current(), "{:?}", zone);
            prop_assert!(zone.holding == Holding::Current || zone.unprobed);
        }
    }
}
