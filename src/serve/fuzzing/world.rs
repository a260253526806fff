//! One fixed world: zones of two applications, views, a catalog, a policy zone, and secondaries.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jiff::Timestamp;

use super::super::secondaries::Records;
use super::super::{Asker, Context, Counters, Image, Serving, Source, Transfers, Transport};
use crate::config::{Access, Dns, Notification, RateLimit, Secondary};
use crate::wire::tsig::{Algorithm, Key, Keys};
use crate::zones::generation::succeed;
use crate::zones::{
    Catalog, Difference, DnsName, EndpointPolicy, EndpointShare, Generation, Placement, Publication,
    ResourceId, Share, Source as From,
};

const START: i64 = 1_700_000_000;

pub(super) const DEVICES: &str = "privatelink.azure-devices.net";
pub(super) const BUS: &str = "privatelink.servicebus.windows.net";
pub(super) const CATALOG: &str = "catalog.example.net";

/// Who asks: by the access list, from a network with a view, without a view, a secondary by its address,
/// and nobody who is known.
pub(super) const CLIENTS: [&str; 6] =
    ["10.1.0.1", "10.1.5.1", "::ffff:10.200.0.1", "192.0.2.1", "192.0.2.2", "203.0.113.1"];

/// The names of the keys; the last is no secondary's.
pub(super) const KEYS: [&str; 4] = ["key", "either", "both", "unused"];

pub(super) struct World {
    pub(super) generation: Arc<Generation>,
    /// Names that are missing do not exist.
    pub(super) complete: Serving,
    /// Names that are missing are public DNS's.
    pub(super) fallback: Serving,
    /// An application was never read.
    pub(super) incomplete: Serving,
    /// Nothing was ever loaded.
    pub(super) empty: Serving,
    pub(super) counters: Counters,
}

pub(super) static WORLD: LazyLock<World> = LazyLock::new(World::new);

pub(super) fn name(text: &str) -> DnsName {
    text.parse().expect("a name")
}

fn id(kind: &str, text: &str) -> ResourceId {
    format!("/subscriptions/s/resourceGroups/g/providers/{kind}/{text}").parse().expect("a resource id")
}

fn application(number: u8) -> ResourceId {
    id("Microsoft.IoTCentral/iotApps", &format!("app-{number}"))
}

fn endpoint(number: u8) -> ResourceId {
    id("Microsoft.Network/privateEndpoints", &format!("pe-{number}"))
}

fn prefix(text: &str) -> crate::zones::Prefix {
    let (network, length) = text.split_once('/').expect("a prefix");
    crate::zones::Prefix {
        network: network.parse().expect("an address"),
        length: length.parse().expect("a length"),
    }
}

fn placed(zone: &str, own_name: bool, addresses: impl IntoIterator<Item = [u8; 4]>) -> Placement {
    Placement {
        zone: name(zone),
        member: None,
        interface: None,
        source: From::Interface,
        own_name,
        addresses: addresses.into_iter().map(Ipv4Addr::from).collect(),
        since: Timestamp::from_second(START).expect("a time"),
    }
}

fn share(number: u8, zone: &str, endpoints: Vec<(u8, Vec<(&str, Placement)>)>) -> Share {
    let given = |names: Vec<(&str, Placement)>| EndpointShare {
        subnet: None,
        names: names.into_iter().map(|(public, placement)| (name(public), placement)).collect(),
    };
    Share {
        application: application(number),
        zones: BTreeSet::from([name(zone)]),
        endpoints: endpoints.into_iter().map(|(number, names)| (endpoint(number), given(names))).collect(),
    }
}

/// `late` came with the second generation; one name has more addresses than a datagram holds.
fn shares(late: bool) -> Vec<Share> {
    let mut near = vec![
        ("iotc-1.azure-devices.net", placed(DEVICES, false, [[10, 1, 1, 4]])),
        ("iotc-2.azure-devices.net", placed(DEVICES, false, [[10, 1, 1, 5], [10, 1, 1, 6]])),
        ("many.azure-devices.net", placed(DEVICES, false, (0..90).map(|last| [10, 3, 0, last]))),
    ];
    if late {
        near.push(("late.azure-devices.net", placed(DEVICES, false, [[10, 1, 1, 7]])));
    }
    let far = vec![("iotc-1.azure-devices.net", placed(DEVICES, false, [[10, 1, 2, 4], [10, 1, 2, 5]]))];
    let bus = vec![("a.b.servicebus.windows.net", placed(BUS, false, [[10, 0, 0, 6]]))];
    vec![share(1, DEVICES, vec![(1, near), (2, far)]), share(2, BUS, vec![(3, bus)])]
}

fn publication() -> Publication {
    let rows = BTreeMap::from([(prefix("10.1.0.0/16"), endpoint(1)), (prefix("10.1.5.0/24"), endpoint(2))]);
    Publication {
        privatelink_zones: true,
        per_name_zones: true,
        application_name: true,
        ttl: 10,
        negative_ttl: 5,
        name_servers: vec![name("ns1.example.net"), name("ns2.example.net")],
        hostmaster: name("hostmaster.example.net"),
        endpoints: BTreeMap::from([(application(1), EndpointPolicy::BySubnet(rows))]),
        catalog: Some(Catalog { origin: name(CATALOG), group: Some("iot".to_owned()) }),
        rpz: Some(name("rpz.example.net")),
        serial_at_least: None,
    }
}

fn generations() -> (Generation, VecDeque<Difference>) {
    let next = |before: Option<&Generation>, late, after| {
        let shares = shares(late).into_iter().map(|share| (share.application.clone(), Arc::new(share)));
        let now = Timestamp::from_second(START + after).expect("a time");
        succeed(before, shares.collect(), &publication(), "fuzzing", now).expect("a change")
    };
    let (first, begin) = next(None, false, 0);
    let (second, change) = next(Some(&first), true, 10);
    (second, VecDeque::from([begin, change]))
}

fn secondary(address: &str, key: Option<&str>, access: Access) -> Secondary {
    Secondary {
        name: format!("{access:?}").to_lowercase(),
        address: address.parse().expect("an address"),
        key: key.map(name),
        access,
        source: None,
        notification: Notification::Off,
    }
}

pub(super) fn key(text: &str) -> Key {
    Key::new(name(text), Algorithm::HmacSha256, &[7; 32]).expect("a key")
}

fn transfers() -> Transfers {
    let secondaries = vec![
        secondary("192.0.2.1:53", None, Access::Address),
        secondary("192.0.2.2:53", Some(KEYS[0]), Access::Key),
        secondary("192.0.2.3:53", Some(KEYS[1]), Access::KeyOrAddress),
        secondary("192.0.2.4:53", Some(KEYS[2]), Access::KeyAndAddress),
    ];
    let keys: Keys = KEYS.map(key).into_iter().collect();
    Transfers::of(secondaries, keys, Arc::new(Records::default()))
}

/// Ten tenths and the networks of the views may ask.
fn dns() -> Dns {
    Dns {
        listen: Vec::new(),
        allow_query: vec![prefix("10.0.0.0/8")],
        udp_threads: 1,
        tcp_connections: 1,
        tcp_connections_per_client: 1,
        tcp_idle_timeout: Duration::from_secs(1),
        rate_limit: RateLimit { responses_per_second: 0, slip: 0, ipv4_prefix: 24, ipv6_prefix: 56 },
        stale_after: Duration::from_secs(60),
        tls: None,
    }
}

impl World {
    fn new() -> Self {
        let counters = Counters::new().expect("counters");
        let (generation, history) = generations();
        let source = Source { generation: Arc::new(generation), history: Arc::new(history) };
        let (generation, source) = (source.generation.clone(), Arc::new(source));
        let serving = |image: Image, source: Option<Arc<Source>>| {
            let mut serving = Serving::new(Arc::new(image), &dns(), None, None);
            serving.transfers = Arc::new(transfers());
            serving.source = source;
            serving
        };
        let compiled = |context| Image::compile(&generation, context, &counters).expect("an image");
        let context = |complete, resolver| Context {
            complete,
            resolver,
            fallback: resolver,
            expected: BTreeSet::from(["iotc-9".to_owned()]),
        };
        let complete = serving(compiled(context(true, false)), Some(source.clone()));
        let fallback = serving(compiled(context(true, true)), Some(source));
        let incomplete = serving(compiled(context(false, true)), None);
        let empty = serving(Image::default(), None);
        Self { generation, complete, fallback, incomplete, empty, counters }
    }

    /// What one octet chooses.
    pub(super) fn serving(&self, choice: u8) -> &Serving {
        match choice & 3 {
            0 => &self.complete,
            1 => &self.fallback,
            2 => &self.incomplete,
            _ => &self.empty,
        }
    }
}

/// A client, and how it asks, that two octets choose.
pub(super) fn asker(serving: &Serving, who: u8, how: u8) -> (IpAddr, Asker) {
    let client = CLIENTS[usize::from(who) % CLIENTS.len()].parse().expect("an address");
    let transport = [Transport::Udp, Transport::Tcp, Transport::Https, Transport::Udp][usize::from(how & 3)];
    let truncate = how & 7 == 7;
    let asker = serving.asker(client, transport, truncate);
    // There is no resolver here: that it may be asked is all that the pure answer knows of it.
    let recursion = how & 8 != 0 && (asker.allowed || how & 16 != 0) && serving.image.context().resolver;
    (client, Asker { recursion, ..asker })
}
