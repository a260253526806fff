//! dnsmasq: the recipe and traps.

use super::{PUBLIC, SUFFIXES, Site, addresses, for_privatelink_zones, gives, recipe, shows, without};
use crate::support::server::Server;

/// dnsmasq with a recipe and public DNS for everything else.
pub(super) async fn dnsmasq(site: &Site, recipe: &str) -> Server {
    let daemon = format!("{}#{}", site.daemon.dns().ip(), site.daemon.dns().port());
    let recipe = recipe.replace("127.0.0.1#5300", &daemon);
    let (server, public) = (site.server, site.public.address);
    Server::dnsmasq(server, |_| {
        format!(
            "port={}\nlisten-address={}\nbind-interfaces\nno-resolv\nno-hosts\npid-file\n\
             stop-dns-rebind\nlog-facility=-\nlog-queries\nserver={}#{}\n{recipe}",
            server.port(),
            server.ip(),
            public.ip(),
            public.port()
        )
    })
    .await
}

fn suffixes() -> String {
    recipe("dnsmasq", "server=")
}

#[tokio::test]
async fn public_suffixes() {
    let site = Site::new().await;
    let server = dnsmasq(&site, &suffixes()).await;
    site.is_right(&server).await;
    site.follows_scaling(&server).await;
}

#[tokio::test]
async fn rules_for_privatelink_zones_alone_give_public_addresses() {
    let site = Site::new().await;
    site.public.set_ttl(60);
    let server = dnsmasq(&site, &for_privatelink_zones(&suffixes())).await;
    gives(&server, &site.azure.hub(), &site.hub_address()).await;
    gives(&server, &site.hub(), PUBLIC).await;
    // What the chain brought along stays in the cache, and the rule is not asked.
    shows(&server, &site.azure.hub(), PUBLIC).await;
}

#[tokio::test]
async fn private_addresses_are_taken_away_without_an_exception() {
    let site = Site::new().await;
    let server = dnsmasq(&site, &without(&suffixes(), "rebind-domain-ok")).await;
    let answer = server.ask(&site.hub(), "A").await;
    assert_eq!((answer.status.as_str(), addresses(&answer).len()), ("NOERROR", 0), "{answer:?}");
}

#[tokio::test]
async fn per_name_zones() {
    let site = Site::without_resolver("per_name_zones = true").await;
    let names: Vec<String> = site.own_names().into_iter().map(|(name, _)| name).collect();
    let recipe = suffixes().replace(&SUFFIXES.join("/"), &names.join("/"));
    assert!(!recipe.contains("azureiotcentral.com"));
    let server = dnsmasq(&site, &recipe).await;
    site.is_right_name_by_name(&server).await;
}
