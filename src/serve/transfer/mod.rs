//! Transfers: zones for servers that hold copies of them, as a whole (AXFR, RFC 5936) or as what
//! changed (IXFR, RFC 1995).
//!
//! A transfer keeps the generation that it began with, so it is consistent however long it takes, and
//! costs one message of memory, because each is made when the one before has been sent. Who is no
//! secondary gets nothing.

mod access;
mod request;
mod stream;

use std::collections::VecDeque;
use std::sync::Arc;

pub use access::{TransferError, Transfers};
pub(super) use request::{Refusal, begin};
pub(super) use stream::{Transfer, send};

use crate::zones::{Difference, Generation};

/// What transfers are made from: a generation, and how it came to be.
#[derive(Debug, Clone)]
pub struct Source {
    /// The generation that answers are made from.
    pub generation: Arc<Generation>,
    /// The differences that led to it, oldest first.
    pub history: Arc<VecDeque<Difference>>,
}

/// All messages of the transfer that a client asks for over TCP without a signature, or the RCODE instead.
#[cfg(test)]
pub(crate) fn messages(
    serving: &super::Serving,
    request: &[u8],
    client: std::net::IpAddr,
) -> Result<Vec<Vec<u8>>, u16> {
    let mut transfer =
        begin(serving, request, client, super::Transport::Tcp, None).map_err(|refusal| refusal.rcode)?;
    let mut messages = Vec::new();
    let mut message = Vec::new();
    while transfer.next(0, usize::from(u16::MAX), &mut message) {
        messages.push(message.clone());
    }
    Ok(messages)
}
