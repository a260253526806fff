//! New zones and old ones, of which secondaries learn from the catalog.

use std::net::SocketAddr;

use privatelink_dns::simulator::{IpConfiguration, Member, MemberKind};
use rustix::process::Signal;

use super::{CATALOG, Peer, Site, serial};
use crate::support::eventually;

const ZONE: &str = "privatelink.new-service.net";
const NAME: &str = "one.privatelink.new-service.net";

/// Waits until a server knows a zone as the daemon does, or does not know it any more.
async fn knows(server: SocketAddr, zone: &str, yes: bool) {
    eventually(&format!("{zone} is known at {server}: {yes}"), async || {
        let serial = serial(server, zone).await;
        if serial.is_some() == yes { Ok(()) } else { Err(format!("{serial:?}")) }
    })
    .await;
}

#[tokio::test]
async fn bind_knot_and_powerdns_take_up_a_new_zone_and_drop_it_by_themselves() {
    let peers = [
        Peer::new("bind", 1, ""),
        Peer::new("knot", 1, ""),
        Peer::new("pdns", 14, "transfer_by = \"key-or-address\""),
    ];
    let site = Site::new(&format!("catalog = \"{CATALOG}\""), "", &peers).await;
    let [bind, knot, pdns] = &peers;
    let servers = [
        site.named("bind-secondary", bind, "recursion no;").await,
        site.knotd(knot).await,
        site.pdns(pdns).await,
    ];
    for server in &servers {
        site.shown_by(server.address, &site.azure.names()).await;
        knows(server.address, ZONE, false).await;
    }

    // Twice: a zone that comes back is a new one.
    for round in 0..2_u8 {
        let address = [10, 1, 0, 200 + round].into();
        site.azure.with(|world| {
            let application = world.applications.get_mut(&site.azure.application).expect("the application");
            let fqdns = vec!["one.new-service.net".to_owned()];
            application.required.push(Member {
                name: "one".to_owned(),
                kind: MemberKind::Other,
                fqdns: fqdns.clone(),
            });
            application.required_zone_names.push(ZONE.to_owned());
            let endpoint = world.endpoints.get_mut(&site.azure.endpoint).expect("the endpoint");
            endpoint.interface.configurations.push(IpConfiguration {
                name: "privateEndpointIpConfig.one".to_owned(),
                member: "one".to_owned(),
                fqdns,
                address,
            });
            Ok(())
        });
        let mut names = site.azure.names();
        site.daemon.signal(Signal::USR1);
        site.daemon.answers(NAME, &[address].into()).await;
        names.insert(NAME.to_owned(), [address].into());
        for server in &servers {
            site.shown_by(server.address, &names).await;
        }

        site.azure.with(|world| {
            let application = world.applications.get_mut(&site.azure.application).expect("the application");
            application.required.retain(|member| member.name != "one");
            application.required_zone_names.retain(|zone| zone != ZONE);
            let endpoint = world.endpoints.get_mut(&site.azure.endpoint).expect("the endpoint");
            endpoint.interface.configurations.retain(|configuration| configuration.member != "one");
            Ok(())
        });
        site.daemon.signal(Signal::USR1);
        for server in [site.daemon.dns()].into_iter().chain(servers.iter().map(|server| server.address)) {
            knows(server, ZONE, false).await;
        }
        names.remove(NAME);
        for server in &servers {
            site.shown_by(server.address, &names).await;
        }
    }
}

#[tokio::test]
async fn bind_and_knot_take_two_hundred_zones_and_a_change_of_one_touches_no_other() {
    let peers = [Peer::new("bind", 1, ""), Peer::new("knot", 1, "")];
    let publish = "per_name_zones = true\nprivatelink_zones = false";
    let site = Site::of_names(&format!("catalog = \"{CATALOG}\""), publish, &peers).await;
    let [bind, knot] = &peers;
    // Two names for each hub; two hubs and the provisioning service are there.
    for _ in 0..98 {
        site.azure.scale_out();
    }
    site.daemon.signal(Signal::USR1);
    eventually("201 zones", async || {
        let count = site.zones().await.len();
        if count == 201 { Ok(()) } else { Err(format!("{count}")) }
    })
    .await;
    let servers = [site.named("bind-secondary", bind, "recursion no;").await, site.knotd(knot).await];
    for server in &servers {
        site.shown_by(server.address, &[].into()).await;
    }

    let before = site.zones().await;
    let mut counts = Vec::new();
    for peer in &peers {
        counts.push(site.transfers(peer).await);
    }
    let changed = site.azure.with(|world| {
        let endpoint = world.endpoints.get_mut(&site.azure.endpoint).expect("the endpoint");
        let hub =
            endpoint.interface.configurations.iter_mut().find(|c| c.fqdns[0].contains(".azure-devices.net"));
        let hub = hub.expect("a hub");
        hub.address = [10, 1, 1, 77].into();
        Ok(hub.fqdns[0].clone())
    });
    site.daemon.signal(Signal::USR1);
    site.daemon.answers(&changed, &[[10, 1, 1, 77].into()].into()).await;
    for (server, (peer, [whole, changes])) in servers.iter().zip(peers.iter().zip(counts)) {
        site.shown_by(server.address, &[(changed.clone(), [[10, 1, 1, 77].into()].into())].into()).await;
        for (zone, serial) in &before {
            let now = super::serial(server.address, zone).await;
            assert_eq!(now == Some(*serial), *zone != changed, "{zone}: {serial}, now {now:?}");
        }
        assert_eq!(site.transfers(peer).await, [whole, changes + 1.0], "{}", peer.name);
    }
}
