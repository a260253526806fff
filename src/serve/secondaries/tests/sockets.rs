//! Secondaries that answer, and those that do not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domain::base::iana::{Opcode, Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name};
use domain::rdata::Soa;
use domain::rdata::tsig::Time48;
use domain::tsig::{self as other, ServerTransaction};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::super::schedule::Pace;
use super::super::{Raise, Secondaries, SecondaryMetrics, SecondarySummary, Sent, SentKind};
use super::scripted::{DEADLINE, Reply, Request, Scripted, refusing, response, well};
use crate::config::{self, Access, Notification, Secondary};
use crate::propagation::Propagation;
use crate::serve::Transfers;
use crate::sync::Book;
use crate::sync::tests::build::{at, config, found, id, listed};
use crate::wire::tsig::{Algorithm, Key, Keys};
use crate::zones::generation::raise;
use crate::zones::{DnsName, FindingKind, Generation};

const CATALOG: &str = "catalog.example.net";

/// Catalog, policy zone, one privatelink zone and five for single names.
fn generation() -> Arc<Generation> {
    let more = format!(
        "{}[publish]\nper_name_zones = true\n[transfer]\ncatalog = \"{CATALOG}\"\nrpz = \"rpz.example.net\"\n",
        listed(&id("a"))
    );
    let mut book = Book::open(None, config(&more), at(0));
    book.observe(found(&id("a"), 5), at(0));
    let generation = book.generation().expect("a generation").clone();
    assert_eq!(generation.zones.len(), 8);
    generation
}

/// The next generation, in which one zone has changed.
fn changed(generation: &Generation, zone: &str) -> Arc<Generation> {
    let zone: DnsName = zone.parse().expect("a name");
    let seen = generation.serial(&zone).expect("a serial");
    Arc::new(raise(generation, &zone, seen, "test", at(1)).expect("raised").0)
}

/// All zones of [`generation`] have the same one.
fn serial(generation: &Generation) -> u32 {
    generation.serials.values().next().expect("a zone").serial
}

fn key() -> Key {
    Key::new("ns1-key".parse().expect("a name"), Algorithm::HmacSha256, &[7; 32]).expect("a key")
}

fn secondary(name: &str, scripted: &Scripted, notification: Notification) -> Secondary {
    Secondary {
        name: name.to_owned(),
        address: scripted.address,
        key: (notification == Notification::Signed).then(|| key().name().clone()),
        access: Access::Address,
        source: None,
        notification,
    }
}

fn unsigned(name: &str, scripted: &Scripted) -> Secondary {
    secondary(name, scripted, Notification::Unsigned)
}

struct Running {
    secondaries: Secondaries,
    raises: mpsc::Receiver<Raise>,
    deaths: mpsc::UnboundedReceiver<String>,
    registry: prometheus::Registry,
}

impl Running {
    /// Goes twenty times as fast as the daemon, but for answers, which have this long.
    async fn start(answer: Duration, secondaries: Vec<Secondary>) -> Self {
        let registry = prometheus::Registry::new();
        let (sender, deaths) = mpsc::unbounded_channel();
        let metrics = SecondaryMetrics::new(&registry).expect("metrics");
        let propagation = Propagation::new(&registry).expect("metrics");
        let (mut all, raises) = Secondaries::new(metrics, propagation, sender);
        all.pace = Pace {
            shortest: Duration::from_millis(50),
            longest: Duration::from_millis(400),
            transfer: Duration::from_millis(250),
            answer,
            ..Pace::default()
        };
        let running = Self { secondaries: all, raises, deaths, registry };
        running.configure(secondaries).await;
        running
    }

    async fn configure(&self, secondaries: Vec<Secondary>) {
        let transfer = config::Transfer {
            key_files: Vec::new(),
            lag_limit: Duration::from_millis(1),
            secondaries: secondaries.clone(),
        };
        let keys: Keys = [key()].into_iter().collect();
        let transfers = Transfers::of(secondaries, keys, self.secondaries.records());
        self.secondaries.configure(&transfer, &transfers).await;
    }

    fn summary(&self, name: &str) -> SecondarySummary {
        let all = self.secondaries.summaries(Timestamp::now());
        all.into_iter().find(|summary| summary.name == name).expect("a secondary")
    }

    /// Waits for a state of a secondary.
    async fn until(&self, name: &str, what: impl Fn(&SecondarySummary) -> bool) -> SecondarySummary {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let summary = self.summary(name);
            if what(&summary) {
                return summary;
            }
            assert!(Instant::now() < deadline, "never: {summary:?}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Zones whose current serial was acknowledged.
    fn acknowledged(&self, name: &str) -> usize {
        let all = self.secondaries.states(Timestamp::now());
        let state = all.into_iter().find(|state| state.summary.name == name).expect("a secondary");
        state.zones.iter().filter(|zone| zone.acknowledged == Some(zone.serial)).count()
    }

    /// Waits until every zone is acknowledged.
    async fn until_acknowledged(&self, name: &str) {
        self.until(name, |_| self.acknowledged(name) == 8).await;
    }

    fn metric(&self, line: &str) -> Option<u64> {
        let text = prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).expect("text");
        let value = text.lines().find_map(|l| l.strip_prefix(&format!("privatelink_dns_secondary_{line} ")));
        value.map(|value| value.parse().expect("a number"))
    }

    /// Ends everything; no task has died before.
    async fn stop(mut self) {
        self.secondaries.stop().await;
        assert_eq!(self.deaths.try_recv().ok(), None);
    }
}

const PATIENT: Duration = Duration::from_secs(2);

#[tokio::test]
async fn every_zone_is_notified_and_then_what_changes() {
    let generation = generation();
    let now = serial(&generation);
    let mut ns1 = Scripted::start(well(now)).await;
    let running = Running::start(PATIENT, vec![unsigned("ns1", &ns1)]).await;
    running.secondaries.publish(generation.clone());
    let mut zones = BTreeSet::new();
    while zones.len() < generation.zones.len() {
        let request = ns1.wait(Request::is_notify).await;
        if zones.is_empty() {
            assert_eq!(request.zone(), CATALOG, "first");
        }
        assert!(!request.tcp);
        let message = request.message();
        let header = message.header();
        assert_eq!((header.opcode(), header.aa(), header.qr()), (Opcode::NOTIFY, true, false));
        assert_eq!(message.sole_question().expect("one").qtype(), Rtype::SOA);
        let record =
            message.answer().expect("a section").limit_to::<Soa<_>>().next().expect("one").expect("SOA");
        assert_eq!(record.owner().to_string(), request.zone());
        assert_eq!(record.data().serial().into_int(), now);
        assert!(zones.insert(request.zone()), "{} again", request.zone());
    }
    running.until("ns1", |summary| summary.current == 8 && summary.behind == 0).await;
    assert_eq!(running.metric("notifies_total{result=\"acknowledged\",secondary=\"ns1\"}"), Some(8));

    let next = changed(&generation, "hub1-a.azure-devices.net");
    running.secondaries.publish(next.clone());
    let request = ns1.wait(Request::is_notify).await;
    assert_eq!(request.zone(), "hub1-a.azure-devices.net");
    running.until("ns1", |summary| summary.behind == 1 && summary.lag > Duration::ZERO).await;
    ns1.become_like(well(now + 1));
    let summary = running.until("ns1", |summary| summary.behind == 0).await;
    assert_eq!((summary.lag, summary.error), (Duration::ZERO, None));
    running.stop().await;
}

#[tokio::test]
async fn one_that_is_silent_holds_up_no_other() {
    let generation = generation();
    let mut silent = Scripted::start(|_| Reply::Nothing).await;
    let well = Scripted::start(well(serial(&generation))).await;
    // Whoever waits for the silent one comes too late.
    let running =
        Running::start(DEADLINE * 20, vec![unsigned("a-silent", &silent), unsigned("b-well", &well)]).await;
    running.secondaries.publish(generation);
    for _ in 0..8 {
        silent.next().await;
    }
    running.until("b-well", |summary| summary.current == 8).await;
    assert_eq!((running.acknowledged("b-well"), running.acknowledged("a-silent")), (8, 0));
    assert_eq!(running.summary("a-silent").behind, 8);
    // It does not hold up the end either.
    running.stop().await;
}

/// Its notifies are tried again until it is well; then it has everything.
async fn recovers(script: impl FnMut(&Request) -> Reply + Send + 'static, error: &str) {
    let generation = generation();
    let now = serial(&generation);
    let mut bad = Scripted::start(script).await;
    let good = Scripted::start(well(now)).await;
    let answer = Duration::from_millis(150);
    let running = Running::start(answer, vec![unsigned("bad", &bad), unsigned("good", &good)]).await;
    running.secondaries.publish(generation);
    for _ in 0..3 {
        bad.wait(|request| request.is_notify() && request.zone() == CATALOG).await;
    }
    running.until("good", |summary| summary.current == 8).await;
    let summary =
        running.until("bad", |summary| summary.error.as_ref().is_some_and(|(_, text)| text.contains(error)));
    assert_eq!(summary.await.behind, 8, "{error}");
    assert_eq!(running.acknowledged("bad"), 0);
    let findings = running.secondaries.findings(Timestamp::now());
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!((findings[0].kind, findings[0].subject.as_str()), (FindingKind::SecondaryLagging, "bad"));
    assert!(findings[0].message.contains("and 3 more zones since"), "{}", findings[0].message);
    assert!(findings[0].message.contains(error), "{}", findings[0].message);

    bad.become_like(well(now));
    running.until("bad", |summary| summary.current == 8 && summary.error.is_none()).await;
    running.until_acknowledged("bad").await;
    assert!(running.secondaries.findings(Timestamp::now()).is_empty());
    running.stop().await;
}

#[tokio::test]
async fn one_that_was_silent_is_told_when_it_answers() {
    recovers(|_| Reply::Nothing, "no answer").await;
}

#[tokio::test]
async fn one_that_resets_is_told_when_it_answers() {
    recovers(|_| Reply::Reset, "over TCP: ").await;
}

#[tokio::test]
async fn one_that_refuses_is_told_when_it_does_not() {
    recovers(refusing(Rcode::NOTAUTH), "NOTAUTH: it is not a secondary of the zone").await;
}

#[tokio::test]
async fn one_that_takes_changes_over_and_refuses_notify_is_a_lesser_finding() {
    let generation = generation();
    let now = serial(&generation);
    let ns1 = Scripted::start(move |request| {
        let (rcode, serial) =
            if request.is_notify() { (Rcode::NOTIMP, None) } else { (Rcode::NOERROR, Some(now)) };
        Reply::Say(vec![response(request, rcode, serial)])
    })
    .await;
    let running = Running::start(PATIENT, vec![unsigned("ns1", &ns1)]).await;
    running.secondaries.publish(generation);
    running.until("ns1", |summary| summary.current == 8 && summary.error.is_some()).await;
    let is_refused = |_: &SecondarySummary| {
        let findings = running.secondaries.findings(Timestamp::now());
        findings.iter().any(|f| f.kind == FindingKind::NotifyRefused && f.message.contains("3 more zones"))
    };
    running.until("ns1", is_refused).await;
    let findings = running.secondaries.findings(Timestamp::now());
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].message.contains("NOTIMP"), "{}", findings[0].message);

    ns1.become_like(well(now));
    running.until_acknowledged("ns1").await;
    assert!(running.secondaries.findings(Timestamp::now()).is_empty());
    running.stop().await;
}

#[tokio::test]
async fn garbage_and_what_belongs_to_something_else_is_no_answer() {
    let wrong = |request: &Request| {
        let mut id = response(request, Rcode::NOERROR, None);
        id[0] ^= 0xff;
        let mut query = response(request, Rcode::NOERROR, None);
        query[2] &= 0x87;
        let mut none = response(request, Rcode::NOERROR, None);
        none.truncate(12);
        none[5] = 0;
        let first = usize::from(request.tcp) * usize::from(request.octets[1] % 4);
        let mut all = vec![b"garbage".to_vec(), id, query, none];
        all.rotate_left(first);
        Reply::Say(all)
    };
    recovers(wrong, "belongs to something else").await;
}

#[tokio::test]
async fn the_right_answer_counts_behind_a_forged_one() {
    let generation = generation();
    let now = serial(&generation);
    let mut good = well(now);
    let ns1 = Scripted::start(move |request| {
        let Reply::Say(mut right) = good(request) else { panic!("it answers") };
        if !request.tcp {
            let mut forged = right[0].clone();
            forged[1] ^= 1;
            right.insert(0, forged);
        }
        Reply::Say(right)
    })
    .await;
    let running = Running::start(PATIENT, vec![unsigned("ns1", &ns1)]).await;
    running.secondaries.publish(generation);
    running.until("ns1", |summary| summary.current == 8 && summary.acknowledged.is_some()).await;
    assert_eq!(running.metric("notifies_total{result=\"error\",secondary=\"ns1\"}"), Some(0));
    running.stop().await;
}

#[tokio::test]
async fn where_datagrams_are_lost_tcp_gets_through() {
    let generation = generation();
    let mut good = well(serial(&generation));
    let ns1 = Scripted::start(move |r| if r.tcp { good(r) } else { Reply::Nothing }).await;
    let running = Running::start(Duration::from_millis(150), vec![unsigned("ns1", &ns1)]).await;
    running.secondaries.publish(generation);
    running.until_acknowledged("ns1").await;
    running.stop().await;
}

/// What a server with the `domain` crate's TSIG answers.
fn signing(
    mut answers: impl FnMut(&Request) -> Reply + Send + 'static,
) -> impl FnMut(&Request) -> Reply + Send + 'static {
    let name = "ns1-key".parse().expect("a name");
    let key = other::Key::new(other::Algorithm::Sha256, &[7; 32], name, None, None);
    let key = Arc::new(key.expect("a key"));
    move |request| {
        let mut message = Message::from_octets(request.octets.clone()).expect("a message");
        let transaction = ServerTransaction::request(&key, &mut message, Time48::now());
        let transaction = transaction.expect("right").expect("signed");
        let bare = Request { octets: message.into_octets(), ..request.clone() };
        let Reply::Say(said) = answers(&bare) else { return Reply::Nothing };
        let plain = Message::from_octets(&*said[0]).expect("a message");
        let mut builder = MessageBuilder::new_vec();
        *builder.header_mut() = plain.header();
        let mut builder = builder.question();
        builder.push(plain.sole_question().expect("one")).expect("room");
        let mut builder = builder.answer();
        for record in plain.answer().expect("a section").limit_to::<Soa<_>>() {
            builder.push(record.expect("a record")).expect("room");
        }
        let mut builder = builder.additional();
        transaction.answer(&mut builder, Time48::now()).expect("room");
        Reply::Say(vec![builder.finish()])
    }
}

#[tokio::test]
async fn signed_notifies_and_queries_are_right_and_so_have_answers_to_be() {
    let generation = generation();
    let now = serial(&generation);
    let ns1 = Scripted::start(signing(well(now))).await;
    let running = Running::start(PATIENT, vec![secondary("ns1", &ns1, Notification::Signed)]).await;
    running.secondaries.publish(generation.clone());
    running.until("ns1", |summary| summary.current == 8).await;

    // Who cannot sign has acknowledged nothing.
    let mut ns1 = ns1;
    ns1.become_like(well(now + 1));
    running.secondaries.publish(changed(&generation, CATALOG));
    ns1.wait(Request::is_notify).await;
    let summary = running.until("ns1", |summary| summary.error.is_some()).await;
    assert!(summary.error.expect("an error").1.contains("the response is not signed"));
    assert_eq!((summary.behind, running.acknowledged("ns1")), (1, 7));

    // Who does not know TSIG says so.
    ns1.become_like(refusing(Rcode::FORMERR));
    let is_told = |summary: &SecondarySummary| {
        summary
            .error
            .as_ref()
            .is_some_and(|(_, text)| text.contains("FORMERR") && text.contains("notify = \"unsigned\""))
    };
    running.until("ns1", is_told).await;
    ns1.become_like(signing(well(now + 1)));
    running.until("ns1", |summary| summary.current == 8 && summary.error.is_none()).await;
    running.stop().await;
}

#[tokio::test]
async fn a_greater_serial_raises_ours_when_it_is_proven() {
    let generation = generation();
    let now = serial(&generation);
    let ns1 = Scripted::start(well(now + 100)).await;
    let mut running = Running::start(PATIENT, vec![unsigned("ns1", &ns1)]).await;
    running.secondaries.publish(generation.clone());
    let mut zones = BTreeSet::new();
    while zones.len() < 8 {
        let raise =
            tokio::time::timeout(DEADLINE, running.raises.recv()).await.expect("a raise").expect("one");
        assert_eq!((raise.seen, raise.secondary.as_str()), (now + 100, "ns1"));
        assert!(zones.insert(raise.zone), "once");
    }
    // A resolver's cache proves nothing.
    let resolver = Scripted::start(move |request| {
        let mut response = response(request, Rcode::NOERROR, Some(now + 100));
        response[2] &= !0x04;
        Reply::Say(vec![response])
    })
    .await;
    running.configure(vec![unsigned("resolver", &resolver)]).await;
    let summary = running.until("resolver", |summary| summary.current == 8).await;
    assert_eq!(summary.error, None, "it has acknowledged, and cannot be asked");
    assert!(running.raises.try_recv().is_err());
    running.stop().await;
}

#[tokio::test]
async fn transfers_are_noted_and_one_in_a_datagram_proves_nothing() {
    let generation = generation();
    let now = serial(&generation);
    // It tells nothing by itself.
    let ns1 = Scripted::start(well(now)).await;
    let watched = secondary("ns1", &ns1, Notification::Off);
    let mut running = Running::start(PATIENT, vec![watched]).await;
    running.secondaries.publish(generation.clone());
    let zone = CATALOG.parse().expect("a name");
    let records = running.secondaries.records();
    let sent =
        Sent { kind: SentKind::Axfr, serial: now, complete: true, datagram: false, messages: 1, octets: 9 };
    let in_datagram = Sent { kind: SentKind::Ixfr, datagram: true, ..sent.clone() };
    let aborted = Sent { complete: false, ..sent.clone() };
    let counts = |running: &Running| (running.summary("ns1").current, running.summary("ns1").behind);
    records.asked("ns1", &zone, None);
    records.sent("ns1", &zone, &in_datagram);
    records.sent("ns1", &zone, &aborted);
    records.sent("nobody", &zone, &sent);
    assert_eq!(counts(&running), (0, 0), "it is not known to have had the zone");
    records.sent("ns1", &zone, &sent);
    assert_eq!(counts(&running), (1, 0));
    assert!(running.summary("ns1").transferred.is_some());
    running.secondaries.publish(changed(&generation, CATALOG));
    assert_eq!(counts(&running), (0, 1));
    for (kind, result) in [("axfr", "complete"), ("axfr", "aborted"), ("ixfr", "complete")] {
        let line = format!("transfers_total{{kind=\"{kind}\",result=\"{result}\",secondary=\"ns1\"}}");
        assert_eq!(running.metric(&line), Some(1));
    }
    assert_eq!(running.metric("transfer_octets_total{secondary=\"ns1\"}"), Some(27));
    records.asked("ns1", &zone, Some(now + 100));
    assert_eq!(running.raises.try_recv().expect("a raise").seen, now + 100);
    running.stop().await;
}

#[tokio::test]
async fn everything_comes_from_the_address_that_is_set() {
    let mut scripted = Scripted::start(well(1)).await;
    let source = Some([127, 0, 0, 7].into());
    let settings = Secondary { source, ..unsigned("ns1", &scripted) };
    let running = Running::start(DEADLINE, vec![settings]).await;
    running.secondaries.publish(generation());
    for is_notify in [true, false] {
        let request = scripted.wait(|request| request.is_notify() == is_notify).await;
        assert_eq!(Some(request.from.ip()), source);
    }
    running.stop().await;
}

#[tokio::test]
async fn a_reload_keeps_what_is_the_same() {
    let generation = generation();
    let now = serial(&generation);
    let mut same = Scripted::start(well(now)).await;
    let mut moved = Scripted::start(well(now)).await;
    let gone = Scripted::start(well(now)).await;
    let (a, b, c) = (unsigned("same", &same), unsigned("moved", &moved), unsigned("gone", &gone));
    let running = Running::start(PATIENT, vec![a.clone(), b, c]).await;
    running.secondaries.publish(generation);
    for name in ["same", "moved", "gone"] {
        running.until(name, |summary| summary.current == 8).await;
        running.until_acknowledged(name).await;
    }
    let _ = (same.requests_so_far(), moved.requests_so_far());
    let acknowledged = running.summary("same").acknowledged;
    running.configure(vec![a, secondary("moved", &moved, Notification::Signed)]).await;
    moved.wait(Request::is_notify).await;
    assert_eq!(running.secondaries.summaries(Timestamp::now()).len(), 2);
    assert_eq!(running.summary("same").acknowledged, acknowledged);
    assert_eq!(same.requests_so_far(), 0, "it was not told again");
    assert_eq!(running.metric("notifies_total{result=\"acknowledged\",secondary=\"gone\"}"), None);
    assert_eq!(running.metric("notifies_total{result=\"acknowledged\",secondary=\"same\"}"), Some(8));
    running.stop().await;
}

#[test]
fn a_message_of_a_zone_with_the_longest_name_fits_into_a_datagram() {
    let origin: DnsName = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61)).parse().expect("a name");
    let message = super::super::message::notify([1, 2], &origin, &generation().publication, 4_294_967_295);
    let read = Message::from_octets(&*message).expect("a message");
    let name: Name<Vec<u8>> = origin.as_str().parse().expect("a name");
    assert_eq!(read.sole_question().expect("one").qname(), &name);
    assert!(message.len() <= 512, "{}", message.len());
}
