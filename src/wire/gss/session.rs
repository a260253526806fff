//! A context with one server, from its negotiation to its end.

use std::fmt;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

use super::credential::{Credential, Ready};
use super::error::{GssError, SendError, SignError, Step, TkeyRefusal};
use super::library::{self, Context, Gss, Name, NameKind};
use super::signature::{self, GssResponseError, GssVerifier};
use super::tkey;
use crate::wire::connection::Connection;
use crate::zones::DnsName;

/// The most messages to a negotiation. Kerberos needs one.
const ROUNDS: usize = 8;

/// A server, and who is a client there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Where it listens, TCP.
    pub address: SocketAddr,
    /// The host that its Kerberos service `DNS@host` is named after: mostly the MNAME of the zone's SOA.
    pub host: DnsName,
    /// Who the client is.
    pub credential: Credential,
}

impl Peer {
    fn service(&self) -> String {
        format!("DNS@{}", self.host)
    }
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The response; without its TSIG record, if that was right.
    pub message: Vec<u8>,
    /// Whether the server has signed it. If not, it may be anybody's: what the server did is unknown.
    pub signature: Result<(), GssResponseError>,
}

/// A context with a server and a connection to it, which is kept open for many messages.
pub struct Session {
    context: Context,
    /// The name of the key that the context is, in wire format.
    owner: Vec<u8>,
    ends: u64,
    connection: Connection,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ends, connection, .. } = self;
        f.debug_struct("Session").field("server", &connection.server()).field("ends", ends).finish()
    }
}

impl Session {
    /// Gets a ticket and negotiates a context, all within `limit`. `now` is in seconds since 1970.
    ///
    /// The server has to prove itself. RFC 3645 section 4.1.3 also wants the last answer to be signed; when it
    /// is, the signature has to be right. Servers that leave it out are taken, because the ticket has proved
    /// them already.
    ///
    /// # Errors
    /// Why there is no context.
    pub async fn negotiate(peer: &Peer, now: u64, limit: Duration) -> Result<Self, GssError> {
        let deadline = Instant::now() + limit;
        let server = peer.address;
        let owner = owner(&peer.host);
        let begun = peer.clone();
        let (mut negotiation, mut step) =
            on_thread(deadline, limit, move || Negotiation::begin(begun)).await?;
        let mut connection = Connection::new(server);
        let mut lifetime = None;
        for _ in 0..ROUNDS {
            let was_complete = step.complete.is_some();
            let query = tkey::query(fastrand::u16(..), &owner, &step.token, now);
            let left = deadline.saturating_duration_since(Instant::now());
            let mut message = connection.exchange(&query, left).await?;
            let response =
                tkey::response(&query, &owner, &message).map_err(|_| GssError::Malformed(server))?;
            lifetime = response.lifetime.or(lifetime);
            let refused = (response.error != 0).then(|| TkeyRefusal::new(response.error));
            if !(was_complete || refused.is_some() && response.token.is_empty()) {
                // The token of a server that refuses may say why.
                let token = response.token;
                (negotiation, step) = on_thread(deadline, limit, move || negotiation.step(&token)).await?;
            }
            if let Some(refusal) = refused {
                return Err(GssError::Refused(server, refusal));
            }
            let Some(seconds) = step.complete.filter(|_| was_complete || step.token.is_empty()) else {
                continue;
            };
            let Negotiation { mut context, .. } = negotiation;
            let signature =
                signature::verify(&owner, None, &mut message, now, |octets, mac| context.verify(octets, mac));
            match signature {
                Ok(()) | Err(GssResponseError::Unsigned) => {}
                Err(time @ GssResponseError::Time { .. }) => {
                    return Err(GssError::ClockSkew(time.to_string()));
                }
                Err(error) => return Err(GssError::Signature(server, error)),
            }
            let seconds = lifetime.unwrap_or(u32::MAX).min(seconds);
            return Ok(Self { context, owner, ends: now.saturating_add(seconds.into()), connection });
        }
        Err(GssError::Malformed(server))
    }

    /// When the context ends, in seconds since 1970: the ticket, or the time that the server gave it.
    /// Negotiate a new one some minutes before. The server may forget it earlier, and then answers BADKEY.
    #[must_use]
    pub const fn ends(&self) -> u64 {
        self.ends
    }

    /// Signs a request: adds its TSIG record. `now` is in seconds since 1970. The result knows the response.
    ///
    /// # Errors
    /// When the context has ended.
    pub fn sign(&mut self, message: &mut Vec<u8>, now: u64) -> Result<GssVerifier, SignError> {
        signature::sign(&self.owner, message, now, |octets| self.context.sign(octets))
            .map_err(|failure| SignError(failure.text))
    }

    /// Checks the response to a signed request, and takes its TSIG off.
    ///
    /// # Errors
    /// Why the response proves nothing. It is left as it is.
    pub fn verify(
        &mut self,
        request: &GssVerifier,
        response: &mut Vec<u8>,
        now: u64,
    ) -> Result<(), GssResponseError> {
        let context = &mut self.context;
        signature::verify(&self.owner, Some(request), response, now, |octets, mac| {
            context.verify(octets, mac)
        })
    }

    /// Signs a request, sends it over the session's connection and checks the response, within `limit`.
    ///
    /// Nothing is sent twice. A message with its TSIG record, of some 120 octets and the host's name, has
    /// at most 65,535.
    ///
    /// # Errors
    /// Why there is no response; [`SendError::may_be_seen`] tells whether the server may have acted.
    pub async fn send(
        &mut self,
        mut message: Vec<u8>,
        now: u64,
        limit: Duration,
    ) -> Result<Reply, SendError> {
        let verifier = self.sign(&mut message, now)?;
        let mut response = self.connection.exchange(&message, limit).await?;
        let signature = self.verify(&verifier, &mut response, now);
        Ok(Reply { message: response, signature })
    }
}

/// A new name for a key, below the host's, which all servers take.
fn owner(host: &DnsName) -> Vec<u8> {
    let label = format!("{}", fastrand::u32(..));
    // A host's name can be too long for that; the label alone is as good.
    host.prepend(&label)
        .map_or_else(|_| [&[label.len() as u8], label.as_bytes(), &[0]].concat(), |name| name.to_wire())
}

/// A context before it is one.
struct Negotiation {
    context: Context,
    credential: Ready,
    name: Name,
    peer: Peer,
}

impl Negotiation {
    fn begin(peer: Peer) -> Result<(Self, library::Step), GssError> {
        let gss = Gss::load().map_err(GssError::Library)?;
        let credential = peer.credential.open(gss)?;
        let service = peer.service();
        let name = gss
            .name(&service, NameKind::Service)
            .map_err(|failure| GssError::of(failure, &peer.credential, Step::Context(&service)))?;
        Self { context: Context::new(gss), credential, name, peer }.advance(None)
    }

    fn step(self, token: &[u8]) -> Result<(Self, library::Step), GssError> {
        self.advance(Some(token))
    }

    fn advance(mut self, token: Option<&[u8]>) -> Result<(Self, library::Step), GssError> {
        let step = self.context.step(&self.credential.credential, &self.name, token);
        let step = step.map_err(|failure| {
            GssError::of(failure, &self.peer.credential, Step::Context(&self.peer.service()))
        })?;
        if step.token.len() > tkey::LONGEST_TOKEN {
            return Err(GssError::Kerberos(format!("its ticket has {} octets", step.token.len())));
        }
        Ok((self, step))
    }
}

/// Runs a call of Kerberos, which may wait for a KDC for minutes and cannot be interrupted, and waits for it
/// until the deadline.
///
/// Each on a thread of its own and not on one of the runtime's, whose end would wait for all of them. A call
/// that nobody waits for any more goes on; at most eight are under way, and further ones wait for these.
async fn on_thread<T: Send + 'static>(
    deadline: Instant,
    limit: Duration,
    work: impl FnOnce() -> Result<T, GssError> + Send + 'static,
) -> Result<T, GssError> {
    static RUNNING: Semaphore = Semaphore::const_new(8);
    let failed = |error: &dyn fmt::Display| GssError::Kerberos(format!("its thread failed: {error}"));
    let run = async {
        let permit = RUNNING.acquire().await.map_err(|error| failed(&error))?;
        let (sender, receiver) = oneshot::channel();
        let thread = thread::Builder::new().name("kerberos".to_owned()).spawn(move || {
            let result = work();
            drop(permit);
            // Nobody may wait for it any more.
            let _ = sender.send(result);
        });
        thread.map_err(|error| failed(&error))?;
        receiver.await.map_err(|error| failed(&error))?
    };
    timeout_at(deadline, run).await.unwrap_or(Err(GssError::TimeLimit(limit)))
}
