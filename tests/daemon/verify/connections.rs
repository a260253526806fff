//! Faults behind the addresses: TLS servers of our own, on loopback, with the certificates of an authority that
//! is trusted by `ca_file`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use privatelink_dns::verify::{Facts, Name, Plan, Prober, Report, run};
use privatelink_dns::zones::{DnsName, FindingKind};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustix::process::Signal;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, crypto};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::{Verdict, Well};
use crate::support::azure::public;
use crate::support::eventually;
use crate::support::home::{BINARY, Home, said};
use crate::support::server::Server;

/// An authority, and a file with its certificate.
struct Authority {
    params: CertificateParams,
    key: KeyPair,
    directory: TempDir,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let directory = tempfile::tempdir().expect("a directory");
        let pem = params.self_signed(&key).expect("an authority").pem();
        fs::write(directory.path().join("ca.pem"), pem).expect("written");
        Self { params, key, directory }
    }

    fn file(&self) -> std::path::PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A TLS server with a certificate for these names, valid from one year to another.
    async fn serve(&self, address: SocketAddr, names: &[String], years: (i32, i32)) -> Open {
        let mut params = CertificateParams::new(names.to_vec()).expect("parameters");
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
            )
            .expect("a server");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Open::start(address, move |mut stream| {
            let acceptor = acceptor.clone();
            async move {
                // Whoever does not trust the certificate ends the handshake.
                if let Ok(mut stream) = acceptor.accept(&mut stream).await {
                    let _ = stream.read_u8().await;
                }
            }
        })
        .await
    }
}

/// A port where something listens; ends when dropped.
struct Open {
    port: u16,
    task: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Open {
    /// Listens no more when this returns.
    async fn close(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    async fn start<F: Future<Output = ()> + Send + 'static>(
        address: SocketAddr,
        serve: impl Fn(tokio::net::TcpStream) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                tokio::spawn(serve(stream));
            }
        });
        Self { port, task }
    }
}

const NOW: (i32, i32) = (2020, 2099);

fn ip(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 7, host)
}

fn any(host: u8) -> SocketAddr {
    (ip(host), 0).into()
}

/// Names with one address each; those of `hub…` are in one zone, others in another.
fn facts(names: &[(&str, u8)]) -> Facts {
    let application = "/subscriptions/s/resourceGroups/r/providers/Microsoft.IoTCentral/iotApps/a";
    let name = |(name, host): &(&str, u8)| {
        let public: DnsName = name.parse().expect("a name");
        let suffix = public.parent().expect("a suffix");
        let name = Name {
            application: application.parse().expect("an id"),
            zone: suffix.prepend("privatelink").expect("a zone"),
            private: None,
            own_name: false,
            owners: Vec::new(),
            answers: vec![BTreeSet::from([ip(*host)])],
            given: BTreeMap::new(),
        };
        (public, name)
    };
    Facts { names: names.iter().map(name).collect(), ..Facts::default() }
}

async fn tried(authority: &Authority, names: &[(&str, u8)], ports: &[u16]) -> Report {
    let prober = Prober::new(Some(&authority.file())).expect("TLS");
    let plan = Plan { servers: Vec::new(), connect: Some((prober, ports.to_vec())) };
    run(&facts(names), &plan, &|_, _, _| {}).await
}

/// Code and subject of everything that is told.
fn problems(report: &Report) -> Vec<(&str, &str)> {
    report.problems.iter().map(|problem| (problem.check.as_str(), problem.subject.as_str())).collect()
}

const HUB: &str = "hub.azure-devices.test";

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn a_right_certificate_is_right() {
    let authority = Authority::new("ours");
    let server = authority.serve(any(1), &names(&[HUB]), NOW).await;
    let report = tried(&authority, &[(HUB, 1)], &[server.port]).await;
    assert!(report.problems.is_empty(), "{report:?}");
    assert_eq!(report.names[0].ports[0].result, "good");
}

#[tokio::test]
async fn certificates_that_are_not() {
    let (authority, foreign) = (Authority::new("ours"), Authority::new("theirs"));
    for (check, by, name, years) in [
        ("certificate-expired", &authority, HUB, (2019, 2020)),
        ("certificate-not-yet-valid", &authority, HUB, (2090, 2099)),
        ("certificate-wrong-name", &authority, "elsewhere.azure-devices.test", NOW),
        ("certificate-unknown-authority", &foreign, HUB, NOW),
    ] {
        let server = by.serve(any(2), &names(&[name]), years).await;
        let report = tried(&authority, &[(HUB, 2)], &[server.port]).await;
        assert_eq!(problems(&report), [(check, HUB)], "{report:?}");
        let problem = &report.problems[0];
        assert_eq!(problem.server, Some(format!("{} port {}", ip(2), server.port)));
        assert_eq!(problem.remedy.contains("clock"), years != NOW, "{problem:?}");
    }
}

#[tokio::test]
async fn connections_that_lead_nowhere() {
    let authority = Authority::new("ours");
    let closed = {
        let listener = std::net::TcpListener::bind(any(3)).expect("a port");
        listener.local_addr().expect("an address").port()
    };
    let report = tried(&authority, &[(HUB, 3)], &[closed]).await;
    assert_eq!(problems(&report), [("connect-refused", HUB)], "{report:?}");

    // Takes the connection and never says a word.
    let hole = Open::start(any(3), async |mut stream| while stream.read_u8().await.is_ok() {}).await;
    let report = tried(&authority, &[(HUB, 3)], &[hole.port]).await;
    assert_eq!(problems(&report), [("tls-timeout", HUB)], "{report:?}");

    // Takes the connection and ends it.
    let hang_up = Open::start(any(3), async |stream| drop(stream)).await;
    let report = tried(&authority, &[(HUB, 3)], &[hang_up.port]).await;
    assert_eq!(problems(&report), [("tls-failed", HUB)], "{report:?}");

    // Nobody takes the connection: the queue of a listener that accepts none is full.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&any(3).into()).expect("bound");
    socket.listen(0).expect("listens");
    let full = socket.local_addr().expect("an address").as_socket().expect("IPv4");
    let mut waiting = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&full, std::time::Duration::from_millis(300))
    {
        waiting.push(stream);
    }
    let report = tried(&authority, &[(HUB, 3)], &[full.port()]).await;
    assert_eq!(problems(&report), [("connect-timeout", HUB)], "{report:?}");
}

#[tokio::test]
async fn a_port_that_a_kind_does_not_have_is_told_once() {
    let authority = Authority::new("ours");
    let (second, events, more_events) =
        ("two.azure-devices.test", "one.servicebus.test", "two.servicebus.test");
    let all = names(&[HUB, second, events, more_events]);
    let web = authority.serve((Ipv4Addr::UNSPECIFIED, 0).into(), &all, NOW).await;
    let mqtt = authority.serve(any(4), &all, NOW).await;
    let also = authority.serve((ip(5), mqtt.port).into(), &all, NOW).await;
    let everything = [(HUB, 4), (second, 5), (events, 6), (more_events, 7)];
    let report = tried(&authority, &everything, &[web.port, mqtt.port]).await;
    assert_eq!(problems(&report), [("port-not-offered", "privatelink.servicebus.test")], "{report:?}");
    assert!(!report.has_failures());

    // Others of its kind have it.
    also.close().await;
    let report = tried(&authority, &everything[..2], &[web.port, mqtt.port]).await;
    assert_eq!(problems(&report), [("connect-refused", second)], "{report:?}");

    // Nobody has it.
    let report = tried(&authority, &everything[2..], &[web.port, mqtt.port]).await;
    assert_eq!(problems(&report), [("port-blocked", &*format!("port {}", mqtt.port))], "{report:?}");
}

/// A daemon's home with the names of an application at loopback addresses, a TLS server there, and a DNS server
/// that has the same. Azure gives no addresses of loopback, so the state is changed by hand.
async fn stored(authority: &Authority) -> (Home, Open, Server) {
    let Well { home, daemon, azure } = Well::new().await;
    let all: Vec<String> = azure.names().keys().map(|name| public(name)).collect();
    let server = authority.serve((Ipv4Addr::UNSPECIFIED, 0).into(), &all, NOW).await;
    daemon.end(Signal::TERM).await;
    let state = home.state().join("state.json");
    let text = fs::read_to_string(&state).expect("a state").replace("\"10.1.0.", "\"127.0.7.");
    fs::write(&state, text).expect("written");
    let records = super::records(&azure)
        .iter()
        .map(|record| record.replace(" 10.1.0.", " 127.0.7."))
        .collect::<Vec<_>>();
    let dns = super::named(([127, 0, 0, 1], crate::recipes::a_port()).into(), &records).await;
    (home, server, dns)
}

#[tokio::test]
async fn the_command_connects_to_what_the_daemon_has_stored() {
    let authority = Authority::new("ours");
    let (mut home, server, dns) = stored(&authority).await;
    let verify = async |home: &Home, flag: &str| {
        home.write();
        let mut command = home.environment(BINARY);
        let resolver = dns.address.to_string();
        command.args(["verify", "--json", "--resolver", &resolver, flag, "--config"]).arg(home.config());
        Verdict::of(&said(command).await)
    };
    home.settings.transfer =
        format!("[verify]\nports = [{}]\nca_file = \"{}\"", server.port, authority.file().display());
    let verdict = verify(&home, "--offline").await;
    verdict.is_well();
    assert_eq!(verdict.json["source"], "stored");
    // Without its authority nothing is trusted; and without the daemon it is what is stored, too.
    home.settings.transfer = format!("[verify]\nports = [{}]", server.port);
    let verdict = verify(&home, "--offline").await;
    assert_eq!(verdict.code, Some(2));
    let problems = verdict.problems();
    assert_eq!(problems.len(), 6);
    assert!(problems.iter().all(|(check, _)| check == "certificate-unknown-authority"), "{problems:?}");
    let verdict = verify(&home, "--no-connect").await;
    verdict.is_well();
    assert_eq!(verdict.json["source"], "stored");
}

#[tokio::test]
async fn the_daemon_connects_by_itself() {
    let authority = Authority::new("ours");
    let (mut home, server, dns) = stored(&authority).await;
    // Nothing is polled any more.
    home.settings.arm = "http://127.0.0.1:1".to_owned();
    let section = format!(
        "[verify]\nenabled = true\ninterval = \"1s\"\nports = [{}]\nresolvers = [\"{}\"]\n",
        server.port, dns.address
    );
    home.settings.transfer = section.clone();
    let daemon = home.start().await;
    let message = daemon.finding(FindingKind::VerifyFailing).await;
    assert!(message.contains("5 more: see `privatelink-dns verify`"), "{message}");
    let metric = "privatelink_dns_verify_problems{check=\"certificate-unknown-authority\"}";
    assert_eq!(daemon.metric(metric).await, 6.0);
    // The finding is told once, and nobody below says it again with every run.
    let errors: Vec<_> = daemon.log().into_iter().filter(|line| line["level"] == "ERROR").collect();
    assert!(errors.iter().all(|line| line["finding"].is_string()), "{errors:?}");

    home.settings.transfer = format!("{section}ca_file = \"{}\"", authority.file().display());
    home.write();
    daemon.reload().await;
    daemon.no_finding(FindingKind::VerifyFailing).await;
    // Azure is away, and that is all that is wrong.
    eventually("a run", async || {
        let last = daemon.status().await.verify.ok_or("none")?;
        let checks: Vec<&str> = last.problems.iter().map(|problem| problem.check.as_str()).collect();
        if checks == ["poll-failed"] { Ok(()) } else { Err(format!("{last:?}")) }
    })
    .await;
    assert_eq!(daemon.metric(metric).await, 0.0);
}
