//! `doctor` with real servers in every shape, and with planted faults.

use std::net::SocketAddr;

use serde_json::Value;

use super::bind::{Way, named, validating};
use super::dnsmasq::dnsmasq;
use super::unbound::{PLAIN, unbound};
use super::{SHORT_LIVED, SUFFIXES, Site, for_privatelink_zones, gives, recipe, without};
use crate::support::azure::public;
use crate::support::dns::dig;

/// What `doctor` says of a resolver: its codes, worst first.
async fn doctor(site: &Site, resolver: SocketAddr, more: &[&str]) -> Vec<String> {
    let resolver = resolver.to_string();
    let said = site.home.run(&site.daemon, &[&["doctor", &resolver, "--json"], more].concat()).await;
    let json: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    let diagnoses = json["diagnoses"].as_array().expect("diagnoses");
    let codes: Vec<String> =
        diagnoses.iter().map(|found| found["code"].as_str().expect("a code").to_owned()).collect();
    let is_ok = codes.iter().all(|code| code.starts_with("ok-shape-"));
    assert_eq!(
        (said.code, &json["ok"]),
        (Some(if is_ok { 0 } else { 2 }), &Value::Bool(is_ok)),
        "{}",
        said.out
    );
    if !is_ok {
        eprintln!("{diagnoses:#?}");
    }
    codes
}

fn bind_rules() -> String {
    recipe("BIND", "type forward")
}

fn dnsmasq_rules() -> String {
    recipe("dnsmasq", "server=")
}

#[tokio::test]
async fn the_shapes_of_the_readme_work() {
    let site = Site::new().await;
    let server = named(&site, Way::Forwarders, &bind_rules()).await;
    assert_eq!(doctor(&site, site.server, &[]).await, ["ok-shape-public-suffixes"]);
    server.stop().await;
    let server = named(&site, Way::Forwarders, &for_privatelink_zones(&bind_rules())).await;
    assert_eq!(doctor(&site, site.server, &[]).await, ["ok-shape-privatelink-zones"]);
    // Without the daemon's counters the way is not known, the answers are.
    assert_eq!(doctor(&site, site.server, &["--offline"]).await, ["ok-shape-unknown"]);
    server.stop().await;
    let server = unbound(&site, "forward", PLAIN, &recipe("Unbound", "forward-zone")).await;
    assert_eq!(doctor(&site, site.server, &[]).await, ["ok-shape-public-suffixes"]);
    server.stop().await;
    let server = dnsmasq(&site, &dnsmasq_rules()).await;
    assert_eq!(doctor(&site, site.server, &[]).await, ["ok-shape-public-suffixes"]);
    server.stop().await;
    let exported = site.home.run(&site.daemon, &["export", "unbound"]).await.out;
    let server = unbound(&site, "forward", PLAIN, &exported).await;
    assert_eq!(doctor(&site, site.server, &[]).await, ["ok-shape-rpz"]);
    server.stop().await;
    assert_eq!(doctor(&site, site.daemon.dns(), &[]).await, ["ok-shape-everything"]);

    let site = Site::without_resolver("per_name_zones = true").await;
    let names: Vec<String> = site.own_names().into_iter().map(|(name, _)| name).collect();
    let rules = dnsmasq_rules().replace(&SUFFIXES.join("/"), &names.join("/"));
    let _server = dnsmasq(&site, &rules).await;
    assert_eq!(doctor(&site, site.server, &[]).await, ["ok-shape-per-name"]);
}

#[tokio::test]
async fn rules_that_are_missing_or_not_used_are_told_and_mended() {
    let site = Site::new().await;
    // Nobody is there.
    assert_eq!(doctor(&site, site.server, &[]).await, ["silent"]);
    let dnsmasq_c = for_privatelink_zones(&dnsmasq_rules());
    let server = dnsmasq(&site, &dnsmasq_c).await;
    assert_eq!(doctor(&site, site.server, &[]).await, ["privatelink-rule-ignored"]);
    server.stop().await;
    let server = dnsmasq(&site, &without(&dnsmasq_rules(), "rebind-domain-ok")).await;
    assert_eq!(doctor(&site, site.server, &[]).await, ["address-filtered"]);
    server.stop().await;
    let server = dnsmasq(&site, &format!("host-record={},10.99.0.1", site.hub())).await;
    assert_eq!(doctor(&site, site.server, &["--name", &site.hub()]).await, ["zone-behind"]);
    server.stop().await;

    let rules = async |kind: &str| {
        let address = site.server.to_string();
        let said = site.home.run(&site.daemon, &["doctor", &address, "--server", kind]).await;
        assert!(said.code == Some(2) && said.out.contains("no-rule: "), "{said:?}");
        let (_, rules) = said.out.split_once("The public suffixes: new names need nobody.\n").expect("rules");
        rules.to_owned()
    };
    let server = named(&site, Way::Forwarders, "").await;
    let found = rules("bind").await;
    server.stop().await;
    let server = named(&site, Way::Forwarders, &found).await;
    assert_eq!(doctor(&site, site.server, &[]).await, ["ok-shape-public-suffixes"]);
    server.stop().await;
    // Public DNS is on this host too.
    let line = format!("{PLAIN}\n do-not-query-localhost: no");
    let server = unbound(&site, "forward", &line, "").await;
    let found = rules("unbound").await;
    server.stop().await;
    let server = unbound(&site, "forward", PLAIN, &found).await;
    assert_eq!(doctor(&site, site.server, &[]).await, ["ok-shape-public-suffixes"]);
    server.stop().await;
    let server = dnsmasq(&site, "").await;
    let found = rules("dnsmasq").await;
    server.stop().await;
    let _server = dnsmasq(&site, &found).await;
    assert_eq!(doctor(&site, site.server, &[]).await, ["ok-shape-public-suffixes"]);
}

#[tokio::test]
async fn caches_that_are_older_than_a_name_are_told() {
    let site = Site::new().await;
    site.public.set_ttl(60);
    let server = named(&site, Way::Forwarders, &bind_rules()).await;
    for known in [false, true] {
        let hub = site.azure.with(|world| world.scale_out(&site.azure.application));
        let name = format!("{hub}.azure-devices.net");
        if known {
            site.public.private_link(&name, [198, 18, 0, 9]);
            gives(&server, &name, "198.18.0.9").await;
        } else {
            assert_eq!(dig(site.server, &name, "A").await.status, "NXDOMAIN");
        }
        site.azure.with(|world| world.settle_all(&site.azure.application));
        site.daemon.shows(&site.azure).await;
        let code = if known { "wrong-address" } else { "stale-negative-cache" };
        assert_eq!(doctor(&site, site.server, &["--name", &name]).await, [code]);
    }
}

#[tokio::test]
async fn servers_that_refuse_or_fail_are_told_apart() {
    let site = Site::new().await;
    let server = named(&site, Way::Forwarders, "options {\n    allow-query { 127.0.0.9; };\n};\n").await;
    assert_eq!(doctor(&site, site.server, &[]).await, ["refused"]);
    server.stop().await;
    let (_, zones) =
        bind_rules().split_once("zone ").map(|(a, b)| (a.to_owned(), format!("zone {b}"))).expect("zones");
    let server = validating(&site, Way::Forwarders, "auto", &zones).await;
    assert_eq!(doctor(&site, site.server, &["--name", &site.hub()]).await, ["servfail-dnssec"]);
    server.stop().await;

    let site = Site::without_resolver(SHORT_LIVED).await;
    let server = named(&site, Way::Forwarders, &bind_rules()).await;
    let failing = ["public-suffix-forwarded", "nxdomain-for-other-tenants"];
    assert_eq!(doctor(&site, site.server, &["--name", &site.hub()]).await, failing);
    server.stop().await;
    let server = named(&site, Way::Forwarders, &for_privatelink_zones(&bind_rules())).await;
    let denying = ["nxdomain-for-other-tenants", "ok-shape-privatelink-zones"];
    assert_eq!(doctor(&site, site.server, &[]).await, denying);
    drop(server);
}

#[tokio::test]
async fn a_copy_of_the_zones_is_told() {
    let site = Site::without_resolver(SHORT_LIVED).await;
    let files = site.home.path("zones");
    std::fs::create_dir(&files).expect("a directory");
    let directory = files.display().to_string();
    let statements = site.home.run(&site.daemon, &["export", "bind", "--directory", &directory]).await.out;
    let _server = named(&site, Way::Forwarders, &statements).await;
    let denying = ["nxdomain-for-other-tenants", "ok-shape-secondary"];
    assert_eq!(doctor(&site, site.server, &[]).await, denying);
}

#[tokio::test]
async fn a_loop_is_told() {
    // The daemon's upstream is the server that asks the daemon.
    let looped = |public: SocketAddr| format!("[resolver]\nupstreams = [\"127.0.0.1:{}\"]\n", public.port());
    let site = Site::build(SHORT_LIVED, looped).await;
    let _server = dnsmasq(&site, &dnsmasq_rules()).await;
    assert_eq!(doctor(&site, site.server, &["--name", &public(&site.azure.hub())]).await, ["loop"]);
}
