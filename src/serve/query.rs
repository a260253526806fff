//! From a query to what a listener does with it: the same for datagrams, streams and HTTPS.
//!
//! Almost every query is answered at once from the image. The few that take more, because they are
//! signed, because public DNS has to be asked or because a zone is transferred, leave here with what
//! it takes.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;

use super::answer::{self, Asker, Outcome, Reply, answer};
use super::counters::{Counters, Transport};
use super::message;
use super::resolver::{Resolver, Waiting};
use super::transfer::{self, Refusal, Transfer};
use super::{Recursion, Serving, Shared};
use crate::wire::tsig::{self, Signer, Verified};
use crate::zones::DnsName;

/// What a listener does with a query.
pub(super) enum Step {
    /// Sends the response that is in the buffer, if there is one.
    Answered(Outcome),
    /// Waits for public DNS.
    Wait(Box<Later>),
    /// Sends the messages of a transfer; over streams only.
    Transfer(Box<Transfer>),
}

/// A query that waits for public DNS.
pub(super) struct Later {
    resolver: Arc<Resolver>,
    _waiting: Waiting,
    query: Vec<u8>,
    signer: Option<Signer>,
}

/// What a query came with.
#[derive(Clone, Copy)]
struct Origin<'a> {
    serving: &'a Serving,
    counters: &'a Counters,
    client: SocketAddr,
    /// What signed it.
    key: Option<&'a DnsName>,
}

/// Takes a query. The response goes into `out`, whose content is replaced.
pub(super) fn take(
    serving: &Serving,
    counters: &Counters,
    client: SocketAddr,
    asker: Asker,
    query: &[u8],
    out: &mut Vec<u8>,
) -> Step {
    let origin = Origin { serving, counters, client, key: None };
    match answer(&serving.image, query, asker, out) {
        Outcome::Signed => signed(origin, asker, query, out),
        outcome => origin.follow(outcome, asker, query, None, out),
    }
}

/// Takes a query whose signature has to be checked first.
fn signed(origin: Origin<'_>, mut asker: Asker, query: &[u8], out: &mut Vec<u8>) -> Step {
    let transfers = &origin.serving.transfers;
    let Verified { message, key, mut signer } = match tsig::verify(&transfers.keys, query, seconds()) {
        Ok(verified) => verified,
        Err(rejected) => {
            origin.counters.tsig_rejected(rejected.reason);
            tracing::debug!(client = %origin.client, key = ?rejected.key, reason = %rejected.reason, "signature");
            rejected.respond(query, out);
            let rcode = match rejected.reason {
                tsig::Reason::Malformed => answer::rcode::FORMERR,
                _ => answer::rcode::NOTAUTH,
            };
            return Step::Answered(Outcome::Answered { rcode, kind: 0, zone: None });
        }
    };
    let origin = Origin { key: Some(key.name()), ..origin };
    if transfers.secondary(origin.client.ip().to_canonical(), origin.key).is_some() {
        (asker.allowed, asker.secondary) = (true, true);
    }
    asker.reserve = reserve(&signer);
    let mut outcome = answer(&origin.serving.image, &message, asker, out);
    if matches!(outcome, Outcome::Forward { .. }) && asker.transport == Transport::Udp {
        // What public DNS says has to leave room for the signature, which is simple over TCP only.
        let truncated = Asker { truncate: true, ..asker };
        outcome = answer(&origin.serving.image, &message, truncated, out);
    }
    if outcome == Outcome::Signed {
        // Nothing is signed twice.
        signer.sign(out, seconds());
        return Step::Answered(Outcome::Ignored);
    }
    origin.follow(outcome, asker, &message, Some(signer), out)
}

impl Origin<'_> {
    /// Does what the outcome asks for.
    fn follow(
        self,
        outcome: Outcome,
        asker: Asker,
        query: &[u8],
        signer: Option<Signer>,
        out: &mut Vec<u8>,
    ) -> Step {
        let outcome = match outcome {
            Outcome::Transfer => match self.transfer(asker, query, signer.clone(), out) {
                Ok(step) => return step,
                Err(outcome) => outcome,
            },
            Outcome::Forward { .. } => match &self.serving.recursion {
                Some(Recursion { resolver, .. }) => {
                    match resolver.cached(&self.serving.image, query, asker, out) {
                        Some(outcome) => outcome,
                        None => match resolver.wait() {
                            Some(waiting) => {
                                let resolver = resolver.clone();
                                return Step::Wait(Box::new(Later {
                                    resolver,
                                    _waiting: waiting,
                                    query: query.to_vec(),
                                    signer,
                                }));
                            }
                            None => Resolver::overloaded(query, asker, out),
                        },
                    }
                }
                None => outcome,
            },
            outcome => outcome,
        };
        if let Some(mut signer) = signer {
            signer.sign(out, seconds());
        }
        Step::Answered(outcome)
    }

    fn transfer(
        self,
        asker: Asker,
        query: &[u8],
        signer: Option<Signer>,
        out: &mut Vec<u8>,
    ) -> Result<Step, Outcome> {
        let begun = transfer::begin(self.serving, query, self.client.ip(), asker.transport, self.key);
        let read = message::read(query).ok();
        let kind = read.and_then(|query| query.question).map_or(0, |question| question.kind);
        match begun {
            Ok(mut transfer) => {
                if let Some(signer) = signer {
                    transfer.sign(signer);
                }
                if asker.transport != Transport::Udp {
                    return Ok(Step::Transfer(Box::new(transfer)));
                }
                let limit = answer::limit(Asker { reserve: 0, ..asker }, read.and_then(|query| query.edns));
                transfer.datagram(limit, out);
                Ok(Step::Answered(Outcome::Answered { rcode: 0, kind, zone: None }))
            }
            Err(Refusal { rcode, ede }) => {
                self.counters.transfers_refused.inc();
                tracing::debug!(client = %self.client, key = ?self.key, rcode, "transfer refused");
                if let Some(read) = read {
                    answer::write(query, read, &Reply::error(rcode, ede), asker, out);
                }
                Err(Outcome::Answered { rcode, kind, zone: None })
            }
        }
    }
}

impl Later {
    /// Waits for public DNS; the response is in `out` then.
    pub(super) async fn run(
        self,
        shared: &Shared,
        client: SocketAddr,
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let reserve = self.signer.as_ref().map_or(0, reserve);
        let outcome = self.resolver.resolve(shared, client, (transport, reserve), &self.query, out).await;
        if let Some(mut signer) = self.signer {
            signer.sign(out, seconds());
        }
        outcome
    }

    /// What waits.
    pub(super) fn resolver(&self) -> &Arc<Resolver> {
        &self.resolver
    }
}

/// The octets that a response has to leave free for its signature.
fn reserve(signer: &Signer) -> u16 {
    // A signature has far fewer octets than 65,535.
    signer.overhead() as u16
}

/// The time that signatures carry.
pub(super) fn seconds() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or_default()
}
