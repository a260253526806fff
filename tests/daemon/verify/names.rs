//! Faults at servers.

use std::net::SocketAddr;

use super::{Well, close_public_access, named, records};
use crate::recipes::a_port;
use crate::support::azure::{Azure, public};
use crate::support::eventually;
use crate::support::home::{Home, Said};
use crate::support::public::{Manners, PublicDns};
use crate::support::server::Server;

fn free() -> SocketAddr {
    ([127, 0, 0, 1], a_port()).into()
}

/// The records with those of a name replaced.
fn instead(records: &[String], owner: &str, with: &[String]) -> Vec<String> {
    let owner = format!("{owner}. ");
    records.iter().filter(|record| !record.starts_with(&owner)).chain(with).cloned().collect()
}

#[tokio::test]
async fn bind_with_the_right_records_is_right() {
    let well = Well::new().await;
    let server = named(free(), &records(&well.azure)).await;
    let verdict = well.verify(&server.address.to_string()).await;
    verdict.is_well();
    let asked = &verdict.json["servers"][0];
    assert_eq!((&asked["right"], &asked["wrong"], &asked["unanswered"]), (&6.into(), &0.into(), &0.into()));

    // The same for people, with the host that devices have to provision at.
    let arguments = ["verify", "--no-connect", "--resolver", &server.address.to_string()];
    let Said { code, out, .. } = well.home.run(&well.daemon, &arguments).await;
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("All is well: 6 names") && out.contains("1 right"), "{out}");
    let names = well.azure.names();
    let direct = names.keys().find(|name| name.ends_with("-provisioning.net")).expect("a name");
    let direct = format!("have to provision at {}.", public(direct));
    assert!(out.contains(&direct) && out.contains("global.azure-devices-provisioning.net"), "{out}");
    assert!(!out.contains("PROBLEMS") && !out.contains("NOTES"), "{out}");
}

#[tokio::test]
async fn bind_with_planted_faults() {
    let well = Well::new().await;
    let right = records(&well.azure);
    let (private, hub, address) = (well.azure.hub(), well.hub(), well.hub_address());
    let a = |address: &str| format!("{private}. 1 IN A {address}");
    let other = well.azure.names().into_iter().find(|(name, _)| *name != private).expect("a name");
    let other_address = other.1.first().expect("an address").to_string();
    for (check, records, seen) in [
        ("wrong-address", instead(&right, &private, &[a("10.9.9.9")]), "10.9.9.9".to_owned()),
        (
            "wrong-address",
            instead(&right, &private, &[a(&other_address)]),
            format!("{other_address} is the address of {}", public(&other.0)),
        ),
        (
            "stale-address",
            instead(&right, &private, &[a(&address), a("10.1.0.200")]),
            "10.1.0.200".to_owned(),
        ),
        ("name-missing", instead(&instead(&right, &private, &[]), &hub, &[]), "NXDOMAIN".to_owned()),
        ("name-missing", instead(&right, &private, &[]), "NXDOMAIN".to_owned()),
        (
            "name-missing",
            instead(&right, &private, &[format!("{private}. 1 IN TXT \"x\"")]),
            "without an A record".to_owned(),
        ),
        (
            "public-address",
            instead(
                &right,
                &private,
                &[
                    format!("{private}. 1 IN CNAME front.azure-devices.net."),
                    "front.azure-devices.net. 1 IN A 198.18.0.1".to_owned(),
                ],
            ),
            "front.azure-devices.net, 198.18.0.1".to_owned(),
        ),
        ("public-address", instead(&right, &private, &[a("198.18.0.1")]), "198.18.0.1".to_owned()),
        (
            "wrong-chain",
            instead(
                &right,
                &hub,
                &[
                    format!("{hub}. 1 IN CNAME elsewhere.azure-devices.net."),
                    format!("elsewhere.azure-devices.net. 1 IN A {address}"),
                ],
            ),
            "elsewhere.azure-devices.net".to_owned(),
        ),
    ] {
        let server = named(free(), &records).await;
        let told = well.verify(&server.address.to_string()).await.tells(check, &hub);
        assert!(told.contains(&seen), "{check}: {told}");
    }
    // A zone for the name alone has no alias, and is right.
    let flat = instead(&right, &hub, &[format!("{hub}. 1 IN A {address}")]);
    let server = named(free(), &flat).await;
    well.verify(&server.address.to_string()).await.is_well();
}

#[tokio::test]
async fn the_site_may_stay_public() {
    let well = Well::new().await;
    let site = "contoso-iot.azureiotcentral.com";
    let records = instead(&records(&well.azure), site, &[format!("{site}. 1 IN A 198.18.0.1")]);
    let server = named(free(), &records).await;
    well.verify(&server.address.to_string()).await.tells("public-site", site);
}

#[tokio::test]
async fn servers_that_do_not_answer() {
    let well = Well::new().await;
    let server = PublicDns::start().await;
    let address = server.address.to_string();
    server.behave(Manners::Fails);
    let seen = well.verify(&address).await.tells("server-failure", &address);
    assert!(seen.contains("Server Failure"), "{seen}");
    server.behave(Manners::Silent);
    well.verify(&address).await.tells("resolver-silent", &address);
    let nobody = free().to_string();
    well.verify(&nobody).await.tells("resolver-silent", &nobody);
    // It has none of the zones.
    let server = named(free(), &[]).await;
    let address = server.address.to_string();
    well.verify(&address).await.tells("refused", &address);
}

/// Public DNS that has the right private addresses.
async fn knows(well: &Well) -> PublicDns {
    let server = PublicDns::start().await;
    for (private, addresses) in well.azure.names() {
        server.alias(&public(&private), &private);
        server.host(&private, addresses.first().expect("an address").octets());
    }
    server
}

#[tokio::test]
async fn bad_manners_that_are_no_faults() {
    let well = Well::new().await;
    let server = knows(&well).await;
    for manners in [Manners::Good, Manners::Truncates, Manners::LowerCase] {
        server.behave(manners);
        well.verify(&server.address.to_string()).await.is_well();
    }
    for manners in [Manners::WrongId, Manners::Garbage] {
        server.behave(manners);
        let address = server.address.to_string();
        well.verify(&address).await.tells("resolver-silent", &address);
    }
}

#[tokio::test]
async fn a_secondary_with_the_policy_zone_knows_public_names() {
    let secondary = PublicDns::start().await;
    let well = Well::with(|home| {
        home.settings.transfer = format!(
            "[transfer]\nrpz = \"rpz.internal\"\n[[secondary]]\nname = \"ns1\"\naddress = \"{}\"\n\
             transfer_by = \"address\"\n",
            secondary.address
        );
    })
    .await;
    // It follows privatelink names to public DNS, as everybody does without the zones.
    for (private, addresses) in well.azure.names() {
        secondary.host(&private, [198, 18, 0, 1]);
        secondary.host(&public(&private), addresses.first().expect("an address").octets());
    }
    // The site is in the privatelink zone only.
    let site = "contoso-iot.privatelink.azureiotcentral.com";
    secondary.host("contoso-iot.azureiotcentral.com", [198, 18, 0, 1]);
    assert!(well.azure.names().contains_key(site));
    well.verify("secondaries").await.tells("public-site", "contoso-iot.azureiotcentral.com");
    secondary.host(&well.hub(), [198, 18, 0, 1]);
    let verdict = well.verify("secondaries").await;
    assert!(verdict.problems().contains(&("public-address".to_owned(), well.hub())), "{}", verdict.json);
}

#[tokio::test]
async fn where_only_names_have_zones_they_are_asked_for() {
    let secondary = free();
    let azure = Azure::start().await;
    close_public_access(&azure);
    let mut home = Home::new(&azure);
    home.settings.publish = "privatelink_zones = false\nper_name_zones = true";
    home.settings.transfer =
        format!("[[secondary]]\nname = \"ns1\"\naddress = \"{secondary}\"\ntransfer_by = \"address\"\n");
    let daemon = home.start().await;
    eventually("all names", async || {
        let records = daemon.records().await;
        if records.len() == 6 { Ok(()) } else { Err(format!("{records:?}")) }
    })
    .await;
    let well = Well { azure, home, daemon };
    let flat: Vec<String> = well
        .azure
        .names()
        .iter()
        .map(|(private, addresses)| {
            format!("{}. 1 IN A {}", public(private), addresses.first().expect("an address"))
        })
        .filter(|record| !record.contains("azureiotcentral.com"))
        .collect();
    let server = named(secondary, &flat).await;
    let verdict = well.verify("secondaries").await;
    verdict.is_well();
    // The site has no zone of its own, so nobody is asked for it.
    assert_eq!(verdict.json["servers"][0]["right"], 5);
    server.stop().await;
    let server = named(secondary, &instead(&flat, &well.hub(), &[])).await;
    well.verify("secondaries").await.tells("name-missing", &well.hub());
    server.stop().await;
}

#[tokio::test]
async fn unbound_before_the_daemon() {
    let upstream = PublicDns::start().await;
    // Its public chain decides where the site is.
    upstream.private_link("contoso-iot.azureiotcentral.com", [198, 18, 0, 1]);
    let resolver = format!("[resolver]\nupstreams = [\"{}\"]\n", upstream.address);
    let well = Well::with(|home| home.settings.resolver = resolver).await;
    let hub = well.hub();
    let daemon = format!("{}@{}", well.daemon.dns().ip(), well.daemon.dns().port());
    let unbound = async |lines: &str| {
        let address = free();
        Server::unbound(address, |directory| {
            format!(
                "server:\n directory: \"{}\"\n username: \"\"\n chroot: \"\"\n pidfile: \"\"\n use-syslog: no\n\
                 logfile: \"\"\n num-threads: 1\n interface: {}\n port: {}\n do-ip6: no\n\
                 access-control: 127.0.0.0/8 allow\n module-config: \"iterator\"\n do-not-query-localhost: no\n\
                 remote-control:\n control-enable: no\n\
                 forward-zone:\n name: \".\"\n forward-addr: {daemon}\n{lines}",
                directory.display(),
                address.ip(),
                address.port()
            )
        })
        .await
    };
    let server = unbound("").await;
    well.verify(&server.address.to_string()).await.is_well();
    // One name is forwarded to somebody who does not know it.
    let other = PublicDns::start().await;
    other.behave(Manners::Fails);
    let lost =
        format!("forward-zone:\n name: \"{hub}\"\n forward-addr: 127.0.0.1@{}\n", other.address.port());
    let server = unbound(&lost).await;
    well.verify(&server.address.to_string()).await.tells("server-failure", &hub);
    // One name has been written down by hand, long ago.
    let by_hand = format!("server:\n local-data: \"{hub}. 1 IN A 10.9.9.9\"\n");
    let server = unbound(&by_hand).await;
    well.verify(&server.address.to_string()).await.tells("wrong-address", &hub);
}

#[tokio::test]
async fn a_second_endpoint_has_to_be_everywhere() {
    use privatelink_dns::simulator::EndpointOptions;
    let well = Well::new().await;
    let before = records(&well.azure);
    // In the same network, so that there is nothing else to tell.
    well.azure.with(|world| {
        let options = EndpointOptions {
            name: "pe-second".to_owned(),
            network: [10, 1, 2, 0].into(),
            ..EndpointOptions::default()
        };
        let endpoint = world.add_endpoint(&well.azure.application, &options)?;
        world.settle(&endpoint)
    });
    well.daemon.shows(&well.azure).await;
    let server = named(free(), &records(&well.azure)).await;
    well.verify(&server.address.to_string()).await.is_well();
    let server = named(free(), &before).await;
    let verdict = well.verify(&server.address.to_string()).await;
    let mut expected: Vec<_> =
        well.azure.names().keys().map(|name| ("address-missing".to_owned(), public(name))).collect();
    expected.sort();
    assert_eq!((verdict.code, verdict.problems()), (Some(2), expected), "{}", verdict.json);
    let remedy = verdict.json["problems"][0]["remedy"].as_str().expect("text").to_owned();
    assert!(remedy.contains("is given by endpoint pe-second"), "{remedy}");
}

#[tokio::test]
async fn targets_and_secondaries_are_asked_for_what_they_hold() {
    let (target, secondary) = (free(), free());
    let well = Well::with(|home| {
        home.settings.transfer = format!(
            "[[secondary]]\nname = \"ns1\"\naddress = \"{secondary}\"\ntransfer_by = \"address\"\n\
             [[target]]\nname = \"ns2\"\ntype = \"rfc2136\"\nservers = [\"{target}\"]\ndry_run = true\n"
        );
    })
    .await;
    let private = well.azure.hub();
    // Neither knows the public names, and nobody asks them.
    let own: Vec<String> =
        records(&well.azure).into_iter().filter(|record| !record.contains(" CNAME ")).collect();
    let first = named(target, &own).await;
    let second = named(secondary, &own).await;
    well.verify("targets").await.is_well();
    well.verify("secondaries").await.is_well();
    first.stop().await;
    second.stop().await;
    let wrong = instead(&own, &private, &[format!("{private}. 1 IN A 10.9.9.9")]);
    let first = named(target, &wrong).await;
    well.verify("targets").await.tells("wrong-address", &well.hub());
    first.stop().await;
    let second = named(secondary, &[]).await;
    well.verify("secondaries").await.tells("refused", &format!("ns1 {secondary}"));
    second.stop().await;
}

#[tokio::test]
async fn without_anything_to_look_at_it_says_so() {
    let well = Well::new().await;
    let said = well.home.run(&well.daemon, &["verify", "--no-connect", "--resolver", "targets"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("no server for --resolver targets"), "{said:?}");
    let said = well.home.run(&well.daemon, &["verify", "--resolver", "nobody.example"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("is none of system, daemon, targets, secondaries"), "{said:?}");
}

#[tokio::test]
async fn the_daemon_is_found_where_it_listens() {
    let well = Well::new().await;
    // On a port that the system has chosen, which the configuration does not tell.
    assert!(well.home.settings.listen.iter().all(|listen| listen.ends_with(":0")));
    well.verify("daemon").await.is_well();
}
