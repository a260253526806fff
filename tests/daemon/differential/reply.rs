//! A reply as both servers could have said it in other octets: flags, codes, and records in any order.

use std::collections::BTreeSet;
use std::fmt;

use domain::base::iana::Rtype;
use domain::base::opt::AllOptData;
use domain::base::{Message, Name};
use domain::rdata::AllRecordData;

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Reply {
    pub(super) is_answered: bool,
    /// With its extension.
    pub(super) rcode: u16,
    /// But for CD.
    pub(super) flags: BTreeSet<&'static str>,
    pub(super) has_cd: bool,
    pub(super) opcode: u8,
    pub(super) question: String,
    /// Answer, authority, and additional without OPT and TSIG.
    pub(super) sections: [BTreeSet<String>; 3],
    /// Payload size, version, flags.
    pub(super) edns: Option<(u16, u8, u16)>,
    pub(super) options: BTreeSet<String>,
    pub(super) has_tsig: bool,
}

/// One thing that is not the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) field: &'static str,
    pub(super) ours: String,
    pub(super) theirs: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ours {}, Knot's {}", self.field, self.ours, self.theirs)
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_answered {
            return f.write_str("nothing");
        }
        let Self { rcode, flags, question, sections, edns, options, .. } = self;
        write!(f, "{rcode} {flags:?} {question:?} {sections:?} {edns:?} {options:?}")
    }
}

impl Reply {
    /// Reads a reply, which has to be one that can be read.
    pub(super) fn read(reply: Option<&[u8]>) -> Self {
        let Some(reply) = reply else { return Self::default() };
        let message = Message::from_octets(reply).expect("a header");
        let header = message.header();
        assert!(header.qr(), "a response");
        let flags = [
            (header.aa(), "aa"),
            (header.tc(), "tc"),
            (header.rd(), "rd"),
            (header.ra(), "ra"),
            (header.z(), "z"),
            (header.ad(), "ad"),
        ];
        let questions = message.question().map(|question| {
            let question = question.expect("a question");
            let (name, kind) = (question.qname().to_string(), question.qtype());
            format!("{} {kind} {}", name.to_ascii_lowercase(), question.qclass())
        });
        let mut read = Self {
            is_answered: true,
            rcode: message.opt_rcode().to_int(),
            flags: flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect(),
            has_cd: header.cd(),
            opcode: header.opcode().to_int(),
            question: questions.collect::<Vec<_>>().join(", "),
            ..Self::default()
        };
        for record in message.iter() {
            let (record, section) = record.expect("a record");
            match record.rtype() {
                Rtype::OPT => {}
                Rtype::TSIG => read.has_tsig = true,
                _ => {
                    let place = match section {
                        domain::base::message::Section::Answer => 0,
                        domain::base::message::Section::Authority => 1,
                        _ => 2,
                    };
                    let data = record.to_any_record::<AllRecordData<_, _>>().expect("data");
                    let line = format!(
                        "{} {} {} {:?}",
                        record.owner(),
                        record.class(),
                        record.ttl().as_secs(),
                        data.data()
                    );
                    read.sections[place].insert(line.to_ascii_lowercase());
                }
            }
        }
        if let Some(opt) = message.opt() {
            read.edns = Some((opt.udp_payload_size(), opt.version(), u16::from(opt.dnssec_ok()) << 15));
            for option in opt.opt().iter::<AllOptData<&[u8], Name<&[u8]>>>() {
                read.options.insert(match option.expect("an option") {
                    AllOptData::ExtendedError(error) => format!("error {}", error.code().to_int()),
                    other => format!("{other:?}"),
                });
            }
        }
        read
    }

    /// Everything in which the other is different.
    pub(super) fn differences(&self, other: &Self) -> Vec<Difference> {
        let fields = |reply: &Self| {
            let sections = &reply.sections;
            [
                ("answered", reply.is_answered.to_string()),
                ("rcode", reply.rcode.to_string()),
                ("flags", format!("{:?}", reply.flags)),
                ("cd", reply.has_cd.to_string()),
                ("opcode", reply.opcode.to_string()),
                ("question", reply.question.clone()),
                ("answer", format!("{:?}", sections[0])),
                ("authority", format!("{:?}", sections[1])),
                ("additional", format!("{:?}", sections[2])),
                ("edns", format!("{:?}", reply.edns)),
                ("options", format!("{:?}", reply.options)),
                ("tsig", reply.has_tsig.to_string()),
            ]
        };
        let pairs = fields(self).into_iter().zip(fields(other));
        let mut differences: Vec<_> = pairs
            .filter(|(ours, theirs)| ours.1 != theirs.1)
            .map(|((field, ours), (_, theirs))| Difference { field, ours, theirs })
            .collect();
        // No answer has nothing in it.
        if self.is_answered != other.is_answered {
            differences.truncate(1);
        }
        differences
    }
}
