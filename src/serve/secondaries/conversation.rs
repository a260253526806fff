//! One exchange with a secondary, from a port or over a connection of its own.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::timeout;

use super::message::{self, NoAnswer};
use super::schedule::{Job, Kind, Outcome, Pace};
use crate::config::{Notification, Secondary};
use crate::wire::exchange;
use crate::wire::tsig::{Key, Verifier, sign_request};
use crate::zones::Publication;

/// Who is talked to, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) settings: Secondary,
    pub(super) key: Option<Arc<Key>>,
}

impl Peer {
    /// Makes the exchange; ends in time whatever the other side does.
    pub(super) async fn talk(&self, job: &Job, publication: &Publication, pace: Pace) -> Outcome {
        let mut id = [0; 2];
        // Without random numbers nothing can be asked safely; the system has them always.
        if aws_lc_rs::rand::fill(&mut id).is_err() {
            return Outcome::Error("the system has no random numbers".to_owned());
        }
        if self.settings.key.is_some() && self.key.is_none() {
            return Outcome::Error("its key is missing".to_owned());
        }
        let (mut request, key) = match job.kind {
            Kind::Notify { .. } => {
                let is_signed = self.settings.notification == Notification::Signed;
                let message = message::notify(id, &job.origin, publication, job.serial);
                (message, self.key.as_ref().filter(|_| is_signed))
            }
            Kind::Probe => (message::probe(id, &job.origin), self.key.as_ref()),
        };
        let mut verifier = key.map(|key| sign_request(key, &mut request, seconds()));
        // Of messages that were no answer, when none was.
        let mut odd = None;
        let Secondary { address, source, .. } = self.settings;
        let exchange = async {
            match job.kind {
                Kind::Notify { tcp: false } => {
                    udp((source, address), &request, verifier.as_mut(), &mut odd).await
                }
                Kind::Notify { tcp: true } | Kind::Probe => {
                    tcp((source, address), &request, verifier.as_mut()).await
                }
            }
        };
        match timeout(pace.answer, exchange).await {
            Ok(Ok(_)) if job.kind != Kind::Probe => Outcome::Acknowledged,
            Ok(Ok(response)) => message::serial(&response, &job.origin),
            Ok(Err(outcome)) => outcome,
            Err(_) => odd.map_or(Outcome::Timeout, |odd| Outcome::Error(odd.to_string())),
        }
    }
}

/// From where, if it matters, and where to.
type Way = (Option<IpAddr>, SocketAddr);

async fn udp(
    (source, address): Way,
    request: &[u8],
    mut verifier: Option<&mut Verifier>,
    odd: &mut Option<NoAnswer>,
) -> Result<Vec<u8>, Outcome> {
    let answer = exchange::udp_until(source, address, request, |mut response| {
        match message::accept(request, &mut response, verifier.as_deref_mut(), seconds()) {
            Ok(answer) => Some(answer.map(|()| response)),
            // Forged or late; the right one may still come.
            Err(no_answer) => {
                *odd = Some(no_answer);
                None
            }
        }
    });
    answer.await.map_err(|error| Outcome::Error(error.to_string()))?
}

async fn tcp(
    (source, address): Way,
    request: &[u8],
    verifier: Option<&mut Verifier>,
) -> Result<Vec<u8>, Outcome> {
    let mut response = exchange::tcp_first(source, address, request)
        .await
        .map_err(|error| Outcome::Error(format!("over TCP: {error}")))?;
    match message::accept(request, &mut response, verifier, seconds()) {
        Ok(answer) => answer.map(|()| response),
        Err(no_answer) => Err(Outcome::Error(no_answer.to_string())),
    }
}

/// The time that signatures have.
fn seconds() -> u64 {
    Timestamp::now().as_second().try_into().unwrap_or_default()
}
