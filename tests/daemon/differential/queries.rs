//! Queries by the thousand, the same for the same seed: names in and out of the zones, all kinds of types,
//! classes, flags and EDNS, and of each good one a few that are broken.

use domain::base::Message;
use fastrand::Rng;

/// How a query goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Udp,
    Tcp,
}

/// What both servers have.
pub(super) struct Names {
    pub(super) zones: Vec<String>,
    pub(super) owners: Vec<String>,
}

pub(super) struct Queries<'a> {
    random: Rng,
    names: &'a Names,
}

const TYPES: [u16; 26] =
    [1, 1, 1, 1, 1, 1, 2, 5, 6, 6, 12, 15, 16, 28, 28, 33, 39, 43, 48, 64, 65, 255, 257, 10, 0, 65_280];
/// Types that mean something else than records.
const ODD_TYPES: [u16; 8] = [41, 249, 250, 251, 252, 253, 254, 128];

impl<'a> Queries<'a> {
    pub(super) fn new(seed: u64, names: &'a Names) -> Self {
        Self { random: Rng::with_seed(seed), names }
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.usize(..from.len())]
    }

    fn often(&mut self, of_a_hundred: u8) -> bool {
        self.random.u8(..100) < of_a_hundred
    }

    pub(super) fn next(&mut self) -> (Vec<u8>, Over) {
        let mut query = self.good();
        if self.often(25) {
            for _ in 0..self.random.usize(1..4) {
                self.break_a_little(&mut query);
            }
        }
        // An id like that of the fence would be taken for it.
        if query.first() == Some(&0xfe) {
            query[0] = 0;
        }
        let over = if self.often(20) { Over::Tcp } else { Over::Udp };
        (query, over)
    }

    fn name(&mut self) -> String {
        let zone = self.random.choice(&self.names.zones).expect("a zone").clone();
        let owner = self.random.choice(&self.names.owners).expect("a name").clone();
        let name = match self.random.u8(..12) {
            0..5 => owner,
            5 => zone,
            6 => format!("missing.{zone}"),
            7 => format!("below.{owner}"),
            8 => format!("*.{zone}"),
            9 => zone.split_once('.').map_or_else(String::new, |(_, above)| above.to_owned()),
            10 => self
                .pick(&["", "com", "www.example.com", "invalid", "privatelink", "version.bind"])
                .to_owned(),
            _ => format!("{}.{zone}", "a.".repeat(self.random.usize(1..60)).trim_end_matches('.')),
        };
        if self.often(20) { name.to_ascii_uppercase() } else { name }
    }

    fn good(&mut self) -> Vec<u8> {
        let mut query = self.random.u16(..).to_be_bytes().to_vec();
        let opcode = if self.often(6) { self.random.u8(..16) } else { 0 };
        let flags = if self.often(20) { self.random.u8(..) & 0x07 } else { self.pick(&[0, 1]) };
        // RA, Z, AD, CD and RCODE mean nothing in most queries.
        let more = if self.often(20) { self.random.u8(..) } else { self.pick(&[0, 0, 0x20, 0x10]) };
        query.extend([opcode << 3 | flags, more, 0, 1, 0, 0, 0, 0, 0, 0]);
        let name = self.name();
        for label in name.split('.').filter(|label| !label.is_empty()) {
            query.push(label.len() as u8);
            query.extend(label.as_bytes());
        }
        query.push(0);
        let kind = if self.often(8) { self.pick(&ODD_TYPES) } else { self.pick(&TYPES) };
        query.extend(kind.to_be_bytes());
        let class: u16 = if self.often(5) { self.pick(&[0, 3, 4, 254, 255]) } else { 1 };
        query.extend(class.to_be_bytes());
        if self.often(60) {
            self.edns(&mut query);
            if self.often(5) {
                self.break_edns(&mut query);
            }
        }
        query
    }

    fn edns(&mut self, query: &mut Vec<u8>) {
        let payload = self.pick(&[0_u16, 511, 512, 513, 1232, 1233, 4096, 65_535]);
        let version = if self.often(5) { self.random.u8(1..) } else { 0 };
        let flags: u16 = if self.often(10) { self.random.u16(..) } else { self.pick(&[0, 0x8000]) };
        let options: &[u8] = self.pick(&[
            b"",
            b"",
            b"\0\x0a\0\x08abcdefgh",
            b"\0\x03\0\0",
            b"\0\x08\0\x07\0\x01\x18\0\x0a\0\0",
            b"\0\x0c\0\x04\0\0\0\0",
            b"\xff\xf0\0\x02ab",
        ]);
        query.extend([0, 0, 41]);
        query.extend(payload.to_be_bytes());
        query.extend([0, version]);
        query.extend(flags.to_be_bytes());
        query.extend((options.len() as u16).to_be_bytes());
        query.extend(options);
        query[11] += 1;
    }

    /// A second one, one in the answer section, one with an owner, or a record of another type in its place.
    fn break_edns(&mut self, query: &mut Vec<u8>) {
        let start = query.windows(3).rposition(|octets| octets == [0, 0, 41]).expect("an OPT");
        match self.random.u8(..4) {
            0 => self.edns(query),
            1 => (query[7], query[11]) = (1, 0),
            2 => query[start + 2] = self.pick(&[2, 6, 9, 15, 33]),
            _ => drop(query.splice(start..start, *b"\x01a")),
        }
    }

    fn break_a_little(&mut self, query: &mut Vec<u8>) {
        if query.is_empty() {
            return;
        }
        let at = self.random.usize(..query.len());
        match self.random.u8(..6) {
            0 => query[at] = self.pick(&[0, 1, 12, 41, 63, 64, 0x80, 0xc0, 0xff]),
            1 => query[at] ^= 1 << self.random.u8(..8),
            2 => query.truncate(at),
            3 => query.insert(at, self.random.u8(..)),
            4 => query.extend_from_within(at..),
            _ => drop(query.remove(at)),
        }
    }
}

/// What a query asks, as far as the classes want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) over: Over,
    pub(super) opcode: u8,
    pub(super) questions: u16,
    /// Of a query with one question that can be read.
    pub(super) kind: Option<u16>,
    pub(super) class: Option<u16>,
    pub(super) edns: Option<u8>,
    /// Everything that the counts promise can be read, and nothing is left over.
    pub(super) is_whole: bool,
    /// Records where a query has none.
    pub(super) has_records: bool,
}

impl Asked {
    pub(super) fn of(query: &[u8], over: Over) -> Self {
        let Ok(message) = Message::from_octets(query) else {
            return Self {
                over,
                opcode: query.get(2).map_or(0, |flags| flags >> 3 & 15),
                questions: 0,
                kind: None,
                class: None,
                edns: None,
                is_whole: false,
                has_records: false,
            };
        };
        let counts = message.header_counts();
        let question = message.question().next().and_then(Result::ok).filter(|_| counts.qdcount() == 1);
        let records: Vec<_> = message.iter().collect();
        let opts = records.iter().flatten().filter(|(record, _)| record.rtype().to_int() == 41);
        let edns = opts.map(|(record, _)| (record.ttl().as_secs() >> 16) as u8).next();
        Self {
            over,
            opcode: message.header().opcode().to_int(),
            questions: counts.qdcount(),
            kind: question.map(|question| question.qtype().to_int()),
            class: question.map(|question| question.qclass().to_int()),
            edns,
            is_whole: Self::end(&message) == Some(query.len()),
            has_records: counts.ancount() + counts.nscount() > 0
                || counts.arcount() > u16::from(edns.is_some()),
        }
    }

    /// Where the last record ends.
    fn end(message: &Message<&[u8]>) -> Option<usize> {
        let mut questions = message.question();
        for question in questions.by_ref() {
            question.ok()?;
        }
        let mut section = questions.answer().ok()?;
        loop {
            for record in section.by_ref() {
                record.ok()?;
            }
            let end = section.pos();
            match section.next_section().ok()? {
                Some(next) => section = next,
                None => return Some(end),
            }
        }
    }
}
