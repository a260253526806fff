//! What both sides of a DNS conversation share: questions, answers that are checked, signatures.

pub mod connection;
pub mod exchange;
pub mod gss;
pub(crate) mod octets;
pub mod tsig;
pub mod update;
pub mod zone_file;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::zones::DnsName;

/// The answer to a question for A records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The response code.
    pub code: ResponseCode,
    /// The addresses, sorted.
    pub addresses: Vec<Ipv4Addr>,
}

/// Asks a server for the A records of a name over UDP, once.
///
/// # Errors
/// When nothing comes back within `limit`, or something that is no answer to this question.
pub async fn ask(server: SocketAddr, name: &DnsName, limit: Duration) -> io::Result<Addresses> {
    let invalid = |text: &'static str| io::Error::new(io::ErrorKind::InvalidData, text);
    let mut query_name = Name::from_ascii(name.as_str()).map_err(broken)?;
    query_name.set_fqdn(true);
    let mut message = Message::new(fastrand::u16(..), MessageType::Query, OpCode::Query);
    message.add_query(Query::query(query_name, RecordType::A));
    let request = message.to_vec().map_err(broken)?;

    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0; 16], 0).into() };
    let socket = UdpSocket::bind(any).await?;
    // From here on the kernel drops what comes from elsewhere.
    socket.connect(server).await?;
    socket.send(&request).await?;
    let mut buffer = [0; 4096];
    let length = timeout(limit, socket.recv(&mut buffer)).await??;
    let response = Message::from_vec(&buffer[..length]).map_err(broken)?;
    if response.id != message.id || response.queries != message.queries {
        return Err(invalid("the response belongs to another question"));
    }
    let mut addresses: Vec<Ipv4Addr> = response
        .answers
        .iter()
        .filter_map(|record| match record.data {
            RData::A(address) => Some(address.0),
            _ => None,
        })
        .collect();
    addresses.sort_unstable();
    Ok(Addresses { code: response.response_code, addresses })
}

fn broken(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
