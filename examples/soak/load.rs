//! What clients do to the daemon, the well-behaved and the others. Everybody keeps a modest pace: what is
//! looked for is what stays behind, not how much can be done.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use privatelink_dns::wire::ask;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

use crate::query::query;
use crate::servers::Addresses;

/// How long anything may take on a machine that does other things, too.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections that somebody leaves half open.
const HALF_OPEN: usize = 48;

/// What was done and what came back.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) udp: AtomicU64,
    pub(crate) tcp: AtomicU64,
    pub(crate) tls: AtomicU64,
    pub(crate) https: AtomicU64,
    pub(crate) silent: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) events: AtomicU64,
    pub(crate) rude: AtomicU64,
    /// Lasting names that were answered without an address.
    pub(crate) lost: Mutex<Vec<String>>,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Asks over UDP: names that last, names that come and go, names of nobody, names of public DNS.
pub(crate) async fn udp(at: Addresses, lasting: Arc<Vec<String>>, tally: Arc<Tally>) {
    loop {
        sleep(Duration::from_millis(20)).await;
        let roll = fastrand::u32(..10);
        let ours = roll < 6;
        let name = match roll {
            0..6 => lasting[fastrand::usize(..lasting.len())].clone(),
            6 => format!("iotc-{:08x}.privatelink.azure-devices.net", fastrand::u32(..)),
            // Never the same, so that the cache is always full.
            _ => format!("host-{:016x}.example", fastrand::u64(..)),
        };
        match ask(at.dns, &name.parse().expect("a name"), PATIENCE).await {
            Ok(answer) if ours && answer.addresses.is_empty() => {
                tally.lost.lock().expect("no panic").push(format!("{name}: {answer:?}"));
            }
            Ok(_) => count(&tally.udp),
            Err(_) => count(&tally.silent),
        }
    }
}

/// Asks over a connection: a few queries in one go, then it is closed, or left until it is cut.
pub(crate) async fn tcp(at: Addresses, lasting: Arc<Vec<String>>, tally: Arc<Tally>) {
    loop {
        sleep(Duration::from_millis(100)).await;
        let asked = timeout(PATIENCE, async {
            let mut stream = TcpStream::connect(at.dns).await?;
            exchange(&mut stream, &lasting[fastrand::usize(..lasting.len())], 4).await
        });
        count(if matches!(asked.await, Ok(Ok(()))) { &tally.tcp } else { &tally.refused });
    }
}

/// The same over TLS.
pub(crate) async fn tls(at: Addresses, certificate: Vec<u8>, lasting: Arc<Vec<String>>, tally: Arc<Tally>) {
    use rustls::pki_types::pem::PemObject as _;
    let mut roots = rustls::RootCertStore::empty();
    let certificate = rustls::pki_types::CertificateDer::from_pem_slice(&certificate).expect("a certificate");
    roots.add(certificate).expect("an authority");
    let client = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    loop {
        sleep(Duration::from_millis(500)).await;
        let asked = timeout(PATIENCE, async {
            let stream = TcpStream::connect(at.tls).await?;
            let name = "localhost".try_into().expect("a name");
            let mut stream = connector.connect(name, stream).await?;
            exchange(&mut stream, &lasting[fastrand::usize(..lasting.len())], 2).await
        });
        count(if matches!(asked.await, Ok(Ok(()))) { &tally.tls } else { &tally.refused });
    }
}

/// The same over HTTPS.
pub(crate) async fn https(at: Addresses, certificate: Vec<u8>, lasting: Arc<Vec<String>>, tally: Arc<Tally>) {
    let authority = reqwest::Certificate::from_pem(&certificate).expect("a certificate");
    let url = format!("https://localhost:{}/dns-query", at.https.port());
    loop {
        // A connection for each, half of which are left to be cut.
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
        let client = client.tls_certs_only([authority.clone()]).build().expect("a client");
        for _ in 0..2 {
            sleep(Duration::from_millis(500)).await;
            let query = query(&lasting[fastrand::usize(..lasting.len())]);
            let request = client.post(&url).header("content-type", "application/dns-message").body(query);
            let right = match request.send().await {
                Ok(response) if response.status() == 200 => response.bytes().await.is_ok(),
                _ => false,
            };
            count(if right { &tally.https } else { &tally.refused });
        }
    }
}

async fn exchange(
    stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin),
    name: &str,
    times: usize,
) -> std::io::Result<()> {
    let query = query(name);
    let mut framed = u16::try_from(query.len()).expect("short").to_be_bytes().to_vec();
    framed.extend(&query);
    stream.write_all(&framed.repeat(times)).await?;
    stream.flush().await?;
    for _ in 0..times {
        let mut answer = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut answer).await?;
    }
    Ok(())
}

/// Reads the stream of events and what the status page is made of, as a browser does.
pub(crate) async fn watch(at: Addresses, tally: Arc<Tally>) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = |path: &str| format!("http://{}{path}", at.admin);
    loop {
        if let Ok(mut stream) = client.get(url("/api/v1/events")).send().await {
            while let Ok(Some(_)) = stream.chunk().await {
                count(&tally.events);
                for path in ["/", "/api/v1/status", "/api/v1/records", "/api/v1/history", "/readyz"] {
                    if let Ok(response) = client.get(url(path)).send().await {
                        let _ = response.bytes().await;
                    }
                }
            }
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Connects to every listener and says nothing, half of something, or nonsense; sends nonsense.
pub(crate) async fn rude(at: Addresses, tally: Arc<Tally>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
    let mut open: Vec<TcpStream> = Vec::new();
    loop {
        sleep(Duration::from_millis(200)).await;
        count(&tally.rude);
        let octets: Vec<u8> = (0..fastrand::usize(..1500)).map(|_| fastrand::u8(..)).collect();
        let _ = socket.send_to(&octets, at.dns).await;
        let to = [at.dns, at.tls, at.https, at.admin][fastrand::usize(..4)];
        let Ok(Ok(mut stream)) = timeout(PATIENCE, TcpStream::connect(to)).await else { continue };
        let half = query("half.example");
        let said: &[u8] = match fastrand::u32(..4) {
            0 => b"",
            1 => &half[..half.len() / 2],
            2 => b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nX-",
            _ => &octets,
        };
        let _ = stream.write_all(said).await;
        open.push(stream);
        if open.len() > HALF_OPEN {
            open.swap_remove(fastrand::usize(..open.len()));
        }
    }
}

/// Public DNS: every name has an address for a minute. Now and then it is away for some seconds.
pub(crate) async fn public(at: SocketAddr) {
    let socket = UdpSocket::bind(at).await.expect("the port is ours");
    let mut buffer = [0; 4096];
    let mut asked = 0_u32;
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        asked = asked.wrapping_add(1);
        let end = buffer[12..length].iter().position(|octet| *octet == 0).map_or(length, |end| 12 + end + 5);
        // Two hundred queries are let fall from time to time.
        if end > length || asked % 5000 < 200 {
            continue;
        }
        let mut answer = buffer[..end].to_vec();
        answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
        let _ = socket.send_to(&answer, client).await;
    }
}
