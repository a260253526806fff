//! BIND: recipes and traps.

use std::path::Path;

use super::{PUBLIC, SHORT_LIVED, Site, fails, for_privatelink_zones, gives, recipe, shows};
use crate::readme::README;
use crate::support::public::ROOT_SERVER;
use crate::support::server::Server;

/// How BIND finds the names that no recipe is about.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// It asks another resolver.
    Forwarders,
    /// It starts at the root.
    Root,
}

use Way::{Forwarders, Root};

pub(super) async fn named(site: &Site, way: Way, recipe: &str) -> Server {
    validating(site, way, "no", recipe).await
}

/// BIND with a recipe. `port` is the one at which it asks others as well, unless a rule names one.
pub(super) async fn validating(site: &Site, way: Way, validation: &str, recipe: &str) -> Server {
    let daemon = site.daemon.dns();
    let recipe = recipe.replace("127.0.0.1 port 5300", &format!("{} port {}", daemon.ip(), daemon.port()));
    let (port, public) = (site.server.port(), site.public.address.ip());
    Server::named(site.server, |directory: &Path| {
        let path = directory.display();
        let own = format!(
            "directory \"{path}\"; port {port}; listen-on {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n\
             pid-file none; session-keyfile \"{path}/session.key\"; lock-file none;\n\
             empty-zones-enable no; dnssec-validation {validation};\n"
        );
        let (forwarders, root) = match way {
            Forwarders => (format!("forward only; forwarders {{ {public} port {port}; }};\n"), ""),
            Root => {
                let hints = format!(". 3600 NS {ROOT_SERVER}.\n{ROOT_SERVER}. 3600 A {public}\n");
                std::fs::write(directory.join("root.hints"), hints).expect("written");
                (String::new(), "zone \".\" { type hint; file \"root.hints\"; };\n")
            }
        };
        let (before, after) = recipe.split_once("options {").unwrap_or(("", "};\n"));
        let rest = if before.is_empty() && !recipe.starts_with("options") { &recipe } else { "" };
        format!("controls {{ }};\n{before}options {{\n{own}{forwarders}{after}{rest}{root}")
    })
    .await
}

fn suffixes() -> String {
    recipe("BIND", "type forward")
}

fn static_stubs() -> String {
    recipe("BIND", "type static-stub")
}

#[tokio::test]
async fn public_suffixes() {
    for way in [Forwarders, Root] {
        let site = Site::new().await;
        let server = named(&site, way, &suffixes()).await;
        site.is_right(&server).await;
        site.follows_scaling(&server).await;
    }
}

#[tokio::test]
async fn privatelink_zones() {
    for way in [Forwarders, Root] {
        let site = Site::new().await;
        let server = named(&site, way, &for_privatelink_zones(&suffixes())).await;
        site.is_right(&server).await;
        site.follows_scaling(&server).await;
    }
}

#[tokio::test]
async fn static_stubs_for_privatelink_zones() {
    for (way, link_by_link) in [(Root, false), (Root, true), (Forwarders, false)] {
        let site = Site::new().await;
        site.public.link_by_link(link_by_link);
        let server = named(&site, way, &static_stubs()).await;
        site.is_right(&server).await;
        site.follows_scaling(&server).await;
    }
}

#[tokio::test]
async fn static_stubs_that_keep_the_global_forwarders_are_not_used() {
    let site = Site::new().await;
    let wrong = static_stubs().replace(" forwarders { };", "");
    assert_ne!(wrong, static_stubs());
    let server = named(&site, Forwarders, &wrong).await;
    gives(&server, &site.hub(), PUBLIC).await;
}

#[tokio::test]
async fn stubs_of_either_kind_fail_where_they_do_not_belong() {
    let stubs = static_stubs().replace("static-stub", "stub").replace("server-addresses", "primaries");
    for wrong in [static_stubs().replace("privatelink.", ""), stubs] {
        let site = Site::new().await;
        let server = named(&site, Root, &wrong).await;
        fails(&server, &site.hub()).await;
        fails(&server, "other.azure-devices.net").await;
    }
}

#[tokio::test]
async fn forward_first_gives_public_addresses_when_the_daemon_is_away() {
    for first in [false, true] {
        let site = Site::new().await;
        let hub = site.hub();
        let recipe = if first { suffixes().replace("forward only", "forward first") } else { suffixes() };
        let server = named(&site, Forwarders, &recipe).await;
        site.daemon.kill().await;
        if first {
            shows(&server, &hub, PUBLIC).await;
        } else {
            fails(&server, &hub).await;
        }
    }
}

#[tokio::test]
async fn without_a_resolver_other_tenants_names_are_denied() {
    let site = Site::without_resolver(SHORT_LIVED).await;
    let server = named(&site, Forwarders, &for_privatelink_zones(&suffixes())).await;
    gives(&server, &site.hub(), &site.hub_address()).await;
    let other = server.ask("other.azure-devices.net", "A").await;
    assert_eq!(other.status, "NXDOMAIN", "{other:?}");
}

#[tokio::test]
async fn answers_without_signatures_need_an_exception_from_validation() {
    let (options, zones) =
        suffixes().split_once("zone ").map(|(a, b)| (a.to_owned(), format!("zone {b}"))).expect("zones");
    let site = Site::new().await;
    let server = validating(&site, Forwarders, "auto", &format!("{options}{zones}")).await;
    gives(&server, &site.hub(), &site.hub_address()).await;
    // Public DNS has no signatures here, so nothing else is believed.
    fails(&server, "www.example.com").await;
    server.stop().await;
    let server = validating(&site, Forwarders, "auto", &zones).await;
    fails(&server, &site.hub()).await;
}

#[tokio::test]
async fn per_name_zones() {
    let site = Site::without_resolver("per_name_zones = true").await;
    // As the README's script prints it.
    let line = README.lines().find(|line| line.contains(r#""zone \"\(.origin)\""#)).expect("a script");
    let line = line.trim_matches([' ', '"', '\'', '\\']).replace(r#"\""#, "\"");
    let names = site.own_names();
    let zones: String = names.iter().map(|(name, _)| line.replace(r"\(.origin)", name) + "\n").collect();
    for way in [Forwarders, Root] {
        let server = named(&site, way, &zones).await;
        site.is_right_name_by_name(&server).await;
        server.stop().await;
    }
}
