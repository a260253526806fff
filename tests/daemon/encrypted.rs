//! DNS over TLS and over HTTPS, as `kdig` and another resolver see it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use privatelink_dns::zones::FindingKind;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::support::azure::Azure;
use crate::support::daemon::Daemon;
use crate::support::dns::dig;
use crate::support::eventually;
use crate::support::home::Home;
use crate::support::program;
use crate::support::public::PublicDns;

pub(crate) const NAME: &str = "dns.example.net";

/// An authority of our own, and what it signs.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).expect("parameters");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(parameters, key).expect("an authority"))
    }

    /// Writes the authority, and a certificate with its key.
    pub(crate) fn write(&self, home: &Home) -> Files {
        let key = KeyPair::generate().expect("a key");
        let parameters = CertificateParams::new(vec![NAME.to_owned()]).expect("parameters");
        let certificate = parameters.signed_by(&key, &self.0).expect("a certificate");
        let files = Files {
            authority: home.path("ca.pem"),
            certificate: home.path("certificate.pem"),
            key: home.path("key.pem"),
        };
        home.secret(&files.key, &key.serialize_pem());
        std::fs::write(&files.certificate, certificate.pem()).expect("written");
        std::fs::write(&files.authority, self.0.pem()).expect("written");
        files
    }
}

pub(crate) struct Files {
    pub(crate) authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    pub(crate) fn section(&self) -> String {
        format!(
            "tls.certificate_file = \"{}\"\ntls.key_file = \"{}\"\n\
             tls.listen = [\"127.0.0.1:0\"]\ntls.https_listen = [\"127.0.0.1:0\"]",
            self.certificate.display(),
            self.key.display()
        )
    }
}

/// A daemon with both listeners.
async fn encrypted(azure: &Azure, more: &str) -> (Home, Files, Daemon) {
    let mut home = Home::new(azure);
    let files = Authority::new().write(&home);
    home.settings.dns = Box::leak(format!("{}\n{more}", files.section()).into_boxed_str());
    let daemon = home.start().await;
    daemon.shows(azure).await;
    (home, files, daemon)
}

/// What `kdig` prints; it checks the certificate against the authority and the name.
async fn kdig(server: SocketAddr, files: &Files, options: &[&str], name: &str) -> String {
    let output = Command::new(program("kdig"))
        .args([format!("@{}", server.ip()), "-p".to_owned(), server.port().to_string()])
        .arg(format!("+tls-ca={}", files.authority.display()))
        .arg(format!("+tls-hostname={NAME}"))
        .args(["+retry=0", "+time=5"])
        .args(options)
        .arg(name)
        .args(if options.contains(&"-t") { &[][..] } else { &["A"] })
        .kill_on_drop(true)
        .output()
        .await
        .expect("kdig runs");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn kdig_asks_over_tls_and_https() {
    let azure = Azure::start().await;
    let (_home, files, daemon) = encrypted(&azure, "").await;
    let (tls, https) = daemon.encrypted();
    for (server, options) in [(tls, &["+tls"][..]), (https, &["+https"]), (https, &["+https-get"])] {
        let text = kdig(server, &files, options, &azure.hub()).await;
        let address = azure.names()[&azure.hub()].first().expect("an address").to_string();
        assert!(text.contains("status: NOERROR") && text.contains(&address), "{options:?}: {text}");
        let text = kdig(server, &files, options, "example.com").await;
        assert!(text.contains("status: REFUSED"), "{options:?}: {text}");
    }
    for proto in ["tls", "https"] {
        let metric =
            format!("privatelink_dns_dns_requests_total{{family=\"4\",proto=\"{proto}\",type=\"A\"}}");
        assert!(daemon.metric(&metric).await >= 2.0, "{proto}");
    }
}

#[tokio::test]
async fn zones_are_transferred_over_tls_and_not_over_https() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    let files = Authority::new().write(&home);
    home.settings.dns = Box::leak(files.section().into_boxed_str());
    let secret = "b25lIHNlY3JldCBvZiAzMiBvY3RldHMgZm9yIHRlc3Q=";
    let keys = home.path("keys.conf");
    home.secret(&keys, &format!("key \"ns1-key\" {{ algorithm hmac-sha256; secret \"{secret}\"; }};\n"));
    home.settings.resolver = format!(
        "[transfer]\nkey_files = [\"{}\"]\n[[secondary]]\nname = \"ns1\"\naddress = \"127.0.0.9:9\"\n\
         key = \"ns1-key\"\nnotify = \"off\"\n",
        keys.display()
    );
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let (tls, https) = daemon.encrypted();
    let key = format!("hmac-sha256:ns1-key:{secret}");
    let zone = "privatelink.azure-devices.net";
    // kdig checks the signature, and complains when it is wrong.
    let transfer = async |server, transport: &str, more: &[&str]| {
        let options = [&[transport, "-t", "AXFR"], more].concat();
        kdig(server, &files, &options, zone).await
    };
    let text = transfer(tls, "+tls", &["-y", &key]).await;
    let hub = azure.hub();
    assert!(text.contains(&format!("{hub}.")) && text.matches("SOA").count() == 2, "{text}");
    assert!(text.contains("TSIG") && !text.contains("WARNING"), "{text}");
    assert!(!transfer(tls, "+tls", &[]).await.contains(&hub), "without the key");
    assert!(!transfer(https, "+https", &["-y", &key]).await.contains(&hub), "over HTTPS");
}

#[tokio::test]
async fn a_replaced_certificate_is_used_by_the_next_handshake() {
    let azure = Azure::start().await;
    let (home, old, daemon) = encrypted(&azure, "").await;
    let (tls, https) = daemon.encrypted();
    assert!(kdig(tls, &old, &["+tls"], &azure.hub()).await.contains("status: NOERROR"));
    // Another authority: only the new certificate passes the check.
    let new = Authority::new().write(&home);
    for (server, option) in [(tls, "+tls"), (https, "+https")] {
        let text = kdig(server, &new, &[option], &azure.hub()).await;
        assert!(text.contains("status: NOERROR"), "{option}: {text}");
    }
    // A wrong file keeps the certificate that was in use.
    std::fs::write(&new.certificate, "nonsense").expect("written");
    assert!(kdig(tls, &new, &["+tls"], &azure.hub()).await.contains("status: NOERROR"));
    let told = "the new certificate cannot be used, the one before stays in use";
    eventually("it is told", async || {
        let log = daemon.log();
        if log.iter().any(|line| line["message"] == told) { Ok(()) } else { Err(format!("{log:?}")) }
    })
    .await;
}

#[tokio::test]
async fn who_may_not_recurse_is_refused_here_too() {
    let azure = Azure::start().await;
    let dns = PublicDns::start().await;
    dns.host("www.example.com", [198, 51, 100, 7]);
    let mut home = Home::new(&azure);
    let files = Authority::new().write(&home);
    home.settings.dns = Box::leak(files.section().into_boxed_str());
    home.settings.resolver =
        format!("[resolver]\nupstreams = [\"{}\"]\nallow = [\"127.0.0.1\"]\n", dns.address);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let (tls, https) = daemon.encrypted();
    for (server, transport) in [(tls, "+tls"), (https, "+https")] {
        let ask = async |from: &str, name: &str| kdig(server, &files, &[transport, "-b", from], name).await;
        let has =
            |text: &str, part: &str| assert!(text.contains(part), "{transport}: {part} is not in {text}");
        has(&ask("127.0.0.2", "www.example.com").await, "status: REFUSED");
        has(&ask("127.0.0.2", &azure.hub()).await, "status: NOERROR");
        has(&ask("127.0.0.1", "www.example.com").await, "198.51.100.7");
    }
}

#[tokio::test]
async fn an_upstream_may_be_asked_over_tls_and_https() {
    let azure = Azure::start().await;
    let (_home, files, upstream) = encrypted(&azure, "").await;
    let (tls, https) = upstream.encrypted();
    let second = Azure::start().await;
    for address in [format!("tls://{tls}#{NAME}"), format!("https://{https}/dns-query#{NAME}")] {
        let mut home = Home::new(&second);
        home.settings.resolver =
            format!("[resolver]\nupstreams = [\"{address}\"]\nca_file = \"{}\"\n", files.authority.display());
        let daemon = home.start().await;
        daemon.shows(&second).await;
        // The same application is followed by both, so only a name that is missing is asked upstream.
        let missing = "nobody.privatelink.azure-devices.net";
        assert_eq!(dig(daemon.dns(), missing, "A").await.status, "NXDOMAIN", "{address}");
        // The name in the certificate is checked.
        home.settings.resolver = home.settings.resolver.replace(NAME, "other.example.net");
        home.write();
        daemon.reload().await;
        assert_eq!(dig(daemon.dns(), missing, "A").await.status, "SERVFAIL", "{address}");
    }
}

#[tokio::test]
async fn requests_that_are_none_get_the_right_status() {
    let azure = Azure::start().await;
    let (_home, files, daemon) = encrypted(&azure, "").await;
    let (_, https) = daemon.encrypted();
    let authority =
        reqwest::Certificate::from_pem(&std::fs::read(&files.authority).expect("read")).expect("PEM");
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([authority])
        .resolve(NAME, https)
        .http2_prior_knowledge()
        .build()
        .expect("a client");
    let url = |path: &str| format!("https://{NAME}:{}{path}", https.port());
    let get = async |path: &str| client.get(url(path)).send().await.expect("a response").status().as_u16();
    let post = async |kind: &str, body: Vec<u8>| {
        let request = client.post(url("/dns-query")).header("content-type", kind).body(body);
        request.send().await.expect("a response").status().as_u16()
    };
    assert_eq!(get("/").await, 404);
    assert_eq!(get("/dns-query").await, 400);
    assert_eq!(get("/dns-query?dns=***").await, 400);
    assert_eq!(get("/dns-query?dns=AAA").await, 400);
    assert_eq!(get(&format!("/dns-query?dns={}", "A".repeat(8000))).await, 414);
    assert_eq!(post("text/plain", vec![0; 20]).await, 415);
    assert_eq!(post("application/dns-message", vec![0; 5000]).await, 413);
    assert_eq!(post("application/dns-message", vec![0xff; 20]).await, 400);
    let put = client.put(url("/dns-query")).send().await.expect("a response");
    assert_eq!(put.status().as_u16(), 405);
}

#[tokio::test]
async fn silence_and_crowds_are_limited() {
    let azure = Azure::start().await;
    let (_home, files, daemon) =
        encrypted(&azure, "tcp_idle_timeout = \"1s\"\ntcp_connections = 4\ntcp_connections_per_client = 4")
            .await;
    let (tls, https) = daemon.encrypted();
    for server in [tls, https] {
        // Without a handshake.
        let mut stream = TcpStream::connect(server).await.expect("connected");
        let end = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut [0; 1])).await;
        assert!(matches!(end.expect("an end"), Ok(0) | Err(_)));
    }
    let mut crowd = Vec::new();
    for _ in 0..4 {
        crowd.push(TcpStream::connect(tls).await.expect("connected"));
    }
    eventually("one is refused", async || {
        let _one_more = TcpStream::connect(https).await.expect("connected");
        let refused = daemon.metric("privatelink_dns_dns_tcp_connections_refused_total").await;
        if refused > 0.0 { Ok(()) } else { Err(refused.to_string()) }
    })
    .await;
    drop(crowd);
    eventually("there is room again", async || {
        let text = kdig(tls, &files, &["+tls"], &azure.hub()).await;
        if text.contains("status: NOERROR") { Ok(()) } else { Err(text) }
    })
    .await;
}

#[tokio::test]
async fn a_reload_opens_closes_and_refuses_them() {
    let azure = Azure::start().await;
    let (mut home, files, daemon) = encrypted(&azure, "").await;
    let (tls, _) = daemon.encrypted();
    home.settings.dns = Box::leak(
        files.section().replace(&files.certificate.display().to_string(), "/nowhere.pem").into_boxed_str(),
    );
    home.write();
    daemon.signal(rustix::process::Signal::HUP);
    daemon.finding(FindingKind::ReloadRefused).await;
    assert!(kdig(tls, &files, &["+tls"], &azure.hub()).await.contains("status: NOERROR"));
    home.settings.dns = "";
    home.write();
    daemon.reload().await;
    eventually("it is closed", async || match TcpStream::connect(tls).await {
        Ok(_) => Err("open".to_owned()),
        Err(_) => Ok(()),
    })
    .await;
}
