//! One question for A records, and what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::time::timeout;

use crate::wire::exchange;
use crate::zones::DnsName;

/// How long an attempt may take. A resolver that has to ask others may take a second.
const LIMIT: Duration = Duration::from_secs(3);

/// A lost datagram is no fault of a server.
const ATTEMPTS: u32 = 2;

/// Longer chains are none that anybody means.
const MAX_ALIASES: usize = 16;

/// What fits into a datagram that no network cuts into pieces.
const PAYLOAD: u16 = 1232;

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answered {
    /// An answer, with or without addresses.
    Found {
        /// NXDOMAIN at its end.
        denied: bool,
        /// The aliases from the name that was asked for, in their order.
        aliases: Vec<String>,
        /// The addresses of the last of them.
        addresses: BTreeSet<Ipv4Addr>,
    },
    /// Another code than NOERROR and NXDOMAIN.
    Failed(ResponseCode),
    /// Nothing, in words.
    Nothing(String),
}

/// Asks a server for the addresses of a name, with recursion.
pub(super) async fn ask(server: SocketAddr, name: &DnsName) -> Answered {
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        match timeout(LIMIT, exchange(server, name)).await {
            Ok(Ok(response)) => return read(&response),
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => last = format!("no answer within {} s, {ATTEMPTS} times", LIMIT.as_secs()),
        }
    }
    Answered::Nothing(last)
}

async fn exchange(server: SocketAddr, name: &DnsName) -> io::Result<Message> {
    let mut asked = Name::from_ascii(name.as_str()).map_err(io::Error::other)?;
    asked.set_fqdn(true);
    let mut message = Message::new(fastrand::u16(..), MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(asked, RecordType::A));
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD);
    message.edns = Some(edns);
    let query = message.to_vec().map_err(io::Error::other)?;
    let response = match exchange::udp(server, &query, |_| {}).await {
        Ok(response) if !exchange::is_truncated(&response) => response,
        Ok(_) => exchange::tcp(server, &query, |_| {}).await?,
        // The case of the letters has changed: told anew where nobody can forge.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            exchange::tcp(server, &query, |_| {}).await?
        }
        Err(error) => return Err(error),
    };
    Message::from_vec(&response).map_err(|error| io::Error::other(format!("an answer that is none: {error}")))
}

/// Follows the aliases from the question.
fn read(response: &Message) -> Answered {
    let denied = match response.metadata.response_code {
        ResponseCode::NoError => false,
        ResponseCode::NXDomain => true,
        code => return Answered::Failed(code),
    };
    let plain = |name: &Name| name.to_ascii().trim_end_matches('.').to_ascii_lowercase();
    let mut links = BTreeMap::new();
    let mut found = BTreeMap::<String, BTreeSet<Ipv4Addr>>::new();
    for record in &response.answers {
        match &record.data {
            RData::CNAME(target) => {
                links.insert(plain(&record.name), plain(&target.0));
            }
            RData::A(address) => {
                found.entry(plain(&record.name)).or_default().insert(address.0);
            }
            _ => {}
        }
    }
    let mut here = response.queries.first().map(|query| plain(query.name())).unwrap_or_default();
    let mut aliases = Vec::new();
    while let Some(next) = links.remove(&here)
        && aliases.len() < MAX_ALIASES
    {
        aliases.push(next.clone());
        here = next;
    }
    Answered::Found { denied, aliases, addresses: found.remove(&here).unwrap_or_default() }
}
