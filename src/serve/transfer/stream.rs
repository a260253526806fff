//! The messages of a transfer, made one after the other.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::{Source, Transfers};
use crate::serve::answer::{self, OPT};
use crate::serve::apex::{self, TYPE_A};
use crate::serve::message::{Edns, Query, Question};
use crate::serve::query::seconds;
use crate::serve::secondaries::{Records, Sent, SentKind};
use crate::wire::octets::HEADER;
use crate::wire::tsig::Signer;
use crate::zones::journal::Datum;
use crate::zones::{DnsName, Form};

/// A message is full with so many octets: few enough for a small buffer, enough that the headers do
/// not count.
const FULL: usize = 16 * 1024;

const TYPE_PTR: u16 = 12;
const TYPE_TXT: u16 = 16;

/// What a transfer holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    /// The whole zone.
    Whole,
    /// What changed since a serial.
    Changes { from: u32, removed: BTreeSet<Datum>, added: BTreeSet<Datum> },
    /// The SOA alone: the client lacks nothing, or should come back over TCP.
    Current,
}

/// A transfer in progress.
pub(in crate::serve) struct Transfer {
    zone: Zone,
    /// Header and question of every message.
    head: Vec<u8>,
    edns: Option<Edns>,
    steps: VecDeque<Step>,
    signer: Option<Signer>,
    told: Told,
}

/// The zone that is transferred.
struct Zone {
    source: Arc<Source>,
    origin: DnsName,
    serial: u32,
    /// The origin in wire format.
    wire: Vec<u8>,
    /// Names may end in a pointer to the question. Not where the client wrote it in other letters: a
    /// copy keeps the case of names (RFC 5936 section 3.4).
    compressed: bool,
}

/// What is told of a transfer when it ends, however that comes about.
struct Told {
    secondary: String,
    records: Arc<Records>,
    origin: DnsName,
    sent: Sent,
}

impl Drop for Told {
    fn drop(&mut self) {
        self.records.sent(&self.secondary, &self.origin, &self.sent);
    }
}

/// Records that are next.
enum Step {
    /// The SOA with this serial.
    Soa(u32),
    /// The other records of the apex.
    Apex,
    /// The members of the catalog, from this one on.
    Members(Option<DnsName>),
    /// The addresses of the zone, from this name and its so many-th on.
    Addresses(Option<DnsName>, usize),
    /// Records that changed.
    Data(VecDeque<Datum>),
}

impl Transfer {
    pub(super) fn new(
        source: Arc<Source>,
        origin: DnsName,
        serial: u32,
        body: Body,
        (request, query, question): (&[u8], Query<'_>, Question<'_>),
        (secondary, records): (String, Arc<Records>),
    ) -> Self {
        let wire = origin.to_wire();
        let compressed = question.name() == wire;
        let zone = Zone { source, origin: origin.clone(), serial, wire, compressed };
        let mut head = Vec::with_capacity(HEADER + question.bytes.len());
        head.extend(request.iter().take(2));
        // QR and AA; RD is the client's.
        head.extend([0x84 | request.get(2).map_or(0, |flags| flags & 0x01), 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        head.extend(question.bytes);
        let kind = match body {
            Body::Whole => SentKind::Axfr,
            Body::Changes { .. } => SentKind::Ixfr,
            Body::Current => SentKind::Current,
        };
        let sent = Sent { kind, serial, complete: false, datagram: false, messages: 0, octets: 0 };
        let steps = zone.steps(body);
        let told = Told { secondary, records, origin, sent };
        Self { zone, head, edns: query.edns, steps, signer: None, told }
    }

    /// The type that was asked for.
    pub(in crate::serve) fn kind(&self) -> u16 {
        match self.head.last_chunk::<4>() {
            Some([high, low, _, _]) => u16::from_be_bytes([*high, *low]),
            None => 0,
        }
    }

    /// Lets every message be signed.
    pub(in crate::serve) fn sign(&mut self, signer: Signer) {
        self.signer = Some(signer);
    }

    /// Writes the next message into `out`, whose content is replaced; says whether there was one.
    pub(in crate::serve) fn next(&mut self, now: u64, limit: usize, out: &mut Vec<u8>) -> bool {
        out.clear();
        if self.steps.is_empty() {
            return false;
        }
        out.extend_from_slice(&self.head);
        let opt = self.edns.map_or(0, |_| OPT);
        let mut page = Page { zone: &self.zone, out, limit: limit.saturating_sub(opt), count: 0 };
        while let Some(step) = self.steps.front_mut()
            && page.fill(step)
        {
            self.steps.pop_front();
        }
        let count = page.count;
        if let Some(counts) = out.get_mut(6..8) {
            counts.copy_from_slice(&count.to_be_bytes());
        }
        if let Some(edns) = self.edns {
            if let Some(additional) = out.get_mut(10..12) {
                additional.copy_from_slice(&1_u16.to_be_bytes());
            }
            answer::write_opt(edns, 0, None, out);
        }
        if let Some(signer) = &mut self.signer {
            signer.sign(out, now);
        }
        self.told.sent.messages += 1;
        self.told.sent.octets += out.len() as u64;
        self.told.sent.complete = self.steps.is_empty();
        true
    }

    /// Writes the only message of a response over UDP; the SOA alone where it does not fit, so that the
    /// client comes back over TCP (RFC 1995 section 2). Where not even that fits, TC says so.
    pub(in crate::serve) fn datagram(mut self, limit: usize, out: &mut Vec<u8>) {
        self.told.sent.datagram = true;
        let signer = self.signer.take();
        let limit = limit.saturating_sub(signer.as_ref().map_or(0, Signer::overhead));
        let one = self.next(0, limit, out) && self.steps.is_empty() && out.len() <= limit;
        if !one || self.told.sent.kind == SentKind::Axfr {
            self.told.sent.kind = SentKind::Current;
            self.steps = self.zone.steps(Body::Current);
            self.next(0, limit, out);
        }
        if out.len() > limit {
            self.truncate(out);
        }
        if let Some(mut signer) = signer {
            signer.sign(out, seconds());
        }
        (self.told.sent.messages, self.told.sent.octets) = (1, out.len() as u64);
    }

    /// Leaves header, question and OPT of a message, with TC.
    fn truncate(&self, out: &mut Vec<u8>) {
        out.truncate(self.head.len());
        if let Some(header) = out.first_chunk_mut::<HEADER>() {
            header[2] |= 0x02;
            // No answer; one more record where there is an OPT.
            (header[6], header[7], header[11]) = (0, 0, u8::from(self.edns.is_some()));
        }
        if let Some(edns) = self.edns {
            answer::write_opt(edns, 0, None, out);
        }
    }
}

impl Zone {
    fn steps(&self, body: Body) -> VecDeque<Step> {
        let soa = || Step::Soa(self.serial);
        let form = self.source.generation.zones.get(&self.origin).map(|zone| zone.form);
        let all = match form {
            Some(Form::Catalog) => Step::Members(None),
            _ => Step::Addresses(None, 0),
        };
        match body {
            Body::Whole => [soa(), Step::Apex, all, soa()].into(),
            Body::Changes { from, removed, added } => {
                let data = |data: BTreeSet<Datum>| Step::Data(data.into_iter().collect());
                [soa(), Step::Soa(from), data(removed), soa(), data(added), soa()].into()
            }
            Body::Current => [soa()].into(),
        }
    }

    /// The member's records in the catalog (RFC 9432 sections 4.3 and 4.4.2). Its label follows from its
    /// name, so that it stays the same for ever.
    fn member(&self, member: &DnsName) -> Vec<(Vec<u8>, Vec<u8>)> {
        let publication = &self.source.generation.publication;
        let hash = digest::digest(&digest::SHA256, &member.to_wire());
        let label: String = hash.as_ref().iter().take(16).map(|octet| format!("{octet:02x}")).collect();
        let owner = |prefix: &str| {
            let mut owner = Vec::new();
            for label in prefix.split('.') {
                // The labels here are short.
                owner.push(label.len() as u8);
                owner.extend(label.as_bytes());
            }
            owner
        };
        let pointer = apex::record(TYPE_PTR, publication.ttl, &member.to_wire());
        let mut records = vec![(owner(&format!("{label}.zones")), pointer)];
        if let Some(group) = publication.catalog.as_ref().and_then(|catalog| catalog.group.as_ref()) {
            let group = apex::record(TYPE_TXT, publication.ttl, &text(group));
            records.push((owner(&format!("group.{label}.zones")), group));
        }
        records
    }
}

/// A character string (RFC 1035 section 3.3); the configuration allows 255 octets.
fn text(content: &str) -> Vec<u8> {
    [&[content.len() as u8], content.as_bytes()].concat()
}

/// A message that is being filled.
struct Page<'a> {
    zone: &'a Zone,
    out: &'a mut Vec<u8>,
    limit: usize,
    count: u16,
}

impl Page<'_> {
    /// Writes what a step has; says whether that was all of it.
    fn fill(&mut self, step: &mut Step) -> bool {
        let generation = &self.zone.source.generation;
        let publication = &generation.publication;
        match step {
            Step::Soa(serial) => self.record(&[], &apex::soa(publication, *serial, publication.ttl)),
            Step::Apex => {
                let form =
                    generation.zones.get(&self.zone.origin).map_or(Form::Privatelink, |zone| zone.form);
                let mut records: Vec<_> =
                    apex::ns(publication, form).into_iter().map(|ns| (Vec::new(), ns)).collect();
                if form == Form::Catalog {
                    let version = apex::record(TYPE_TXT, publication.ttl, &text("2"));
                    records.push((b"\x07version".to_vec(), version));
                }
                self.together(&records)
            }
            Step::Members(next) => {
                let members =
                    generation.members().skip_while(|member| next.as_ref().is_some_and(|n| *member < n));
                for member in members {
                    if !self.together(&self.zone.member(member)) {
                        *next = Some(member.clone());
                        return false;
                    }
                }
                true
            }
            Step::Addresses(next, index) => {
                let Some(zone) = generation.zones.get(&self.zone.origin) else { return true };
                let from = next.as_ref().map_or(Bound::Unbounded, Bound::Included);
                let ttl = publication.ttl;
                for (owner, addresses) in zone.addresses.range::<DnsName, _>((from, Bound::Unbounded)) {
                    let done = if next.as_ref() == Some(owner) { *index } else { 0 };
                    for (number, address) in addresses.iter().enumerate().skip(done) {
                        if !self.address(owner, ttl, *address) {
                            (*next, *index) = (Some(owner.clone()), number);
                            return false;
                        }
                    }
                }
                true
            }
            Step::Data(data) => {
                while let Some(datum) = data.front() {
                    let written = match datum {
                        Datum::Address(owner, address) => self.address(owner, publication.ttl, *address),
                        Datum::Member(member) => self.together(&self.zone.member(member)),
                    };
                    if !written {
                        return false;
                    }
                    data.pop_front();
                }
                true
            }
        }
    }

    /// Writes records that belong together, or none of them.
    fn together(&mut self, records: &[(Vec<u8>, Vec<u8>)]) -> bool {
        let (start, count) = (self.out.len(), self.count);
        for (owner, record) in records {
            if !self.record(owner, record) {
                self.out.truncate(start);
                self.count = count;
                return false;
            }
        }
        true
    }

    /// Writes a record whose owner is the origin with these labels in front of it. Says whether it fits.
    fn record(&mut self, labels: &[u8], record: &[u8]) -> bool {
        let start = self.out.len();
        self.out.extend_from_slice(labels);
        self.origin();
        self.out.extend_from_slice(record);
        self.fits(start)
    }

    fn address(&mut self, owner: &DnsName, ttl: u32, address: std::net::Ipv4Addr) -> bool {
        let start = self.out.len();
        if *owner != self.zone.origin {
            // Every name of a zone lies in it.
            for label in owner.below(&self.zone.origin).unwrap_or_default().split('.') {
                // At most 63 octets: checked when the name was made.
                self.out.push(label.len() as u8);
                self.out.extend_from_slice(label.as_bytes());
            }
        }
        self.origin();
        self.out.extend_from_slice(&TYPE_A.to_be_bytes());
        self.out.extend_from_slice(&[0, 1]);
        self.out.extend_from_slice(&ttl.to_be_bytes());
        self.out.extend_from_slice(&[0, 4]);
        self.out.extend_from_slice(&address.octets());
        self.fits(start)
    }

    /// Ends a name in the origin, which is the question's.
    fn origin(&mut self) {
        if self.zone.compressed {
            self.out.extend_from_slice(&[0xc0, HEADER as u8]);
        } else {
            self.out.extend_from_slice(&self.zone.wire);
        }
    }

    /// Takes back what was written from `start` on when the message is full. The first record always
    /// fits.
    fn fits(&mut self, start: usize) -> bool {
        if self.out.len() > self.limit && self.count > 0 {
            self.out.truncate(start);
            return false;
        }
        self.count += 1;
        true
    }
}

/// Sends a transfer. A client that takes no octet for `idle` is given up.
///
/// # Errors
/// When the connection fails.
pub(in crate::serve) async fn send(
    mut transfer: Box<Transfer>,
    stream: &mut (impl AsyncWrite + Unpin),
    transfers: &Transfers,
    idle: Duration,
) -> io::Result<()> {
    let _turn = transfers.turn(&transfer.told.secondary).await.map_err(io::Error::other)?;
    let (mut message, mut framed) = (Vec::new(), Vec::new());
    while transfer.next(seconds(), FULL, &mut message) {
        let complete = std::mem::take(&mut transfer.told.sent.complete);
        framed.clear();
        // A message has at most `FULL` octets and a signature.
        framed.extend_from_slice(&(message.len() as u16).to_be_bytes());
        framed.extend_from_slice(&message);
        timeout(idle, stream.write_all(&framed)).await??;
        transfer.told.sent.complete = complete;
    }
    timeout(idle, stream.flush()).await?
}
