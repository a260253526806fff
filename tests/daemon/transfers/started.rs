//! The servers' own checkers take every recipe, and the servers start with it.

use super::{CATALOG, Peer, RPZ, Site};

const BY_ADDRESS: &str = "transfer_by = \"address\"";
const BY_EITHER: &str = "transfer_by = \"key-or-address\"";

#[tokio::test]
async fn every_server_starts_with_its_recipe() {
    let peers = [
        Peer::new("bind", 1, ""),
        Peer::new("knot", 1, ""),
        Peer::new("nsd", 1, ""),
        Peer::new("pdns", 14, BY_EITHER),
        Peer::new("unbound", 1, BY_ADDRESS),
    ];
    for transfer in [format!("catalog = \"{CATALOG}\"\nrpz = \"{RPZ}\""), format!("rpz = \"{RPZ}\"")] {
        let site = Site::new(&transfer, "", &peers).await;
        let [bind, knot, nsd, pdns, unbound] = &peers;
        for kind in ["bind-secondary", "bind-rpz"] {
            site.named(kind, bind, "recursion no;").await.stop().await;
        }
        site.knotd(knot).await.stop().await;
        site.nsd(nsd).await.stop().await;
        site.pdns(pdns).await.stop().await;
        for kind in ["unbound-auth-zone", "unbound-rpz"] {
            site.unbound(kind, unbound, "").await.stop().await;
        }
    }
}
