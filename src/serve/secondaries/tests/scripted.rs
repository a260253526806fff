//! A secondary that does what it is told, on sockets of this machine.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Serial, Ttl};
use domain::rdata::Soa;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long anything may take before a test fails.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// A message that came.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) tcp: bool,
    /// Who sent it.
    pub(super) from: SocketAddr,
    pub(super) octets: Vec<u8>,
}

impl Request {
    pub(super) fn message(&self) -> Message<&[u8]> {
        Message::from_octets(&*self.octets).expect("a message")
    }

    pub(super) fn is_notify(&self) -> bool {
        self.message().header().opcode() == domain::base::iana::Opcode::NOTIFY
    }

    /// The zone that it is about.
    pub(super) fn zone(&self) -> String {
        self.message().sole_question().expect("a question").qname().to_string()
    }
}

/// What it does with a message.
pub(super) enum Reply {
    /// Sends these.
    Say(Vec<Vec<u8>>),
    Nothing,
    /// Ends the connection; over UDP nothing.
    Reset,
}

type Script = Arc<Mutex<Box<dyn FnMut(&Request) -> Reply + Send>>>;

pub(super) struct Scripted {
    pub(super) address: SocketAddr,
    script: Script,
    requests: mpsc::UnboundedReceiver<Request>,
    _tasks: JoinSet<()>,
}

impl Scripted {
    pub(super) async fn start(script: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().expect("an address");
        let script: Script = Arc::new(Mutex::new(Box::new(script)));
        let (sender, requests) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let (ours, seen) = (script.clone(), sender.clone());
        tasks.spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                let Ok((length, client)) = udp.recv_from(&mut buffer).await else { continue };
                let request = Request { tcp: false, from: client, octets: buffer[..length].to_vec() };
                let reply = (ours.lock().expect("no panic"))(&request);
                let _ = seen.send(request);
                if let Reply::Say(messages) = reply {
                    for message in messages {
                        udp.send_to(&message, client).await.expect("sent");
                    }
                }
            }
        });
        let ours = script.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = tcp.accept().await {
                connections.spawn(connection(stream, ours.clone(), sender.clone()));
            }
        });
        Self { address, script, requests, _tasks: tasks }
    }

    /// Does something else from now on.
    pub(super) fn become_like(&self, script: impl FnMut(&Request) -> Reply + Send + 'static) {
        *self.script.lock().expect("no panic") = Box::new(script);
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> Request {
        timeout(DEADLINE, self.requests.recv()).await.expect("a message comes").expect("it runs")
    }

    /// Forgets the messages so far; gives how many there were.
    pub(super) fn requests_so_far(&mut self) -> usize {
        std::iter::from_fn(|| self.requests.try_recv().ok()).count()
    }

    /// The next message that is meant.
    pub(super) async fn wait(&mut self, is_meant: impl Fn(&Request) -> bool) -> Request {
        loop {
            let request = self.next().await;
            if is_meant(&request) {
                return request;
            }
        }
    }
}

async fn connection(mut stream: TcpStream, script: Script, seen: mpsc::UnboundedSender<Request>) {
    let Ok(length) = stream.read_u16().await else { return };
    let mut octets = vec![0; usize::from(length)];
    if stream.read_exact(&mut octets).await.is_err() {
        return;
    }
    let from = stream.peer_addr().expect("a client");
    let request = Request { tcp: true, from, octets };
    let reply = (script.lock().expect("no panic"))(&request);
    let _ = seen.send(request);
    match reply {
        Reply::Say(messages) => {
            for message in messages {
                let length = u16::try_from(message.len()).expect("short").to_be_bytes();
                let _ = stream.write_all(&[&length[..], &message].concat()).await;
            }
        }
        Reply::Nothing => std::future::pending().await,
        Reply::Reset => {
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("an option");
        }
    }
}

/// A port that is free for both.
async fn sockets() -> (UdpSocket, TcpListener) {
    for _ in 0..32 {
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().expect("an address")).await {
            return (udp, tcp);
        }
    }
    panic!("no port is free for UDP and TCP");
}

/// A response with an RCODE and, when it has the zone, its SOA.
pub(super) fn response(request: &Request, rcode: Rcode, serial: Option<u32>) -> Vec<u8> {
    let message = request.message();
    let mut answer = MessageBuilder::new_vec().start_answer(&message, rcode).expect("room");
    answer.header_mut().set_opcode(message.header().opcode());
    if let Some(serial) = serial {
        answer.header_mut().set_aa(true);
        let zone = message.sole_question().expect("a question").into_qname();
        let time = Ttl::from_secs(1);
        let soa = Soa::new(&zone, &zone, Serial(serial), time, time, time, time);
        answer.push((&zone, 60, soa)).expect("room");
    }
    answer.finish()
}

/// Acknowledges everything, and has every zone with this serial.
pub(super) fn well(serial: u32) -> impl FnMut(&Request) -> Reply + Send + 'static {
    move |request| {
        let serial = Some(serial).filter(|_| !request.is_notify());
        Reply::Say(vec![response(request, Rcode::NOERROR, serial)])
    }
}

/// Answers everything with an RCODE.
pub(super) fn refusing(rcode: Rcode) -> impl FnMut(&Request) -> Reply + Send + 'static {
    move |request| Reply::Say(vec![response(request, rcode, None)])
}
