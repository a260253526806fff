//! What the fuzz targets reach of this room; see [`crate::fuzzing`].

mod answer;
mod resolver;
mod transfer;
mod tsig;
mod world;

pub use answer::check as answer;
pub use resolver::check as resolver;
pub(crate) use transfer::check as transfer;
pub use tsig::check as tsig;

use domain::base::Message;
use domain::base::iana::Rtype;
use domain::base::message::RecordSection;
use domain::base::name::ParsedName;
use domain::rdata::AllRecordData;

type Data<'a> = AllRecordData<&'a [u8], ParsedName<&'a [u8]>>;

/// Reads a response of ours with an independent parser, to its last octet.
fn readable(response: &[u8]) {
    let message = Message::from_octets(response).expect("a header");
    assert!(message.header().qr(), "a response");
    let mut questions = message.question();
    for question in questions.by_ref() {
        question.expect("a question");
    }
    let mut section = Some(questions.answer().expect("an answer section"));
    let mut number = 0;
    while let Some(records) = section {
        let mut rest = records;
        for record in rest.by_ref() {
            let record = record.expect("a record");
            assert!(number == 2 || record.rtype() != Rtype::OPT);
            record.to_record::<Data<'_>>().expect("data that can be read");
        }
        section = next(rest, response);
        number += 1;
    }
}

fn next<'a>(section: RecordSection<'a, &'a [u8]>, response: &[u8]) -> Option<RecordSection<'a, &'a [u8]>> {
    let end = section.pos();
    let next = section.next_section().expect("a section");
    if next.is_none() {
        assert_eq!(end, response.len(), "octets behind the last record");
    }
    next
}
