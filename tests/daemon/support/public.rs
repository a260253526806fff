//! Public DNS, played by a small server: names with aliases and addresses, and manners that can be
//! made bad.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

/// How the server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manners {
    /// As it should.
    Good,
    /// Says nothing.
    Silent,
    /// Answers with another id first, and never rightly.
    WrongId,
    /// Answers another question.
    WrongQuestion,
    /// From another port.
    WrongSource,
    /// Octets without sense.
    Garbage,
    /// A right header and question, and nonsense behind it.
    Nonsense,
    /// Says over UDP that the answer does not fit.
    Truncates,
    /// SERVFAIL.
    Fails,
}

/// The server; ends when dropped.
pub(crate) struct PublicDns {
    pub(crate) address: SocketAddr,
    world: Arc<World>,
    tasks: Vec<JoinHandle<()>>,
}

struct World {
    records: Mutex<BTreeMap<String, Data>>,
    manners: Mutex<Manners>,
    delay: Mutex<Duration>,
    asked: AtomicUsize,
}

#[derive(Debug, Clone)]
enum Data {
    Alias(String),
    Address(Ipv4Addr),
}

impl Drop for PublicDns {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl PublicDns {
    pub(crate) async fn start() -> Self {
        let world = Arc::new(World {
            records: Mutex::default(),
            manners: Mutex::new(Manners::Good),
            delay: Mutex::default(),
            asked: AtomicUsize::new(0),
        });
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
            // Somebody may have the same port over UDP.
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().expect("an address")).await {
                break (Arc::new(udp), tcp);
            }
        };
        let address = udp.local_addr().expect("an address");
        let tasks =
            vec![tokio::spawn(over_udp(udp, world.clone())), tokio::spawn(over_tcp(tcp, world.clone()))];
        Self { address, world, tasks }
    }

    /// `owner CNAME target`.
    pub(crate) fn alias(&self, owner: &str, target: &str) {
        self.records().insert(owner.to_owned(), Data::Alias(target.to_owned()));
    }

    /// `owner A address`.
    pub(crate) fn host(&self, owner: &str, address: [u8; 4]) {
        self.records().insert(owner.to_owned(), Data::Address(address.into()));
    }

    /// A name of a private link resource as Azure publishes it: an alias to its privatelink name,
    /// which leads to a public address.
    pub(crate) fn private_link(&self, public: &str, address: [u8; 4]) {
        let (label, suffix) = public.split_once('.').expect("labels");
        let private = format!("{label}.privatelink.{suffix}");
        self.alias(public, &private);
        self.alias(&private, &format!("{label}.front.cloudapp.test"));
        self.host(&format!("{label}.front.cloudapp.test"), address);
    }

    pub(crate) fn behave(&self, manners: Manners) {
        *self.world.manners.lock().expect("nobody panicked") = manners;
    }

    pub(crate) fn think_for(&self, delay: Duration) {
        *self.world.delay.lock().expect("nobody panicked") = delay;
    }

    /// Queries so far.
    pub(crate) fn asked(&self) -> usize {
        self.world.asked.load(Ordering::SeqCst)
    }

    fn records(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Data>> {
        self.world.records.lock().expect("nobody panicked")
    }
}

async fn over_udp(socket: Arc<UdpSocket>, world: Arc<World>) {
    let mut buffer = [0; 4096];
    loop {
        let (length, client) = socket.recv_from(&mut buffer).await.expect("a datagram");
        let (socket, world, query) = (socket.clone(), world.clone(), buffer[..length].to_vec());
        tokio::spawn(async move {
            world.asked.fetch_add(1, Ordering::SeqCst);
            let (manners, delay) = world.mood();
            tokio::time::sleep(delay).await;
            let Some(mut response) = world.answer(&query) else { return };
            match manners {
                Manners::Good | Manners::Fails => {}
                Manners::Silent => return,
                Manners::WrongId => response[0] ^= 0xff,
                Manners::WrongQuestion => response[13] ^= 0x01,
                Manners::Garbage => response = vec![0xff; 7],
                Manners::Nonsense => {
                    // An answer is announced, and what follows is none.
                    response[7] = 1;
                    response.truncate(12);
                    response.extend_from_slice(&query[12..query.len() - 11]);
                    response.extend_from_slice(&[0xc0, 0xff, 0xff]);
                }
                Manners::Truncates => {
                    response.truncate(12);
                    response.extend_from_slice(&query[12..query.len() - 11]);
                    response[2] |= 0x02;
                    response[6..12].fill(0);
                }
                Manners::WrongSource => {
                    let other = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
                    other.send_to(&response, client).await.expect("sent");
                    return;
                }
            }
            let _ = socket.send_to(&response, client).await;
        });
    }
}

async fn over_tcp(listener: TcpListener, world: Arc<World>) {
    loop {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let world = world.clone();
        tokio::spawn(async move {
            while let Ok(length) = stream.read_u16().await {
                let mut query = vec![0; length.into()];
                if stream.read_exact(&mut query).await.is_err() {
                    return;
                }
                world.asked.fetch_add(1, Ordering::SeqCst);
                let (manners, delay) = world.mood();
                tokio::time::sleep(delay).await;
                let Some(response) = world.answer(&query) else { return };
                if matches!(manners, Manners::Good | Manners::Truncates | Manners::Fails) {
                    let _ = stream.write_u16(response.len() as u16).await;
                    let _ = stream.write_all(&response).await;
                }
            }
        });
    }
}

impl World {
    fn mood(&self) -> (Manners, Duration) {
        (*self.manners.lock().expect("nobody panicked"), *self.delay.lock().expect("nobody panicked"))
    }

    /// The whole chain, as a resolver gives it.
    fn answer(&self, query: &[u8]) -> Option<Vec<u8>> {
        let query = Message::from_vec(query).ok()?;
        let question = query.queries.first()?.clone();
        let mut response = query.clone();
        response.metadata.message_type = MessageType::Response;
        response.metadata.recursion_available = true;
        response.additionals.clear();
        if self.mood().0 == Manners::Fails {
            response.metadata.response_code = ResponseCode::ServFail;
            return response.to_vec().ok();
        }
        let records = self.records.lock().expect("nobody panicked").clone();
        let mut here = question.name().to_ascii().to_lowercase().trim_end_matches('.').to_owned();
        let name = |text: &str| Name::from_str(&format!("{text}.")).expect("a name");
        let mut owner = question.name().clone();
        let mut found = false;
        while let Some(data) = records.get(&here) {
            found = true;
            match data {
                Data::Alias(target) => {
                    let alias = RData::CNAME(CNAME(name(target)));
                    response.add_answer(Record::from_rdata(owner, 60, alias));
                    (owner, here) = (name(target), target.clone());
                }
                Data::Address(address) => {
                    if question.query_type() == RecordType::A {
                        response.add_answer(Record::from_rdata(owner.clone(), 60, RData::A(A(*address))));
                    }
                    break;
                }
            }
        }
        if !records.contains_key(&here) {
            response.metadata.response_code = ResponseCode::NXDomain;
        }
        if !found || question.query_type() != RecordType::A || !records.contains_key(&here) {
            let soa = SOA::new(name("ns.test"), name("hostmaster.test"), 1, 60, 60, 60, 60);
            response.add_authority(Record::from_rdata(Name::root(), 60, RData::SOA(soa)));
        }
        response.to_vec().ok()
    }
}
