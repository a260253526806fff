//! A zone of a million records, transferred while generations change ten times a second: every
//! transfer is of one generation, memory stays bounded, and queries are answered as ever.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use privatelink_dns::config::{self, Access, Config, Notification, Secondary};
use privatelink_dns::serve::{Context, Counters, Image, Listeners, Serving, Source, Transfers};
use privatelink_dns::zones::{DnsName, Form, Generation, Publication, Zone, ZoneSerial};
use tokio::sync::mpsc;

const RECORDS: u32 = 1_000_000;
const ZONE: &str = "privatelink.azure-devices.net";

/// Serials of the two generations that take turns; each gives every name an address of its own.
const SERIALS: [u32; 2] = [1000, 2000];

/// Counts the octets that are allocated, and the most at a time.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands everything on to the system's allocator and only counts.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn name(text: &str) -> DnsName {
    text.parse().expect("a name")
}

/// The address of a name in a generation.
fn address(serial: u32, number: u32) -> Ipv4Addr {
    let [_, b, c, d] = number.to_be_bytes();
    Ipv4Addr::new(if serial == SERIALS[0] { 10 } else { 11 }, b, c, d)
}

fn generation(serial: u32) -> Generation {
    let owner = |n: u32| name(&format!("iotc-{n:07}.{ZONE}"));
    let addresses: BTreeMap<_, _> =
        (0..RECORDS).map(|n| (owner(n), BTreeSet::from([address(serial, n)]))).collect();
    let zone =
        Zone { form: Form::Privatelink, addresses, views: BTreeMap::new(), applications: BTreeSet::new() };
    Generation {
        number: 1,
        created: Timestamp::UNIX_EPOCH,
        cause: String::new(),
        publication: Publication {
            privatelink_zones: true,
            per_name_zones: false,
            application_name: false,
            ttl: 10,
            negative_ttl: 10,
            name_servers: vec![name("ns1.example.net")],
            hostmaster: name("hostmaster.example.net"),
            endpoints: BTreeMap::new(),
            catalog: None,
            rpz: None,
            serial_at_least: None,
        },
        shares: BTreeMap::new(),
        zones: BTreeMap::from([(name(ZONE), zone)]),
        serials: BTreeMap::from([(name(ZONE), ZoneSerial { serial, changed: Timestamp::UNIX_EPOCH })]),
    }
}

fn configuration() -> Config {
    let text = "version = 1\n[[application]]\nid = '/subscriptions/00000000-0000-0000-0000-000000000001/\
                resourceGroups/r/providers/Microsoft.IoTCentral/iotApps/a'\n[dns]\nudp_threads = 1\n\
                tcp_idle_timeout = '60s'\n[dns.rate_limit]\nresponses_per_second = 0\n";
    config::parse("test.toml", text, std::iter::empty()).expect("a configuration")
}

/// What stands behind each other for the whole test.
fn serving(config: &Config, serial: u32, transfers: &Arc<Transfers>) -> Arc<Serving> {
    let generation = Arc::new(generation(serial));
    let counters = Counters::new().expect("counters");
    let context = Context { complete: true, ..Context::default() };
    let image = Image::compile(&generation, context, &counters).expect("an image");
    let mut serving = Serving::new(Arc::new(image), &config.dns, None, None);
    serving.transfers = transfers.clone();
    serving.source = Some(Arc::new(Source { generation, history: Arc::new(VecDeque::new()) }));
    Arc::new(serving)
}

/// Transfers the zone with an independent client, record by record, and says which serial it was.
fn transfer(client: &str, server: SocketAddr) -> u32 {
    let patience = if client == "dig" { "+time=60" } else { "+timeout=60" };
    let mut child = Command::new(client)
        .arg(format!("@{}", server.ip()))
        .args(["-p", &server.port().to_string(), ZONE, "AXFR"])
        .args(["+noall", "+answer", patience])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{client}: {error}"));
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
    let (mut line, mut serial, mut next) = (String::new(), None, 0);
    while lines.read_line(&mut line).expect("text") > 0 {
        let mut fields = line.split_whitespace();
        let (owner, kind) = (fields.next().unwrap_or_default(), fields.nth(2).unwrap_or_default());
        match kind {
            "SOA" => {
                let here = fields.nth(2).and_then(|serial| serial.parse::<u32>().ok());
                assert!(here.is_some() && serial.is_none_or(|first| Some(first) == here), "{line}");
                serial = here;
            }
            "A" => {
                let serial = serial.expect("the SOA comes first");
                assert!(
                    owner.strip_prefix("iotc-").is_some_and(|o| o.starts_with(&format!("{next:07}."))),
                    "{line}"
                );
                let got: Ipv4Addr = fields.next().and_then(|a| a.parse().ok()).expect("an address");
                assert_eq!(got, address(serial, next), "a record of another generation: {line}");
                next += 1;
            }
            "NS" => {}
            _ => assert!(line.trim().is_empty() || line.starts_with(';'), "{line}"),
        }
        line.clear();
    }
    assert!(child.wait().expect("an end").success(), "{client}");
    assert_eq!(next, RECORDS, "{client}");
    serial.expect("an SOA")
}

/// Asks for one name after the other until told to stop; each answer is right by one of the
/// generations.
fn queries(server: SocketAddr, stop: &AtomicBool) -> u32 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    socket.connect(server).expect("connected");
    let mut asked = 0;
    while !stop.load(Ordering::Relaxed) {
        let number = asked * 7919 % RECORDS;
        let mut query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0".to_vec();
        for label in format!("iotc-{number:07}.{ZONE}").split('.') {
            query.push(label.len() as u8);
            query.extend(label.as_bytes());
        }
        query.extend(b"\0\0\x01\0\x01");
        socket.send(&query).expect("sent");
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).expect("an answer");
        let octets: [u8; 4] = answer[length - 4..length].try_into().expect("an address");
        let got = Ipv4Addr::from(octets);
        assert!(SERIALS.iter().any(|serial| address(*serial, number) == got), "{got} for {number}");
        asked += 1;
    }
    asked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_transfer_is_of_one_generation_however_often_it_changes() {
    let config = configuration();
    let secondary = Secondary {
        name: "local".to_owned(),
        address: "127.0.0.1:53".parse().expect("an address"),
        key: None,
        access: Access::Address,
        source: None,
        notification: Notification::Off,
    };
    let transfer_config = config::Transfer { secondaries: vec![secondary], ..config.transfer.clone() };
    let transfers = Arc::new(Transfers::new(&transfer_config, Arc::default()).expect("no keys to read"));
    let both = SERIALS.map(|serial| serving(&config, serial, &transfers));
    let shared = Arc::new(ArcSwap::new(both[0].clone()));
    let (deaths, _alive) = mpsc::unbounded_channel();
    let mut listeners = Listeners::new(shared.clone(), Arc::new(Counters::new().expect("counters")), deaths);
    listeners.bind(&["127.0.0.1:0".parse().expect("an address")], 1).expect("bound");
    listeners.start().expect("started");
    let server = listeners.addresses()[0];

    let stop = Arc::new(AtomicBool::new(false));
    let changing = tokio::spawn({
        let (both, shared, stop) = (both.clone(), shared.clone(), stop.clone());
        async move {
            let mut tick = tokio::time::interval(Duration::from_millis(100));
            let mut changes = 0;
            while !stop.load(Ordering::Relaxed) {
                tick.tick().await;
                changes += 1;
                shared.store(both[changes % 2].clone());
            }
            changes
        }
    });
    let asking = tokio::task::spawn_blocking({
        let stop = stop.clone();
        move || queries(server, &stop)
    });
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let clients = ["dig", "kdig", "dig"];
    let running = clients.map(|client| tokio::task::spawn_blocking(move || transfer(client, server)));
    for transfer in running {
        let serial = transfer.await.expect("a good transfer");
        assert!(SERIALS.contains(&serial), "{serial}");
    }
    stop.store(true, Ordering::Relaxed);
    let changes = changing.await.expect("no panic");
    let asked = asking.await.expect("no panic");
    let grown = MOST.load(Ordering::Relaxed) - before;
    println!("{changes} changes, {asked} queries, {grown} octets");
    assert!(changes > 10, "only {changes} changes while it ran");
    assert!(asked > 1000, "only {asked} queries were answered");
    assert!(grown < 4 << 20, "{grown} octets for three transfers of some 30 MB");
    listeners.stop().await;
}
