//! A conversation with one server: queries and updates on one kept connection, signed where there is a
//! key.
//!
//! A connection is kept for one run and no longer. On one that the server has closed meanwhile an update
//! would be neither done nor not done.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::Message;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::wire::exchange::{self, Mismatch, check};
use crate::wire::gss;
use crate::wire::tsig::{Key, ResponseError, Verifier, sign_request};
use crate::wire::update::{self, Reply};
use crate::zones::DnsName;

/// How long a connection may take, and how long a server may say nothing.
const CONNECT: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(10);

/// How long a Kerberos context may take, and how long before its end it is used no more, in seconds.
const NEGOTIATION: Duration = Duration::from_secs(15);
const MARGIN: u64 = 60;

/// Queries that are under way on a connection.
const WINDOW: usize = 32;

/// The longest update that goes in a datagram: what passes every path unfragmented.
const DATAGRAM: usize = 1232;

const TYPE_AXFR: u16 = 252;

/// The most octets of one transfer: zones of a million records.
const TRANSFER: usize = 64 << 20;

/// Who is talked to, and how.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) key: Option<Arc<Key>>,
    /// Signs updates in its place; queries need no signature then.
    pub(super) kerberos: Option<gss::Credential>,
    pub(super) udp: bool,
}

/// Why a server could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TalkError {
    #[error("cannot reach {0} over TCP: {1}")]
    Unreachable(SocketAddr, io::Error),
    #[error("{0} does not answer")]
    Silent(SocketAddr),
    #[error("the connection with {0} broke: {1}")]
    Broken(SocketAddr, io::Error),
    #[error("an answer of {0} is not accepted: {1}{hint}", hint = remedy(.1))]
    Signature(SocketAddr, ResponseError),
    #[error("an answer of {0} cannot be read")]
    Malformed(SocketAddr),
    #[error("the system has no random numbers")]
    Random,
}

fn remedy(error: &ResponseError) -> &'static str {
    if let ResponseError::Refused(refusal) = error { update::remedy(*refusal) } else { "" }
}

/// A connection with a server.
pub(super) struct Talk {
    peer: Peer,
    stream: TcpStream,
    id: u16,
    /// The Kerberos context, with the host that it is for.
    context: Option<(DnsName, gss::Session)>,
}

/// A query that is under way.
struct Asked {
    index: usize,
    request: Vec<u8>,
    verifier: Option<Verifier>,
}

impl Talk {
    pub(super) async fn open(peer: &Peer) -> Result<Self, TalkError> {
        let mut id = fastrand::u16(..);
        if peer.udp {
            // Nobody else can write into a connection, but anybody can send a datagram.
            let mut random = [0; 2];
            aws_lc_rs::rand::fill(&mut random).map_err(|_| TalkError::Random)?;
            id = u16::from_be_bytes(random);
        }
        let address = peer.address;
        let stream = match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(TalkError::Unreachable(address, error)),
            Err(_) => return Err(TalkError::Unreachable(address, io::ErrorKind::TimedOut.into())),
        };
        stream.set_nodelay(true).map_err(|error| TalkError::Broken(address, error))?;
        Ok(Self { peer: peer.clone(), stream, id, context: None })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.peer.address
    }

    fn next_id(&mut self) -> [u8; 2] {
        self.id = self.id.wrapping_add(1);
        self.id.to_be_bytes()
    }

    /// Asks for records of one type at many names; the answers come in the order of the names.
    pub(super) async fn ask(&mut self, names: &[DnsName], kind: u16) -> Result<Vec<Message>, TalkError> {
        let address = self.peer.address;
        let mut answers: Vec<Option<Message>> = vec![None; names.len()];
        let mut under_way = HashMap::<[u8; 2], Asked>::new();
        let mut waiting: VecDeque<usize> = (0..names.len()).collect();
        while !(waiting.is_empty() && under_way.is_empty()) {
            let mut frames = Vec::new();
            // Half a window at a time, so that frames go out together.
            while under_way.len() < WINDOW && (under_way.len() <= WINDOW / 2 || !frames.is_empty()) {
                let Some((index, name)) = waiting.pop_front().and_then(|i| Some((i, names.get(i)?))) else {
                    break;
                };
                let id = self.next_id();
                let mut request = question(id, name, kind);
                let verifier = self.sign(&mut request);
                frame(&mut frames, &request);
                under_way.insert(id, Asked { index, request, verifier });
            }
            self.write(&frames).await?;
            let mut response = self.read().await?;
            let id = response.first_chunk::<2>().copied().unwrap_or_default();
            let Some(mut asked) = under_way.remove(&id) else { return Err(TalkError::Malformed(address)) };
            match check(&asked.request, &response) {
                Ok(()) | Err(Mismatch::Case) => {}
                Err(_) => return Err(TalkError::Malformed(address)),
            }
            verify(asked.verifier.as_mut(), &mut response)
                .map_err(|error| TalkError::Signature(address, error))?;
            let message = Message::from_vec(&response).map_err(|_| TalkError::Malformed(address))?;
            if let Some(answer) = answers.get_mut(asked.index) {
                *answer = Some(message);
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// Sends an update to a server that Kerberos knows as `host`. Whatever is not known for sure is
    /// [`Reply::Unknown`].
    pub(super) async fn update(&mut self, octets: &[u8], host: &str) -> Reply {
        let mut request = octets.to_vec();
        let id = self.next_id();
        if let Some(field) = request.get_mut(..2) {
            field.copy_from_slice(&id);
        }
        if let Some(credential) = self.peer.kerberos.clone() {
            return self.update_by_kerberos(request, host, credential).await;
        }
        let mut verifier = self.sign(&mut request);
        if self.peer.udp && request.len() <= DATAGRAM {
            return update_by_datagram(self.peer.address, &request, verifier).await;
        }
        let mut frames = Vec::new();
        frame(&mut frames, &request);
        let response = match self.write(&frames).await {
            Ok(()) => self.read().await,
            Err(error) => Err(error),
        };
        match response {
            Ok(mut response) => {
                let verified = verify(verifier.as_mut(), &mut response);
                update::reply(&request, &response, verified.map_err(Into::into))
            }
            Err(error) => Reply::Unknown { why: error.to_string(), answered: false },
        }
    }

    async fn update_by_kerberos(
        &mut self,
        request: Vec<u8>,
        host: &str,
        credential: gss::Credential,
    ) -> Reply {
        // Nothing was sent yet.
        let unsent = |problem: String| Reply::Refused { code: 9, problem };
        let Ok(host) = host.parse::<DnsName>() else {
            return unsent(format!(
                "the zone's SOA names {host:?} as primary, which is no host; set service"
            ));
        };
        let address = self.peer.address;
        let context =
            self.context.take().filter(|(of, session)| *of == host && session.ends() > seconds() + MARGIN);
        let mut session = match context {
            Some((_, session)) => session,
            None => {
                let peer = gss::Peer { address, host: host.clone(), credential };
                match gss::Session::negotiate(&peer, seconds(), NEGOTIATION).await {
                    Ok(session) => session,
                    Err(error) => return unsent(error.to_string()),
                }
            }
        };
        match session.send(request.clone(), seconds(), SILENCE).await {
            Ok(gss::Reply { message, signature }) => {
                let reply = update::reply(&request, &message, signature.map_err(Into::into));
                // A context that was forgotten, as after a restart, is negotiated anew.
                if !matches!(signature, Err(gss::GssResponseError::Refused(_))) {
                    self.context = Some((host, session));
                }
                reply
            }
            Err(error) if error.may_be_seen() => {
                Reply::Unknown { why: format!("{address}: {error}"), answered: false }
            }
            Err(error) => unsent(error.to_string()),
        }
    }

    /// Transfers a zone; gives its messages, or why the server does not let us.
    pub(super) async fn transfer(
        &mut self,
        zone: &DnsName,
    ) -> Result<Result<Vec<Message>, String>, TalkError> {
        let address = self.peer.address;
        let id = self.next_id();
        let mut request = question(id, zone, TYPE_AXFR);
        let mut verifier = self.sign(&mut request);
        let mut frames = Vec::new();
        frame(&mut frames, &request);
        self.write(&frames).await?;
        let (mut messages, mut soas, mut octets) = (Vec::new(), 0, 0);
        while soas < 2 {
            let mut response = self.read().await?;
            octets += response.len();
            if response.get(..2) != Some(&id) || octets > TRANSFER {
                return Err(TalkError::Malformed(address));
            }
            let code = response.get(3).map_or(0, |flags| flags & 0x0f);
            if code != 0 {
                return Ok(Err(update::mnemonic(code)));
            }
            verify(verifier.as_mut(), &mut response).map_err(|error| TalkError::Signature(address, error))?;
            let message = Message::from_vec(&response).map_err(|_| TalkError::Malformed(address))?;
            let is_soa = |record: &&hickory_proto::rr::Record| u16::from(record.record_type()) == 6;
            soas += message.answers.iter().filter(is_soa).count();
            if message.answers.is_empty() {
                return Ok(Err("it sent nothing".to_owned()));
            }
            messages.push(message);
        }
        if let Some(verifier) = verifier {
            verifier.finish().map_err(|error| TalkError::Signature(address, error))?;
        }
        Ok(Ok(messages))
    }

    fn sign(&self, request: &mut Vec<u8>) -> Option<Verifier> {
        self.peer.key.as_ref().map(|key| sign_request(key, request, seconds()))
    }

    async fn write(&mut self, frames: &[u8]) -> Result<(), TalkError> {
        let address = self.peer.address;
        match timeout(SILENCE, self.stream.write_all(frames)).await {
            Ok(result) => result.map_err(|error| TalkError::Broken(address, error)),
            Err(_) => Err(TalkError::Silent(address)),
        }
    }

    async fn read(&mut self) -> Result<Vec<u8>, TalkError> {
        let address = self.peer.address;
        let stream = &mut self.stream;
        let read = async {
            let mut message = vec![0; usize::from(stream.read_u16().await?)];
            stream.read_exact(&mut message).await?;
            Ok(message)
        };
        match timeout(SILENCE, read).await {
            Ok(result) => result.map_err(|error| TalkError::Broken(address, error)),
            Err(_) => Err(TalkError::Silent(address)),
        }
    }
}

async fn update_by_datagram(address: SocketAddr, request: &[u8], mut verifier: Option<Verifier>) -> Reply {
    let mut last = None;
    let waiting = exchange::udp_until(None, address, request, |mut response| {
        let verified = verify(verifier.as_mut(), &mut response);
        match update::reply(request, &response, verified.map_err(Into::into)) {
            // Forged or late; the right one may still come.
            Reply::Unknown { why, .. } => {
                last = Some(why);
                None
            }
            reply => Some(reply),
        }
    });
    match timeout(SILENCE, waiting).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => Reply::Unknown { why: error.to_string(), answered: false },
        Err(_) => {
            let why = last.unwrap_or_else(|| TalkError::Silent(address).to_string());
            Reply::Unknown { why, answered: false }
        }
    }
}

fn verify(verifier: Option<&mut Verifier>, response: &mut Vec<u8>) -> Result<(), ResponseError> {
    verifier.map_or(Ok(()), |verifier| verifier.verify(response, seconds()))
}

fn question(id: [u8; 2], name: &DnsName, kind: u16) -> Vec<u8> {
    let mut message = id.to_vec();
    message.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    message.extend(name.to_wire());
    message.extend(kind.to_be_bytes());
    message.extend([0, 1]);
    message
}

fn frame(into: &mut Vec<u8>, message: &[u8]) {
    // At most 65,535 octets: a limit of whoever makes messages.
    into.extend((message.len() as u16).to_be_bytes());
    into.extend_from_slice(message);
}

/// The time that signatures have.
fn seconds() -> u64 {
    Timestamp::now().as_second().try_into().unwrap_or_default()
}
