//! The client that is meant to be served: it asks for its own names, one after the other.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::message::is_right;
use crate::query::query;

/// Where it is; nobody else of a flood is in its network.
const SELF: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 3);

/// Times of answers; what was not answered has none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Times {
    pub(crate) answered: Vec<Duration>,
    pub(crate) lost: usize,
}

impl Times {
    fn add(&mut self, time: Option<Duration>) {
        match time {
            Some(time) => self.answered.push(time),
            None => self.lost += 1,
        }
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        self.answered.extend(&other.answered);
        self.lost += other.lost;
    }

    pub(crate) fn asked(&self) -> usize {
        self.answered.len() + self.lost
    }

    /// The share that was answered within a time.
    pub(crate) fn within(&self, limit: Duration) -> f64 {
        let right = self.answered.iter().filter(|time| **time <= limit).count();
        right as f64 / self.asked().max(1) as f64
    }

    /// A quantile of all that were asked, in milliseconds; without end where it was not answered.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut times = self.answered.clone();
        times.sort_unstable();
        let index = (self.asked() as f64 * share) as usize;
        times.get(index).map_or(f64::INFINITY, |time| time.as_secs_f64() * 1000.0)
    }
}

/// Asks over UDP, so many times a second, until `stop`.
pub(crate) fn udp(server: SocketAddr, names: &[String], rate: u32, stop: &AtomicBool) -> Times {
    let socket = UdpSocket::bind((SELF, 0)).expect("an address");
    socket.connect(server).expect("a server");
    socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a limit");
    let mut times = Times::default();
    paced(rate, stop, |turn| {
        let query = query(&names[turn % names.len()]);
        let (start, mut buffer) = (Instant::now(), [0; 1500]);
        let asked = socket.send(&query).and_then(|_| {
            loop {
                let length = socket.recv(&mut buffer)?;
                // Another id is that of an answer that came too late.
                if buffer[..2] == query[..2] {
                    return Ok(is_right(&query, &buffer[..length]));
                }
            }
        });
        times.add(matches!(asked, Ok(true)).then(|| start.elapsed()));
    });
    times
}

/// Asks over a new connection each time.
pub(crate) fn tcp(server: SocketAddr, names: &[String], rate: u32, stop: &AtomicBool) -> Times {
    let mut times = Times::default();
    paced(rate, stop, |turn| {
        let start = Instant::now();
        let right = once(server, &names[turn % names.len()]);
        times.add(matches!(right, Ok(true)).then(|| start.elapsed()));
    });
    times
}

fn once(server: SocketAddr, name: &str) -> std::io::Result<bool> {
    let limit = Duration::from_secs(1);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((SELF, 0)).into())?;
    socket.connect_timeout(&server.into(), limit)?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(limit))?;
    let query = query(name);
    let mut framed = u16::try_from(query.len()).expect("short").to_be_bytes().to_vec();
    framed.extend(&query);
    stream.write_all(&framed)?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer)?;
    Ok(is_right(&query, &answer))
}

fn paced(rate: u32, stop: &AtomicBool, mut act: impl FnMut(usize)) {
    let pause = Duration::from_secs(1) / rate;
    let mut next = Instant::now();
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        act(turn);
        next = (next + pause).max(Instant::now());
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}
