//! Transfers over TLS (RFC 9103) to a server that does them: BIND.

use super::{CATALOG, Peer, Site};
use crate::readme::README;
use crate::recipes::a_port;

#[tokio::test]
async fn bind_takes_the_zones_over_tls() {
    let peer = Peer::new("bind", 1, "");
    let port = a_port();
    let site = Site::with(&format!("catalog = \"{CATALOG}\""), "", &[peer], |home| {
        let pair = rcgen::generate_simple_self_signed(["dns.example.net".to_owned()]).expect("a certificate");
        let (certificate, key) = (home.path("certificate.pem"), home.path("key.pem"));
        home.secret(&key, &pair.signing_key.serialize_pem());
        home.secret(&certificate, &pair.cert.pem());
        let section = format!(
            "tls.certificate_file = \"{}\"\ntls.key_file = \"{}\"\ntls.listen = [\"127.0.0.1:{port}\"]",
            certificate.display(),
            key.display()
        );
        home.settings.dns = section.leak();
    })
    .await;
    site.daemon.shows(&site.azure).await;
    // As the README says.
    assert!(README.contains("primaries { 10.0.0.5 port 853 key \"ns1-key\" tls ephemeral; };"));
    let plain = format!("port {} key \"bind-key\";", site.daemon.dns().port());
    let change =
        |recipe: String| recipe.replace(&plain, &format!("port {port} key \"bind-key\" tls ephemeral;"));
    let server = site.named_with("bind-secondary", &peer, "recursion no;", change).await;
    site.shown_by(server.address, &site.azure.names()).await;
    let name = site.azure.scale_out();
    site.follows(&name).await;
    site.shown_by(server.address, &site.azure.names()).await;
    // That listener speaks TLS alone.
    let success = format!("from 127.0.0.1#{port}: Transfer status: success");
    assert!(server.log().contains(&success), "{}", server.log());
    let [whole, changes] = site.transfers(&peer).await;
    assert_eq!((whole, changes), (5.0, 2.0));
}
