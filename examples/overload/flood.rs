//! Floods, each from many addresses and of a bounded rate. Nobody reads the answers, as where senders are
//! forged.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::query::query;

/// Sockets that take turns, each with an address of its own, and after how many datagrams one gets another.
const SOCKETS: usize = 512;
const USES: usize = 32;

/// Addresses that hold connections, and how many each tries to hold: its whole share.
const HOLDERS: u8 = 40;
const SHARE: u8 = 64;

/// Connections that are opened a second at most.
const OPENED: u32 = 1000;

/// A kind of flood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flood {
    /// Queries from everywhere in the network, half of it not allowed to ask.
    Spread,
    /// Queries from fifty networks, which are over their limits by far.
    Few,
    /// Datagrams of no octet, of some, and of as many as go into one.
    Sizes,
    /// Connections that say nothing, that say it an octet at a time, and that never read.
    Connections,
}

impl Flood {
    pub(crate) const ALL: [Self; 4] = [Self::Spread, Self::Few, Self::Sizes, Self::Connections];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Spread => "queries from 12 million addresses",
            Self::Few => "queries from 50 networks",
            Self::Sizes => "tiny and giant datagrams",
            Self::Connections => "connections",
        }
    }

    /// Runs until `stop`; counts datagrams or connections.
    pub(crate) fn run(self, server: SocketAddr, name: &str, rate: u32, stop: &AtomicBool, sent: &AtomicU64) {
        // It stands for other machines, and must not take time from the daemon and its client. On Linux this is
        // the priority of the thread.
        let _ = rustix::process::nice(5);
        match self {
            Self::Connections => connections(server, name, stop, sent),
            _ => self.datagrams(server, name, rate, stop, sent),
        }
    }

    /// An address of somebody else.
    fn source(self) -> Ipv4Addr {
        match self {
            Self::Few => Ipv4Addr::new(10, 70, fastrand::u8(..50), fastrand::u8(1..255)),
            // 10.64.0.0/10 may ask, 10.128.0.0/9 may not; the client is in 10.1.
            _ => Ipv4Addr::new(10, fastrand::u8(64..), fastrand::u8(..), fastrand::u8(1..255)),
        }
    }

    fn datagrams(self, server: SocketAddr, name: &str, rate: u32, stop: &AtomicBool, sent: &AtomicU64) {
        let open = || {
            let socket = UdpSocket::bind((self.source(), 0)).expect("an address of this network");
            socket.set_nonblocking(true).expect("does not wait");
            socket.connect(server).expect("a server");
            socket
        };
        let mut sockets: Vec<UdpSocket> = (0..SOCKETS).map(|_| open()).collect();
        let asked = query(name);
        let giant = vec![0xa5; 60_000];
        let (start, mut count) = (Instant::now(), 0_u64);
        while !stop.load(Ordering::Relaxed) {
            let due = (start.elapsed().as_secs_f64() * f64::from(rate)) as u64;
            // What could not be sent in time is not made up for.
            count = count.max(due.saturating_sub(u64::from(rate) / 100));
            while count < due {
                let turn = count as usize;
                let socket = &mut sockets[turn % SOCKETS];
                if turn / SOCKETS % USES == turn % USES {
                    *socket = open();
                }
                let octets = match self {
                    // Few of them are giant: each is worth fifty others.
                    Self::Sizes if turn.is_multiple_of(50) => &giant[..],
                    Self::Sizes => &asked[..turn % 12],
                    _ => &asked,
                };
                if socket.send(octets).is_ok() {
                    sent.fetch_add(1, Ordering::Relaxed);
                }
                count += 1;
            }
            std::thread::sleep(Duration::from_micros(500));
        }
    }
}

/// What a connection does.
#[derive(Clone, Copy)]
enum Manner {
    Silent,
    OctetByOctet,
    NeverReads,
}

fn connections(server: SocketAddr, name: &str, stop: &AtomicBool, opened: &AtomicU64) {
    let mut held: Vec<Option<TcpStream>> =
        (0..usize::from(HOLDERS) * usize::from(SHARE)).map(|_| None).collect();
    let query = query(name);
    let mut framed = u16::try_from(query.len()).expect("short").to_be_bytes().to_vec();
    framed.extend(query);
    let pipeline = framed.repeat(500);
    let mut octet = [0];
    while !stop.load(Ordering::Relaxed) {
        let round = Instant::now();
        let mut new = 0;
        for (index, place) in held.iter_mut().enumerate() {
            let manner = [Manner::Silent, Manner::OctetByOctet, Manner::NeverReads][index % 3];
            if let Some(stream) = place {
                let alive = match manner {
                    Manner::Silent => alive(stream.read(&mut octet)),
                    Manner::OctetByOctet => alive(stream.write(&framed[..1])),
                    Manner::NeverReads => alive(stream.write(&pipeline)),
                };
                if !alive {
                    *place = None;
                }
            } else if new < OPENED / 10 {
                new += 1;
                let from = Ipv4Addr::new(10, 66, 0, 1 + (index % usize::from(HOLDERS)) as u8);
                *place = connect(from, server);
                opened.fetch_add(u64::from(place.is_some()), Ordering::Relaxed);
            }
        }
        std::thread::sleep(Duration::from_millis(100).saturating_sub(round.elapsed()));
    }
}

/// Whether a connection is still there, by what came of using it.
fn alive(used: std::io::Result<usize>) -> bool {
    match used {
        Ok(octets) => octets > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

fn connect(from: Ipv4Addr, server: SocketAddr) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    socket.bind(&SocketAddr::from((from, 0)).into()).ok()?;
    socket.connect_timeout(&server.into(), Duration::from_millis(200)).ok()?;
    socket.set_nonblocking(true).ok()?;
    Some(socket.into())
}
