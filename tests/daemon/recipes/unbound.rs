//! Unbound: recipes and traps.

use std::path::Path;

use super::{PUBLIC, Site, addresses, fails, for_privatelink_zones, gives, recipe, without};
use crate::support::public::{Manners, PublicDns};
use crate::support::server::Server;

/// No validation, because public DNS has no signatures here.
pub(super) const PLAIN: &str = "module-config: \"iterator\"";
/// Validation from the real root's key on.
const VALIDATING: &str =
    "trust-anchor: \". DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\"";

/// Unbound with a recipe, a line more, and everything else at public DNS: as a `forward`er's client, or
/// by itself as from a `stub` at the root.
pub(super) async fn unbound(site: &Site, way: &str, line: &str, recipe: &str) -> Server {
    let daemon = format!("{}@{}", site.daemon.dns().ip(), site.daemon.dns().port());
    let recipe = recipe.replace("127.0.0.1@5300", &daemon);
    let (server, public) = (site.server, site.public.address);
    Server::unbound(server, |directory: &Path| {
        format!(
            "server:\n directory: \"{}\"\n username: \"\"\n chroot: \"\"\n pidfile: \"\"\n\
             use-syslog: no\n logfile: \"\"\n verbosity: 2\n num-threads: 1\n\
             interface: {}\n port: {}\n do-ip6: no\n access-control: 127.0.0.0/8 allow\n\
             private-address: 10.0.0.0/8\n {line}\n\
             remote-control:\n control-enable: no\n\
             {way}-zone:\n name: \".\"\n {way}-addr: {}@{}\n{recipe}",
            directory.display(),
            server.ip(),
            server.port(),
            public.ip(),
            public.port()
        )
    })
    .await
}

fn suffixes() -> String {
    recipe("Unbound", "forward-zone")
}

#[tokio::test]
async fn public_suffixes() {
    for way in ["forward", "stub"] {
        let site = Site::new().await;
        let server = unbound(&site, way, PLAIN, &suffixes()).await;
        site.is_right(&server).await;
        site.follows_scaling(&server).await;
    }
}

#[tokio::test]
async fn privatelink_zones() {
    let forward = for_privatelink_zones(&suffixes());
    let stub = forward.replace("forward-", "stub-");
    for (way, link_by_link, recipe) in
        [("forward", false, &forward), ("stub", false, &forward), ("stub", true, &stub)]
    {
        let site = Site::new().await;
        site.public.link_by_link(link_by_link);
        let server = unbound(&site, way, PLAIN, recipe).await;
        site.is_right(&server).await;
        site.follows_scaling(&server).await;
    }
}

#[tokio::test]
async fn stubs_for_public_suffixes_lose_other_names() {
    let site = Site::new().await;
    let server = unbound(&site, "stub", PLAIN, &suffixes().replace("forward-", "stub-")).await;
    gives(&server, &site.hub(), &site.hub_address()).await;
    fails(&server, "other.azure-devices.net").await;
}

#[tokio::test]
async fn forward_first_gives_public_addresses_when_the_daemon_has_no_answer() {
    let daemon = PublicDns::start().await;
    daemon.behave(Manners::Fails);
    let recipe = suffixes().replace("127.0.0.1@5300", &format!("127.0.0.1@{}", daemon.address.port()));
    let site = Site::new().await;
    let server = unbound(&site, "forward", PLAIN, &recipe).await;
    fails(&server, &site.hub()).await;
    server.stop().await;
    let first = recipe.replace("forward-zone:\n", "forward-zone:\n    forward-first: yes\n");
    let server = unbound(&site, "forward", PLAIN, &first).await;
    gives(&server, &site.hub(), PUBLIC).await;
}

#[tokio::test]
async fn every_line_is_needed() {
    let site = Site::new().await;
    let server = unbound(&site, "forward", PLAIN, &without(&suffixes(), "do-not-query-localhost")).await;
    fails(&server, &site.hub()).await;
    server.stop().await;

    let server = unbound(&site, "forward", PLAIN, &without(&suffixes(), "private-domain")).await;
    let answer = server.ask(&site.hub(), "A").await;
    assert_eq!((answer.status.as_str(), addresses(&answer).len()), ("NOERROR", 0), "taken away");
    server.stop().await;

    let server = unbound(&site, "forward", VALIDATING, &suffixes()).await;
    gives(&server, &site.hub(), &site.hub_address()).await;
    fails(&server, "www.example.com").await;
    server.stop().await;
    let server = unbound(&site, "forward", VALIDATING, &without(&suffixes(), "domain-insecure")).await;
    fails(&server, &site.hub()).await;
}
