//! Responses as the independent `domain` library reads them, in one line for tables.

use domain::base::iana::Rtype;
use domain::base::opt::{AllOptData, ExtendedError};
use domain::base::{Message, Name, ParsedName};
use domain::rdata::AllRecordData;

type Data<'a> = AllRecordData<&'a [u8], ParsedName<&'a [u8]>>;

/// What a response says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    /// RCODE with its extension.
    pub(super) rcode: u16,
    /// The flags that are set, of `aa tc rd ra z ad cd`.
    pub(super) flags: String,
    /// `owner type ttl data` of each record.
    pub(super) answers: Vec<String>,
    pub(super) authority: Vec<String>,
    /// `edns`, with `do` and the codes of Extended DNS Errors.
    pub(super) edns: Option<String>,
}

/// Reads every octet; panics on anything malformed or left over.
pub(super) fn summary(response: &[u8]) -> Summary {
    let message = Message::from_octets(response).expect("a header");
    let header = message.header();
    assert!(header.qr(), "a response has QR set");
    let flags = [
        (header.aa(), "aa"),
        (header.tc(), "tc"),
        (header.rd(), "rd"),
        (header.ra(), "ra"),
        (header.z(), "z"),
        (header.ad(), "ad"),
        (header.cd(), "cd"),
    ];
    let flags = flags.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect::<Vec<_>>().join(" ");

    let mut questions = message.question();
    assert_eq!(
        questions.by_ref().filter(Result::is_ok).count(),
        usize::from(message.header_counts().qdcount())
    );
    let answer = questions.answer().expect("an answer section");
    let answers = lines(answer);
    let authority = answer.next_section().expect("a section").expect("an authority section");
    let additional = authority.next_section().expect("a section").expect("an additional section");
    let authority = lines(authority);
    let mut rest = additional;
    let mut opts = 0;
    for record in rest.by_ref() {
        assert_eq!(record.expect("a record").rtype(), Rtype::OPT, "nothing else is ever added");
        opts += 1;
    }
    assert_eq!(rest.pos(), response.len(), "octets behind the last record");
    assert!(opts <= 1);
    let opt = message.opt();
    assert_eq!(opt.is_some(), opts == 1);
    let edns = opt.map(|opt| {
        assert_eq!((opt.version(), opt.udp_payload_size()), (0, 1232));
        let mut text = "edns".to_owned();
        if opt.dnssec_ok() {
            text.push_str(" do");
        }
        for option in opt.opt().iter::<AllOptData<&[u8], Name<&[u8]>>>() {
            match option.expect("an option") {
                AllOptData::ExtendedError(error) => {
                    assert!(ExtendedError::text(&error).is_none());
                    text.push_str(&format!(" ede {}", error.code().to_int()));
                }
                other => panic!("unexpected option {other:?}"),
            }
        }
        text
    });
    Summary { rcode: message.opt_rcode().to_int(), flags, answers, authority, edns }
}

fn lines(section: domain::base::message::RecordSection<'_, &[u8]>) -> Vec<String> {
    section
        .into_records::<Data<'_>>()
        .map(|record| {
            let record = record.expect("a record");
            format!(
                "{} {} {} {}",
                record.owner(),
                record.rtype(),
                record.ttl().as_secs(),
                data(record.data())
            )
        })
        .collect()
}

fn data(data: &Data<'_>) -> String {
    match data {
        AllRecordData::A(a) => a.addr().to_string(),
        AllRecordData::Cname(alias) => alias.cname().to_string(),
        AllRecordData::Ns(ns) => ns.nsdname().to_string(),
        AllRecordData::Soa(soa) => {
            format!("{} {} {} min {}", soa.mname(), soa.rname(), soa.serial(), soa.minimum().as_secs())
        }
        other => panic!("unexpected data {other:?}"),
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rcode = match self.rcode {
            0 => "NOERROR",
            1 => "FORMERR",
            2 => "SERVFAIL",
            3 => "NXDOMAIN",
            4 => "NOTIMP",
            5 => "REFUSED",
            16 => "BADVERS",
            _ => "?",
        };
        let flags = &self.flags;
        write!(f, "{rcode} {flags} | {} | {}", self.answers.join(", "), self.authority.join(", "))?;
        if let Some(edns) = &self.edns {
            write!(f, " | {edns}")?;
        }
        Ok(())
    }
}
