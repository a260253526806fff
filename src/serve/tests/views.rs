//! Views: which addresses a name has depends on the client's address.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::prelude::*;

use super::super::{Asker, Image};
use super::build::*;
use super::server::*;
use super::summary::summary;
use crate::zones::{EndpointPolicy, EndpointShare, Prefix, Publication, ResourceId, Share};

const HUB: &str = "a.privatelink.azure-devices.net";
const PER_NAME: &str = "a.azure-devices.net";
/// Given by the first endpoint alone.
const OTHER: &str = "b.privatelink.azure-devices.net";

fn endpoint(number: u8) -> ResourceId {
    format!("/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/privateEndpoints/pe-{number}")
        .parse()
        .expect("a resource id")
}

/// An application with two endpoints; the second gives one name of the first's two.
fn two_endpoints(number: u8) -> Share {
    let zone = "privatelink.azure-devices.net";
    let given = |names: &[Name<'_>]| share(number, &[zone], names).endpoints.into_values().next();
    let first = [
        ("a.azure-devices.net", zone, vec![[10, number, 1, 4].into()]),
        ("b.azure-devices.net", zone, vec![[10, number, 1, 5].into()]),
    ];
    let second = [("a.azure-devices.net", zone, vec![[10, number, 2, 4].into(), [10, number, 2, 5].into()])];
    let endpoints: BTreeMap<ResourceId, EndpointShare> = [(1, given(&first)), (2, given(&second))]
        .into_iter()
        .map(|(number, share)| (endpoint(number), share.expect("an endpoint")))
        .collect();
    Share { endpoints, ..share(number, &[zone], &[]) }
}

fn by_subnet(rows: &[(&str, u8)]) -> Publication {
    let rows = rows.iter().map(|(text, number)| (prefix(text), endpoint(*number))).collect();
    let endpoints = BTreeMap::from([(application(1), EndpointPolicy::BySubnet(rows))]);
    Publication { endpoints, ..publication() }
}

fn image(rows: &[(&str, u8)]) -> Image {
    compile(&generation(&by_subnet(rows), vec![two_endpoints(1)]), true)
}

/// The last parts of the addresses, such as `1.4 2.4`.
fn shown(response: &[u8]) -> String {
    let answers = summary(response).answers;
    let mut ends: Vec<_> = answers.iter().filter_map(|line| line.split("A 10 10.1.").nth(1)).collect();
    ends.sort_unstable();
    ends.join(" ")
}

fn ask_as(image: &Image, client: &str, name: &str, kind: u16) -> Vec<u8> {
    let view = image.view(client.parse().expect("an address"));
    respond(image, &query(name, kind), Asker { view, ..UDP }).expect("a response")
}

#[test]
fn each_client_gets_the_addresses_of_its_network() {
    let image = image(&[("10.1.0.0/16", 1), ("10.1.5.0/24", 2), ("10.1.6.0/24", 9), ("fd00::/8", 2)]);
    for (client, hub) in [
        ("192.0.2.1", "1.4 2.4 2.5"),
        ("10.1.0.1", "1.4"),
        ("::ffff:10.1.0.1", "1.4"),
        ("10.1.5.255", "2.4 2.5"),
        ("::ffff:10.1.5.255", "2.4 2.5"),
        ("10.1.6.1", "1.4 2.4 2.5"),
        ("fd00::1", "2.4 2.5"),
        ("::1", "1.4 2.4 2.5"),
    ] {
        for name in [HUB, PER_NAME] {
            assert_eq!(shown(&ask_as(&image, client, name, A)), hub, "{client} {name}");
            assert_eq!(shown(&ask_as(&image, client, name, ANY)), hub, "{client} {name}");
        }
        assert_eq!(shown(&ask_as(&image, client, OTHER, A)), "1.5", "{client}");
        for (name, kind) in [(HUB, AAAA), ("x.privatelink.azure-devices.net", A), (PER_NAME, SOA)] {
            let everybody = ask_as(&image, "192.0.2.1", name, kind);
            assert_eq!(ask_as(&image, client, name, kind), everybody, "{client} {name}");
        }
    }
}

#[test]
fn without_client_prefixes_nobody_has_a_view() {
    let image = sample();
    assert_eq!(image.view(Ipv4Addr::LOCALHOST.into()), None);
    let policy = EndpointPolicy::Prefer(vec![endpoint(2)]);
    let publication = Publication { endpoints: BTreeMap::from([(application(1), policy)]), ..publication() };
    let image = compile(&generation(&publication, vec![two_endpoints(1)]), true);
    assert_eq!(image.view(Ipv4Addr::LOCALHOST.into()), None);
    assert_eq!(shown(&ask_as(&image, "10.1.0.1", HUB, A)), "2.4 2.5");
}

#[tokio::test]
async fn the_client_s_address_decides_over_udp_and_tcp() {
    let dns = dns(&["127.0.0.1:0", "[::1]:0"]);
    let server = Server::start(&dns);
    server.publish(image(&[("127.0.0.2/32", 2), ("127.0.0.0/8", 1)]), &dns);
    let addresses = server.listeners.addresses();
    let of = |v4: bool| *addresses.iter().find(|a: &&SocketAddr| a.is_ipv4() == v4).expect("a listener");
    for (from, expected) in [("127.0.0.1", "1.4"), ("127.0.0.2", "2.4 2.5"), ("::1", "1.4 2.4 2.5")] {
        let address = of(!from.contains(':'));
        let (response, _) = ask(&client(from).await, address, &query(HUB, A)).await;
        assert_eq!(shown(&response), expected, "UDP from {from}");
        let mut stream = connect(from, address).await;
        let response = ask_over(&mut stream, &query(HUB, A)).await.expect("a response");
        assert_eq!(shown(&response), expected, "TCP from {from}");
        // The next generation, over the same connection.
        server.publish(image(&[]), &dns);
        let response = ask_over(&mut stream, &query(HUB, A)).await.expect("a response");
        assert_eq!(shown(&response), "1.4 2.4 2.5", "TCP from {from}");
        server.publish(image(&[("127.0.0.2/32", 2), ("127.0.0.0/8", 1)]), &dns);
    }
    server.stop().await;
}

/// Prefixes close to each other, so that many lie in others.
fn some_prefix() -> impl Strategy<Value = Prefix> {
    let v4 = (0..4_u32, 24..=32_u8)
        .prop_map(|(bits, length)| (Ipv4Addr::from(0x0a01_0500 + 64 * bits).into(), length));
    let wide = (any::<u32>(), 0..=32_u8).prop_map(|(bits, length)| (Ipv4Addr::from(bits).into(), length));
    let v6 = (0..4_u128, 0..=128_u8).prop_map(|(bits, length)| (Ipv6Addr::from(bits << 64).into(), length));
    prop_oneof![4 => v4, 1 => wide, 2 => v6]
        .prop_map(|(address, length)| Prefix::around(address, length).expect("a length of the family"))
}

fn some_client() -> impl Strategy<Value = IpAddr> {
    let v4 = (0..256_u32).prop_map(|bits| Ipv4Addr::from(0x0a01_0500 + bits));
    let wide = any::<u32>().prop_map(Ipv4Addr::from);
    prop_oneof![
        v4.clone().prop_map(IpAddr::from),
        v4.prop_map(|ip| ip.to_ipv6_mapped().into()),
        wide.prop_map(IpAddr::from),
        (0..4_u128, any::<u64>()).prop_map(|(net, host)| Ipv6Addr::from(net << 64 | u128::from(host)).into()),
    ]
}

/// Whether the first bits are the same, said bit by bit.
fn lies_in(client: IpAddr, prefix: Prefix) -> bool {
    let bits = |ip: IpAddr| match ip.to_canonical() {
        IpAddr::V4(ip) => format!("{:032b}", ip.to_bits()),
        IpAddr::V6(ip) => format!("{:0128b}", ip.to_bits()),
    };
    let (client, network) = (bits(client), bits(prefix.network));
    client.len() == network.len() && client[..prefix.length.into()] == network[..prefix.length.into()]
}

proptest! {
    #[test]
    fn the_longest_prefix_that_holds_the_client_decides(
        rows in prop::collection::btree_map(some_prefix(), 1..=3_u8, 0..8),
        clients in prop::collection::vec(some_client(), 1..16),
    ) {
        let endpoints: BTreeMap<_, _> = rows.iter().map(|(prefix, number)| (*prefix, endpoint(*number))).collect();
        let policy = EndpointPolicy::BySubnet(endpoints);
        let publication = Publication { endpoints: BTreeMap::from([(application(1), policy)]), ..publication() };
        let image = compile(&generation(&publication, vec![two_endpoints(1)]), true);
        for client in clients {
            let mut around: Vec<_> = rows.iter().filter(|(prefix, _)| lies_in(client, **prefix)).collect();
            around.sort_by_key(|(prefix, _)| prefix.length);
            let hub = match around.last() {
                Some((_, 1)) => "1.4",
                Some((_, 2)) => "2.4 2.5",
                _ => "1.4 2.4 2.5",
            };
            prop_assert_eq!(image.view(client).is_some(), !around.is_empty(), "{}", client);
            prop_assert_eq!(shown(&ask_as(&image, &client.to_string(), HUB, A)), hub, "{}", client);
            prop_assert_eq!(shown(&ask_as(&image, &client.to_string(), OTHER, A)), "1.5", "{}", client);
        }
    }
}
