//! Public DNS, played by a small server: names with aliases and addresses, and manners that can be
//! made bad. Who wants recursion gets the whole chain, as from a resolver; who does not gets the
//! answer of an authoritative server of all names, root included.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, NS, SOA};
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
    /// Answers over UDP in lower case, as some old servers do.
    LowerCase,
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
    ttl: AtomicU32,
    link_by_link: AtomicBool,
}

/// The root's name server, for who starts there.
pub(crate) const ROOT_SERVER: &str = "root.test";
const ROOT_TTL: u32 = 3600;

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
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        loop {
            // Somebody may have the same port over UDP.
            if let Some(server) = Self::start_at(any).await {
                return server;
            }
        }
    }

    /// A server at this address, unless somebody else has it.
    pub(crate) async fn start_at(address: SocketAddr) -> Option<Self> {
        let tcp = TcpListener::bind(address).await.ok()?;
        let address = tcp.local_addr().expect("an address");
        let udp = Arc::new(UdpSocket::bind(address).await.ok()?);
        let world = Arc::new(World {
            records: Mutex::default(),
            manners: Mutex::new(Manners::Good),
            delay: Mutex::default(),
            asked: AtomicUsize::new(0),
            ttl: AtomicU32::new(60),
            link_by_link: AtomicBool::new(false),
        });
        let tasks =
            vec![tokio::spawn(over_udp(udp, world.clone())), tokio::spawn(over_tcp(tcp, world.clone()))];
        let server = Self { address, world, tasks };
        let IpAddr::V4(ip) = address.ip() else { unreachable!("tests use IPv4") };
        server.host(ROOT_SERVER, ip.octets());
        Some(server)
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

    /// The TTL of everything from now on, in seconds.
    pub(crate) fn set_ttl(&self, ttl: u32) {
        self.world.ttl.store(ttl, Ordering::SeqCst);
    }

    /// Whether the authoritative answer ends with the first alias, as when every name is in a zone of
    /// its own; otherwise it has the whole chain, as from one zone.
    pub(crate) fn link_by_link(&self, yes: bool) {
        self.world.link_by_link.store(yes, Ordering::SeqCst);
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
                Manners::LowerCase => response[12..query.len() - 11].make_ascii_lowercase(),
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
                if matches!(manners, Manners::Good | Manners::Truncates | Manners::LowerCase | Manners::Fails)
                {
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

    fn answer(&self, query: &[u8]) -> Option<Vec<u8>> {
        let query = Message::from_vec(query).ok()?;
        let question = query.queries.first()?.clone();
        let authoritative = !query.metadata.recursion_desired;
        let mut response = query.clone();
        response.metadata.message_type = MessageType::Response;
        response.metadata.recursion_available = !authoritative;
        response.metadata.authoritative = authoritative;
        response.additionals.clear();
        if self.mood().0 == Manners::Fails {
            response.metadata.response_code = ResponseCode::ServFail;
            return response.to_vec().ok();
        }
        let records = self.records.lock().expect("nobody panicked").clone();
        let ttl = self.ttl.load(Ordering::SeqCst);
        let mut here = question.name().to_ascii().to_lowercase().trim_end_matches('.').to_owned();
        if here.is_empty() && question.query_type() == RecordType::NS {
            let ns = RData::NS(NS(name(ROOT_SERVER)));
            response.add_answer(Record::from_rdata(Name::root(), ROOT_TTL, ns));
            if let Some(Data::Address(address)) = records.get(ROOT_SERVER) {
                let glue = Record::from_rdata(name(ROOT_SERVER), ROOT_TTL, RData::A(A(*address)));
                response.add_additional(glue);
            }
            return response.to_vec().ok();
        }
        let mut owner = question.name().clone();
        let mut found = false;
        while let Some(data) = records.get(&here) {
            found = true;
            match data {
                Data::Alias(target) => {
                    let alias = RData::CNAME(CNAME(name(target)));
                    response.add_answer(Record::from_rdata(owner, ttl, alias));
                    if authoritative && self.link_by_link.load(Ordering::SeqCst) {
                        return response.to_vec().ok();
                    }
                    (owner, here) = (name(target), target.clone());
                }
                Data::Address(address) => {
                    if question.query_type() == RecordType::A {
                        response.add_answer(Record::from_rdata(owner.clone(), ttl, RData::A(A(*address))));
                    }
                    break;
                }
            }
        }
        // A name above others exists, without records.
        let above = |name: &str| name.ends_with(&format!(".{here}"));
        if !(here.is_empty() || records.contains_key(&here) || records.keys().any(|name| above(name))) {
            response.metadata.response_code = ResponseCode::NXDomain;
        }
        if !found || question.query_type() != RecordType::A || !records.contains_key(&here) {
            let soa = SOA::new(name("ns.test"), name("hostmaster.test"), 1, 60, 60, 60, ttl);
            response.add_authority(Record::from_rdata(name(registered(&here)), ttl, RData::SOA(soa)));
        }
        response.to_vec().ok()
    }
}

fn name(text: &str) -> Name {
    Name::from_str(&format!("{text}.")).expect("a name")
}

/// The registered domain of a name, where its zone begins: the last two labels. A resolver does not
/// believe a denial from a zone above the one that it asked for.
fn registered(name: &str) -> &str {
    name.rmatch_indices('.').nth(1).map_or(name, |(dot, _)| &name[dot + 1..])
}
