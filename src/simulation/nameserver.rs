//! A secondary in the simulation of the running daemon: it talks in messages, and may not hear.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::peers::{Records, records};
use crate::serve::{Serving, transfer_messages};
use crate::zones::DnsName;
use crate::zones::generation::is_greater;

/// What it holds, and how it is.
#[derive(Default)]
pub(super) struct Nameserver {
    zones: BTreeMap<DnsName, (u32, Records)>,
    /// Messages that are lost before one arrives again.
    pub(super) deaf: u8,
    /// Zones that it was told of.
    told: BTreeSet<DnsName>,
    pub(super) transfers: u64,
    pub(super) notified: u64,
}

/// The address of a secondary.
pub(super) fn address(index: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(192, 0, 2, index + 1), 53))
}

fn name(name: &Name) -> DnsName {
    name.to_string().trim_end_matches('.').parse().expect("a name of ours")
}

impl Nameserver {
    /// Forgets everything.
    pub(super) fn lose(&mut self) {
        self.zones.clear();
    }

    /// Answers a NOTIFY or a query for an SOA record.
    pub(super) fn hear(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        if self.deaf > 0 {
            self.deaf -= 1;
            return None;
        }
        let mut message = Message::from_vec(message).expect("a message");
        let origin = name(message.queries.first().expect("a question").name());
        message.metadata.message_type = MessageType::Response;
        message.answers.clear();
        if message.metadata.op_code == OpCode::Notify {
            self.notified += 1;
            self.told.insert(origin);
        } else if let Some((serial, _)) = self.zones.get(&origin) {
            let owner = Name::from_ascii(format!("{origin}.")).expect("a name");
            let soa = SOA::new(owner.clone(), owner.clone(), *serial, 1, 1, 1, 1);
            message.answers.push(Record::from_rdata(owner, 1, RData::SOA(soa)));
        } else {
            message.metadata.response_code = ResponseCode::Refused;
        }
        Some(message.to_vec().expect("octets"))
    }

    /// Zones that it was told of since this was asked last.
    pub(super) fn told(&mut self) -> BTreeSet<DnsName> {
        std::mem::take(&mut self.told)
    }

    /// Takes over these zones of a primary, or all.
    pub(super) fn refresh(
        &mut self,
        serving: &Serving,
        from: IpAddr,
        only: Option<&BTreeSet<DnsName>>,
    ) -> Result<(), String> {
        let Some(source) = serving.source.clone() else { return Ok(()) };
        let generation = &source.generation;
        self.zones.retain(|origin, _| generation.zones.contains_key(origin));
        for (origin, zone) in &generation.zones {
            if only.is_some_and(|only| !only.contains(origin)) {
                continue;
            }
            let had = self.zones.get(origin).cloned();
            let request = request(origin, had.as_ref().map(|(serial, _)| *serial));
            let messages = transfer_messages(serving, &request, from)
                .map_err(|rcode| format!("a transfer of {origin} is refused with {rcode}"))?;
            let (serial, content) = apply(origin, had.clone(), &messages)?;
            if let Some((before, _)) = had
                && is_greater(before, serial)
            {
                return Err(format!("{origin} went from {before} to {serial} at a secondary"));
            }
            self.transfers += 1;
            let whole = records(zone);
            if generation.serial(origin) == Some(serial) && content != whole {
                return Err(format!(
                    "{origin} with serial {serial} is {content:?} at a secondary, not {whole:?}"
                ));
            }
            self.zones.insert(origin.clone(), (serial, content));
        }
        Ok(())
    }

    /// Whether it has what a primary has.
    pub(super) fn agrees(&self, serving: &Serving) -> Result<(), String> {
        let Some(source) = &serving.source else { return Err("nothing is released".to_owned()) };
        for (origin, zone) in &source.generation.zones {
            let serial = source.generation.serial(origin);
            let has = self.zones.get(origin);
            if has.map(|(serial, _)| *serial) != serial
                || has.is_none_or(|(_, content)| *content != records(zone))
            {
                return Err(format!("a secondary has {has:?} of {origin}, not serial {serial:?}"));
            }
        }
        Ok(())
    }
}

/// Asks for what changed since a serial, or for all.
fn request(origin: &DnsName, since: Option<u32>) -> Vec<u8> {
    let mut request = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, u8::from(since.is_some()), 0, 0];
    request.extend(origin.to_wire());
    request
        .extend(u16::from(if since.is_some() { RecordType::IXFR } else { RecordType::AXFR }).to_be_bytes());
    request.extend([0, 1]);
    if let Some(serial) = since {
        // The question's name, SOA, IN, TTL 0, 22 octets: two roots, and five numbers.
        request.extend([0xc0, 12, 0, 6, 0, 1, 0, 0, 0, 0, 0, 22, 0, 0]);
        request.extend(serial.to_be_bytes());
        request.extend([0; 16]);
    }
    request
}

/// What a secondary has after the messages of a transfer (RFC 1995 section 4, RFC 5936 section 2.2).
fn apply(
    origin: &DnsName,
    had: Option<(u32, Records)>,
    messages: &[Vec<u8>],
) -> Result<(u32, Records), String> {
    enum Item {
        Soa(u32),
        Address(DnsName, Ipv4Addr),
        Other,
    }
    let mut items = Vec::new();
    for message in messages {
        let message =
            Message::from_vec(message).map_err(|error| format!("a transfer of {origin}: {error}"))?;
        items.extend(message.answers.iter().map(|record| match &record.data {
            RData::SOA(soa) => Item::Soa(soa.serial),
            RData::A(address) => Item::Address(name(&record.name), address.0),
            _ => Item::Other,
        }));
    }
    let cut = |what: &str| format!("a transfer of {origin} {what}");
    let (Some(Item::Soa(serial)), Some(Item::Soa(last))) = (items.first(), items.last()) else {
        return Err(cut("has no SOA record at both ends"));
    };
    let serial = *serial;
    if *last != serial {
        return Err(cut("ends with another serial"));
    }
    if items.len() == 1 {
        return had.ok_or_else(|| cut("has one record"));
    }
    let inner = &items[1..items.len() - 1];
    let Some(Item::Soa(from)) = inner.first() else {
        let mut content = Records::new();
        for item in inner {
            if let Item::Address(owner, address) = item
                && !content.insert((owner.clone(), *address))
            {
                return Err(cut("has a record twice"));
            }
        }
        return Ok((serial, content));
    };
    let (held, mut content) = had.ok_or_else(|| cut("is of changes, and was to be whole"))?;
    if *from != held {
        return Err(cut("begins with another serial than what is held"));
    }
    let mut sequences = 0;
    for item in inner {
        match item {
            // Odd ones begin what goes, even ones what comes.
            Item::Soa(_) => sequences += 1,
            Item::Address(owner, address) => {
                let record = (owner.clone(), *address);
                let fits = if sequences % 2 == 1 { content.remove(&record) } else { content.insert(record) };
                if !fits {
                    return Err(format!(
                        "{owner} A {address} of {origin} cannot go or come at serial {held}"
                    ));
                }
            }
            Item::Other => {}
        }
    }
    Ok((serial, content))
}
