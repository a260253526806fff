//! `answer` allocates nothing once its buffer has grown.
//!
//! A binary of its own, as the counting allocator would count for every other test as well.
#![allow(unsafe_code, reason = "an allocator can be written in no other way")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use privatelink_dns::serve::{Asker, Context, Counters, Image, Outcome, Transport, answer};
use privatelink_dns::zones::generation::succeed;
use privatelink_dns::zones::{
    EndpointPolicy, EndpointShare, Placement, Publication, ResourceId, Share, Source,
};

thread_local! {
    /// Allocations of this thread; the test harness allocates in its own.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is handed on to the system's allocator as it is; counting touches only a
// constant-initialised thread local without a destructor, which does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn count() {
    ALLOCATIONS.with(|n| n.set(n.get() + 1));
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn id(text: &str) -> ResourceId {
    format!("/subscriptions/s/resourceGroups/g/providers/{text}").parse().expect("a resource id")
}

fn image() -> Image {
    let now = jiff::Timestamp::UNIX_EPOCH;
    let name = |text: &str| text.parse().expect("a name");
    let placement = |network: u32, i: u32| Placement {
        zone: name("privatelink.azure-devices.net"),
        member: None,
        interface: None,
        source: Source::Interface,
        own_name: false,
        addresses: (0..3).map(|j| (network + 8 * i + j).into()).collect(),
        since: now,
    };
    let given = |network: u32| EndpointShare {
        subnet: None,
        names: (0..50)
            .map(|i| (name(&format!("iotc-{i}.a.azure-devices.net")), placement(network, i)))
            .collect(),
    };
    let endpoints = [1, 2].map(|i| id(&format!("Microsoft.Network/privateEndpoints/pe-{i}")));
    let application = id("Microsoft.IoTCentral/iotApps/app");
    let share = Share {
        application: application.clone(),
        zones: BTreeSet::new(),
        endpoints: endpoints.iter().cloned().zip([0x0a00_0000, 0x0a01_0000].map(given)).collect(),
    };
    let networks = BTreeMap::from([("10.1.0.0/16".parse().expect("a prefix"), endpoints[1].clone())]);
    let publication = Publication {
        privatelink_zones: true,
        per_name_zones: true,
        application_name: true,
        ttl: 10,
        negative_ttl: 10,
        name_servers: vec![name("ns1.example.net")],
        hostmaster: name("hostmaster.example.net"),
        endpoints: BTreeMap::from([(application, EndpointPolicy::BySubnet(networks))]),
        catalog: None,
        rpz: None,
        serial_at_least: None,
    };
    let shares = BTreeMap::from([(share.application.clone(), Arc::new(share))]);
    let (generation, _) = succeed(None, shares, &publication, "test", now).expect("a generation");
    let image = Image::compile(
        &generation,
        Context { complete: true, ..Context::default() },
        &Counters::new().expect("counters"),
    )
    .expect("an image");
    // So that responses with EDNS carry an extended error too.
    image.mark_stale(&BTreeSet::from([id("Microsoft.IoTCentral/iotApps/app")]));
    image
}

fn query(name: &str, kind: u16, edns: bool) -> Vec<u8> {
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)];
    for label in name.split('.') {
        query.push(label.len() as u8);
        query.extend(label.as_bytes());
    }
    query.push(0);
    query.extend(kind.to_be_bytes());
    query.extend([0, 1]);
    if edns {
        query.extend(b"\0\0\x29\x04\xd0\0\0\0\0\0\x0c\0\x0a\0\x08abcdefgh");
    }
    query
}

#[test]
fn answering_allocates_nothing() {
    let image = image();
    let mut out = Vec::with_capacity(1232);
    assert_eq!(image.view([10, 1, 0, 1].into()), Some(0));
    // RCODE, and the query it is the answer to.
    let table = [
        (0, "iotc-7.a.privatelink.azure-devices.net", 1),
        (0, "IOTC-7.A.PrivateLink.azure-DEVICES.net", 1),
        (0, "iotc-7.a.azure-devices.net", 1),
        (0, "iotc-7.a.privatelink.azure-devices.net", 255),
        (0, "privatelink.azure-devices.net", 6),
        (0, "privatelink.azure-devices.net", 2),
        (0, "iotc-7.a.privatelink.azure-devices.net", 28),
        (0, "a.privatelink.azure-devices.net", 1),
        (3, "x.a.b.c.d.e.f.g.h.privatelink.azure-devices.net", 1),
        (5, "www.example.org", 1),
        (4, "privatelink.azure-devices.net", 253),
        (1, "iotc-7.a.azure-devices.net", 41),
    ];
    for (expected, name, kind) in table {
        for edns in [false, true] {
            let (everybody, network) = ([10, 0, 0, 1], [10, 1, 0, 1]);
            let (udp, tcp) = (Transport::Udp, Transport::Tcp);
            for (transport, client) in [(udp, everybody), (udp, network), (tcp, everybody), (tcp, network)] {
                for truncate in [false, transport == Transport::Udp] {
                    let request = query(name, kind, edns);
                    let before = ALLOCATIONS.get();
                    let view = image.view(client.into());
                    let asker = Asker {
                        transport,
                        allowed: true,
                        recursion: false,
                        truncate,
                        view,
                        secondary: false,
                        reserve: 0,
                    };
                    let outcome = answer(&image, &request, asker, &mut out);
                    let allocated = ALLOCATIONS.get() - before;
                    assert_eq!(allocated, 0, "{name} {kind}, EDNS {edns}, {transport:?}");
                    let Outcome::Answered { rcode, .. } = outcome else { panic!("no answer to {name}") };
                    assert!(rcode == expected || truncate && rcode == 0, "{name} {kind}: {rcode}");
                }
            }
        }
    }
}

#[test]
fn the_allocator_counts() {
    let before = ALLOCATIONS.get();
    drop(std::hint::black_box(vec![1_u8; 100]));
    assert_eq!(ALLOCATIONS.get() - before, 1);
}
