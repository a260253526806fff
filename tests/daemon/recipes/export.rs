//! What is exported, loaded by the servers that it is for. None of them asks the daemon.

use std::fs;
use std::path::Path;

use super::{SHORT_LIVED, Site, addresses, gives};
use crate::support::server::Server;

/// What `privatelink-dns export` prints.
async fn export(site: &Site, format: &str) -> String {
    let said = site.home.run(&site.daemon, &["export", format, "--daemon"]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    said.out
}

/// Names of ours are private, other types of them do not exist, and everything else is public.
async fn is_right(site: &Site, server: &Server, privatelink: bool) {
    site.is_right_name_by_name(server).await;
    gives(server, "www.example.com", "198.18.0.7").await;
    for (name, address) in site.own_names() {
        let answer = server.ask(&name, "AAAA").await;
        assert_eq!((answer.status.as_str(), addresses(&answer).len()), ("NOERROR", 0), "{name}: {answer:?}");
        let (label, suffix) = name.split_once('.').expect("labels");
        if privatelink {
            gives(server, &format!("{label}.privatelink.{suffix}"), &address).await;
        }
    }
    if privatelink {
        gives(server, "other.privatelink.azure-devices.net", "198.18.0.2").await;
    }
    // The web interface stays public.
    let own = server.ask("contoso-iot.azureiotcentral.com", "A").await;
    assert_eq!(addresses(&own), [super::PUBLIC], "{own:?}");
}

#[tokio::test]
async fn unbound_takes_local_data() {
    let site = Site::without_resolver(SHORT_LIVED).await;
    // Public DNS is on this host.
    let data = export(&site, "unbound").await + "    do-not-query-localhost: no\n";
    let server = super::unbound::unbound(&site, "forward", super::unbound::PLAIN, &data).await;
    is_right(&site, &server, true).await;
}

#[tokio::test]
async fn dnsmasq_takes_options() {
    let site = Site::without_resolver(SHORT_LIVED).await;
    let options = export(&site, "dnsmasq").await;
    let server = super::dnsmasq::dnsmasq(&site, &options).await;
    is_right(&site, &server, true).await;
}

#[tokio::test]
async fn dnsmasq_takes_the_block_of_a_hosts_file() {
    let site = Site::without_resolver(SHORT_LIVED).await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("hosts");
    fs::write(&file, export(&site, "hosts").await).expect("written");
    let options = format!("addn-hosts={}\n", file.display());
    let server = super::dnsmasq::dnsmasq(&site, &options).await;
    is_right(&site, &server, true).await;
}

#[tokio::test]
async fn bind_takes_zone_files() {
    let site = Site::without_resolver("per_name_zones = true").await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_str().expect("text");
    let said = site.home.run(&site.daemon, &["export", "bind", "--directory", path]).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    // Whole privatelink zones would deny other tenants' names.
    let statements = super::without(&said.out, "\"privatelink.");
    let server = super::bind::named(&site, super::bind::Way::Forwarders, &statements).await;
    is_right(&site, &server, false).await;
    server.stop().await;
    let server = super::bind::named(&site, super::bind::Way::Forwarders, &said.out).await;
    gives(&server, &site.hub(), &site.hub_address()).await;
    assert_eq!(server.ask("other.azure-devices.net", "A").await.status, "NXDOMAIN");
}

#[tokio::test]
async fn bind_takes_the_policy_zone() {
    let site = Site::without_resolver(SHORT_LIVED).await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("rpz.zone");
    fs::write(&file, export(&site, "rpz").await).expect("written");
    let recipe = policy(&file);
    let server = super::bind::named(&site, super::bind::Way::Forwarders, &recipe).await;
    is_right(&site, &server, false).await;
}

fn policy(file: &Path) -> String {
    let zone = "rpz.privatelink-dns.internal";
    format!(
        "options {{\nresponse-policy {{ zone \"{zone}\"; }} qname-wait-recurse no;\n}};\n\
         zone \"{zone}\" {{ type primary; file \"{}\"; allow-query {{ none; }}; }};\n",
        file.display()
    )
}
