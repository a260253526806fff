//! Who may not ask learns nothing: at every listener, whatever the question, a refusal has the question in it and
//! not one record. Nor does who may ask learn more than names that he can guess.

use std::net::SocketAddr;
use std::sync::Arc;

use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use rustls_pki_types::ServerName;
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::encrypted::{Authority, Files, NAME};
use crate::support::DEADLINE;
use crate::support::azure::{Azure, public};
use crate::support::daemon::Daemon;
use crate::support::home::Home;

const CATALOG: &str = "catalog.example";
const POLICY: &str = "rpz.example";

/// Ways to ask.
#[derive(Debug, Clone, Copy)]
enum Way {
    Udp,
    Tcp,
    Tls,
    Https,
}

const WAYS: [Way; 4] = [Way::Udp, Way::Tcp, Way::Tls, Way::Https];

async fn over<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, query: &[u8]) -> Vec<u8> {
    let length = u16::try_from(query.len()).expect("short").to_be_bytes();
    stream.write_all(&[&length, query].concat()).await.expect("sent");
    let length = stream.read_u16().await.expect("a length");
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await.expect("an answer");
    answer
}

async fn ask(daemon: &Daemon, files: &Files, way: Way, query: &[u8]) -> Vec<u8> {
    let authority = std::fs::read(&files.authority).expect("an authority");
    let (tls, https) = daemon.encrypted();
    let answer = async {
        match way {
            Way::Udp => {
                let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
                socket.send_to(query, daemon.dns()).await.expect("sent");
                let mut answer = vec![0; 65535];
                let length = socket.recv(&mut answer).await.expect("an answer");
                answer.truncate(length);
                answer
            }
            Way::Tcp => over(TcpStream::connect(daemon.dns()).await.expect("connected"), query).await,
            Way::Tls => {
                let mut roots = RootCertStore::empty();
                let certificate =
                    rustls_pki_types::CertificateDer::from_pem_slice(&authority).expect("a certificate");
                roots.add(certificate).expect("an authority");
                let provider = Arc::new(crypto::aws_lc_rs::default_provider());
                let config = ClientConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()
                    .expect("versions")
                    .with_root_certificates(roots)
                    .with_no_client_auth();
                let stream = TcpStream::connect(tls).await.expect("connected");
                let name = ServerName::try_from(NAME).expect("a name");
                let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("TLS");
                over(stream, query).await
            }
            Way::Https => {
                let root = reqwest::Certificate::from_pem(&authority).expect("a certificate");
                let client =
                    reqwest::Client::builder().no_proxy().tls_certs_only([root]).resolve(NAME, https);
                let url = format!("https://{NAME}:{}/dns-query", https.port());
                let request = client.build().expect("a client").post(url).body(query.to_vec());
                let response =
                    request.header("content-type", "application/dns-message").send().await.expect("sent");
                assert_eq!(response.status(), 200);
                response.bytes().await.expect("a body").to_vec()
            }
        }
    };
    timeout(DEADLINE, answer).await.unwrap_or_else(|_| panic!("no answer over {way:?}"))
}

fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).expect("a name");
    name.set_fqdn(true);
    name
}

/// A question, with EDNS.
fn question(owner: &str, kind: RecordType, class: DNSClass) -> Message {
    let mut query = Message::query();
    query.metadata.id = fastrand::u16(..);
    query.metadata.recursion_desired = true;
    let mut question = Query::query(name(owner), kind);
    question.set_query_class(class);
    query.add_query(question);
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    query.set_edns(edns);
    if kind == RecordType::IXFR {
        let soa = SOA::new(Name::root(), Name::root(), 1, 0, 0, 0, 0);
        query.add_authority(Record::from_rdata(name(owner), 0, RData::SOA(soa)));
    }
    query
}

/// Everything that somebody might be curious about.
fn questions(azure: &Azure) -> Vec<Message> {
    let hub = azure.hub();
    let zone = hub.split_once('.').expect("a zone").1;
    let mut all = Vec::new();
    for kind in [RecordType::A, RecordType::AAAA, RecordType::ANY, RecordType::TXT] {
        for owner in [&*hub, &public(&hub), zone, "none.privatelink.azure-devices.net", "example.org"] {
            all.push(question(owner, kind, DNSClass::IN));
        }
    }
    all.extend(secrets(zone));
    for opcode in [OpCode::Notify, OpCode::Update] {
        let mut message = question(zone, RecordType::SOA, DNSClass::IN);
        message.metadata.op_code = opcode;
        all.push(message);
    }
    all
}

/// What is nobody's business but a secondary's, or nobody's at all.
fn secrets(zone: &str) -> Vec<Message> {
    let mut all = Vec::new();
    for owner in [zone, CATALOG, POLICY, "."] {
        for kind in [RecordType::AXFR, RecordType::IXFR] {
            all.push(question(owner, kind, DNSClass::IN));
        }
    }
    for owner in ["version.bind", "version.server", "hostname.bind", "id.server", "authors.bind"] {
        for kind in [RecordType::TXT, RecordType::ANY] {
            all.push(question(owner, kind, DNSClass::CH));
        }
    }
    for owner in [CATALOG, POLICY, "version.catalog.example"] {
        for kind in [RecordType::SOA, RecordType::NS, RecordType::PTR, RecordType::TXT, RecordType::ANY] {
            all.push(question(owner, kind, DNSClass::IN));
        }
    }
    all
}

/// A daemon with all listeners and zones, which lets these ask.
async fn daemon(azure: &Azure, allow: &str, more: &str) -> (Home, Files, Daemon) {
    let mut home = Home::new(azure);
    let files = Authority::new().write(&home);
    home.settings.dns =
        Box::leak(format!("allow_query = [\"{allow}\"]\n{}\n", files.section()).into_boxed_str());
    home.settings.transfer = format!(
        "[transfer]\ncatalog = \"{CATALOG}\"\nrpz = \"{POLICY}\"\n\
         [[secondary]]\nname = \"ns1\"\naddress = \"192.0.2.1\"\ntransfer_by = \"address\"\nnotify = \"off\"\n"
    );
    home.settings.resolver = more.to_owned();
    let daemon = home.start().await;
    crate::support::eventually("names", async || {
        let records = daemon.records().await.len();
        if records > 0 { Ok(()) } else { Err(String::new()) }
    })
    .await;
    (home, files, daemon)
}

/// Whether an answer is nothing but a refusal of the question.
fn is_bare(query: &Message, answer: &[u8]) -> Result<ResponseCode, String> {
    let message = Message::from_vec(answer).map_err(|error| error.to_string())?;
    let right = message.metadata.id == query.metadata.id
        && message.answers.is_empty()
        && message.authorities.is_empty()
        && message.additionals.is_empty()
        && !message.metadata.authoritative
        && message.queries == query.queries;
    // The options of EDNS hold a code at most, and no text.
    let options = message.edns.as_ref().map_or(0, |edns| {
        edns.options()
            .as_ref()
            .iter()
            .map(|(_, option)| option)
            .map(|option| Vec::<u8>::try_from(option).map_or(usize::MAX, |o| o.len()))
            .sum()
    });
    if right && options <= 2 { Ok(message.metadata.response_code) } else { Err(format!("{message:?}")) }
}

#[tokio::test]
async fn who_may_not_ask_learns_nothing_at_any_listener() {
    let azure = Azure::start().await;
    let upstream: SocketAddr = "192.0.2.53:53".parse().expect("an address");
    let resolver = format!("[resolver]\nupstreams = [\"{upstream}\"]\nallow = [\"192.0.2.0/24\"]\n");
    for more in ["", &resolver] {
        let (_home, files, daemon) = daemon(&azure, "192.0.2.0/24", more).await;
        for way in WAYS {
            for query in questions(&azure) {
                let answer = ask(&daemon, &files, way, &query.to_vec().expect("a query")).await;
                let code =
                    is_bare(&query, &answer).unwrap_or_else(|error| panic!("{way:?} {query:?}: {error}"));
                let known = [ResponseCode::Refused, ResponseCode::NotImp];
                assert!(known.contains(&code), "{way:?} {query:?}: {code}");
            }
        }
    }
}

#[tokio::test]
async fn who_may_ask_learns_no_more_than_names_that_he_can_guess() {
    let azure = Azure::start().await;
    let (_home, files, daemon) = daemon(&azure, "loopback", "").await;
    let hub = azure.hub();
    let zone = hub.split_once('.').expect("a zone").1;
    for way in WAYS {
        let query = question(&hub, RecordType::A, DNSClass::IN);
        let answer = ask(&daemon, &files, way, &query.to_vec().expect("a query")).await;
        assert_eq!(Message::from_vec(&answer).expect("a message").answers.len(), 1, "{way:?}");
        for query in secrets(zone) {
            let answer = ask(&daemon, &files, way, &query.to_vec().expect("a query")).await;
            let code = is_bare(&query, &answer).unwrap_or_else(|error| panic!("{way:?} {query:?}: {error}"));
            assert_ne!(code, ResponseCode::NoError, "{way:?} {query:?}");
        }
    }
}
