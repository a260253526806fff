//! The response policy zone in resolvers that ask public DNS for everything.

use std::collections::BTreeSet;

use super::{Peer, RPZ, Site};
use crate::support::azure::public;
use crate::support::dns::{dig, dig_with};
use crate::support::eventually;
use crate::support::public::PublicDns;
use crate::support::server::Server;

/// Public DNS, where every name of the application and of others leads to a public address.
async fn internet(site: &Site) -> PublicDns {
    let internet = PublicDns::start().await;
    for name in site.azure.names().keys() {
        internet.private_link(&public(name), [198, 18, 0, 1]);
    }
    internet.private_link("other.azure-devices.net", [198, 18, 0, 2]);
    internet.host("www.example.com", [198, 18, 0, 3]);
    internet.alias("alias.example.com", "www.example.com");
    internet.host(&format!("below.{}", public(&site.azure.hub())), [198, 18, 0, 4]);
    internet
}

/// The public names that have a private address, with it.
fn ours(site: &Site) -> Vec<(String, String)> {
    let names = site.azure.names();
    let ours =
        names.iter().filter_map(|(name, addresses)| Some((public(name), addresses.first()?.to_string())));
    ours.filter(|(name, _)| !name.ends_with("azureiotcentral.com")).collect()
}

/// Our names are private, whatever type is asked for and whether signatures are wanted, and everything
/// else is as public DNS has it.
async fn is_right(site: &Site, internet: &PublicDns, server: &Server) {
    let (first, address) = ours(site).remove(0);
    eventually("the policy is loaded", async || {
        let answer = server.ask(&first, "A").await;
        if answer.data() == [address.clone()] { Ok(()) } else { Err(format!("{answer:?}\n{}", server.log())) }
    })
    .await;
    for (name, address) in ours(site) {
        for options in [[].as_slice(), &["+dnssec"], &["+tcp"]] {
            let answer = dig_with(server.address, &name, "A", options).await;
            assert_eq!(answer.data(), std::slice::from_ref(&address), "{name} {options:?}");
            for kind in ["AAAA", "HTTPS", "TXT", "CNAME", "MX"] {
                let answer = dig_with(server.address, &name, kind, options).await;
                let told = (answer.status.as_str(), answer.data());
                assert_eq!(told, ("NOERROR", Vec::new()), "{name} {kind} {options:?}");
            }
        }
    }
    let hub = public(&site.azure.hub());
    for name in [
        "other.azure-devices.net",
        "other.privatelink.azure-devices.net",
        "nobody.azure-devices.net",
        "azure-devices.net",
        "net",
        "contoso-iot.azureiotcentral.com",
        "www.example.com",
        "alias.example.com",
        "nobody.example.com",
        // Below a name of ours, and its privatelink name: no client asks for it by itself.
        &format!("below.{hub}"),
        &format!("nobody.{hub}"),
        &site.azure.hub(),
    ] {
        for kind in ["A", "AAAA", "TXT"] {
            let (here, there) = (server.ask(name, kind).await, dig(internet.address, name, kind).await);
            assert_eq!(
                (here.status.as_str(), here.data()),
                (there.status.as_str(), there.data()),
                "{name} {kind}"
            );
        }
    }
}

/// Hubs come and go, and a resolver follows.
async fn follows(site: &Site, internet: &PublicDns, server: &Server) {
    let private = site.azure.scale_out();
    let name = public(&private);
    internet.private_link(&name, [198, 18, 0, 9]);
    site.follows(&private).await;
    let address = site.azure.names()[&private].first().expect("an address").to_string();
    for wait_for in [address, "198.18.0.9".to_owned()] {
        eventually(&format!("{wait_for} for {name}"), async || {
            let answer = server.ask(&name, "A").await;
            let found: BTreeSet<String> = answer.data().into_iter().collect();
            if found.contains(&wait_for) { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
        if !wait_for.starts_with("198.") {
            site.azure.scale_in(&private);
            site.follows(&private).await;
        }
    }
}

#[tokio::test]
async fn bind_answers_with_private_addresses_and_leaves_all_other_names_alone() {
    let peer = Peer::new("bind", 1, "");
    let site = Site::new(&format!("rpz = \"{RPZ}\""), "", &[peer]).await;
    let internet = internet(&site).await;
    let (ip, port) = (internet.address.ip(), internet.address.port());
    let options = format!("forward only; forwarders {{ {ip} port {port}; }};");
    let server = site.named("bind-rpz", &peer, &options).await;
    is_right(&site, &internet, &server).await;
    follows(&site, &internet, &server).await;
    // Names of ours need no public DNS; signatures, which it does not have, are wanted by the way.
    drop(internet);
    let (name, address) = ours(&site).remove(0);
    let answer = dig_with(server.address, &name, "A", &["+dnssec"]).await;
    assert_eq!(answer.data(), [address]);
}

#[tokio::test]
async fn unbound_answers_with_private_addresses_and_leaves_all_other_names_alone() {
    let peer = Peer::new("unbound", 1, "transfer_by = \"address\"");
    let site = Site::new(&format!("rpz = \"{RPZ}\""), "", &[peer]).await;
    let internet = internet(&site).await;
    let (ip, port) = (internet.address.ip(), internet.address.port());
    let lines = format!("forward-zone:\n name: \".\"\n forward-addr: {ip}@{port}\n");
    let server = site.unbound("unbound-rpz", &peer, &lines).await;
    is_right(&site, &internet, &server).await;
    follows(&site, &internet, &server).await;
    drop(internet);
    let (name, address) = ours(&site).remove(0);
    let answer = dig_with(server.address, &name, "A", &["+dnssec"]).await;
    assert_eq!(answer.data(), [address]);
}

/// A resolver with the zones gives private addresses for public names.
async fn continues(site: &Site, server: &Server) {
    for (name, address) in ours(site) {
        let answer = server.ask(&name, "A").await;
        assert!(answer.data().contains(&address), "{answer:?}");
        assert!(answer.data().iter().all(|data| !data.starts_with("198.")), "{answer:?}");
    }
}

#[tokio::test]
async fn bind_with_the_zones_continues_public_chains_from_them() {
    let peer = Peer::new("bind", 1, "");
    let site = Site::new("", "", &[peer]).await;
    let internet = internet(&site).await;
    let (ip, port) = (internet.address.ip(), internet.address.port());
    let options = format!("forward only; forwarders {{ {ip} port {port}; }};");
    let server = site.named("bind-secondary", &peer, &options).await;
    site.shown_by(server.address, &site.azure.names()).await;
    continues(&site, &server).await;
    // What the recipe warns of: the zones hide other tenants' names.
    assert_eq!(server.ask("other.azure-devices.net", "A").await.status, "NXDOMAIN");
}

#[tokio::test]
async fn unbound_with_auth_zones_needs_those_of_single_names_when_it_forwards() {
    for (publish, continued) in [("", false), ("per_name_zones = true\nprivatelink_zones = false", true)] {
        let peer = Peer::new("unbound", 1, "transfer_by = \"address\"");
        let site = Site::of_names("", publish, &[peer]).await;
        eventually("zones", async || if site.zones().await.is_empty() { Err(String::new()) } else { Ok(()) })
            .await;
        let internet = internet(&site).await;
        let (ip, port) = (internet.address.ip(), internet.address.port());
        let lines = format!("forward-zone:\n name: \".\"\n forward-addr: {ip}@{port}\n");
        let server = site.unbound("unbound-auth-zone", &peer, &lines).await;
        site.shown_by(server.address, &[].into()).await;
        if continued {
            continues(&site, &server).await;
            assert_eq!(server.ask("other.azure-devices.net", "A").await.data().len(), 3);
        } else {
            // It takes the whole chain from the other resolver, past its own zones.
            let (name, _) = ours(&site).remove(0);
            assert!(server.ask(&name, "A").await.data().contains(&"198.18.0.1".to_owned()));
        }
    }
}
