//! Messages as an independent library reads them, and what is made of replies.

use hickory_proto::op::Message;
use hickory_proto::rr::{DNSClass, RData, RecordType};
use proptest::prelude::*;

use super::*;

fn name(text: &str) -> DnsName {
    text.parse().expect("a name")
}

fn addresses(last: &[u8]) -> BTreeSet<Ipv4Addr> {
    last.iter().map(|last| Ipv4Addr::new(10, 0, 0, *last)).collect()
}

fn change(owner: &str, before: &[u8], remove: &[u8], add: &[u8]) -> NameChange {
    NameChange {
        owner: name(owner),
        before: addresses(before),
        is_unused: false,
        remove: addresses(remove),
        add: addresses(add),
        ttl: 10,
    }
}

/// What a message says: its prerequisites and updates as text.
fn read(octets: &[u8]) -> (Vec<String>, Vec<String>) {
    let message = Message::from_vec(octets).expect("a message");
    assert_eq!(message.queries.len(), 1);
    assert_eq!(message.queries[0].query_type(), RecordType::SOA);
    let text = |record: &hickory_proto::rr::Record| {
        let data = match &record.data {
            RData::A(address) => address.to_string(),
            _ => "-".to_owned(),
        };
        let class = match record.dns_class {
            DNSClass::IN => "IN",
            DNSClass::NONE => "NONE",
            _ => "?",
        };
        format!("{} {} {class} {} {data}", record.name, record.ttl, record.record_type())
    };
    (message.answers.iter().map(text).collect(), message.authorities.iter().map(text).collect())
}

#[test]
fn a_change_carries_what_the_name_has_to_hold() {
    let changes = [
        change("h.z.example", &[], &[], &[1]),
        change("z.example", &[1, 2], &[1], &[3]),
        change("g.z.example", &[7], &[7], &[]),
        NameChange { is_unused: true, ..change("n.z.example", &[], &[], &[4]) },
    ];
    let [update] = messages(&name("z.example"), &changes, LONGEST).try_into().expect("one message");
    assert_eq!(update.changes, changes);
    let (prerequisites, updates) = read(&update.octets);
    assert_eq!(
        prerequisites,
        [
            "h.z.example. 0 NONE A -",
            "h.z.example. 0 NONE CNAME -",
            "z.example. 0 IN A 10.0.0.1",
            "z.example. 0 IN A 10.0.0.2",
            "g.z.example. 0 IN A 10.0.0.7",
            "n.z.example. 0 NONE ANY -",
        ]
    );
    assert_eq!(
        updates,
        [
            "h.z.example. 10 IN A 10.0.0.1",
            "z.example. 10 IN A 10.0.0.3",
            "z.example. 0 NONE A 10.0.0.1",
            "g.z.example. 0 NONE A 10.0.0.7",
            "n.z.example. 10 IN A 10.0.0.4",
        ]
    );
    assert_eq!(changes[1].after(), addresses(&[2, 3]));
}

#[test]
fn nothing_to_change_is_no_message() {
    assert!(messages(&name("z.example"), &[], LONGEST).is_empty());
}

proptest! {
    #[test]
    fn messages_fit_and_hold_every_change_once_in_order(
        lengths in prop::collection::vec((1_usize..60, 0_u8..4), 1..400),
        longest in 200_usize..5000,
    ) {
        let changes: Vec<NameChange> = lengths
            .iter()
            .enumerate()
            .map(|(i, (length, before))| {
                let before: Vec<u8> = (1..=*before).collect();
                change(&format!("{}{i}.z.example", "a".repeat(*length)), &before, &before, &[9])
            })
            .collect();
        let updates = messages(&name("z.example"), &changes, longest);
        let all: Vec<NameChange> = updates.iter().flat_map(|update| update.changes).cloned().collect();
        prop_assert_eq!(&all, &changes);
        for update in &updates {
            prop_assert!(update.octets.len() <= longest || update.changes.len() == 1);
            let (prerequisites, updates) = read(&update.octets);
            let count = |of: fn(&NameChange) -> usize| update.changes.iter().map(of).sum::<usize>();
            prop_assert_eq!(prerequisites.len(), count(|c| if c.before.is_empty() { 2 } else { c.before.len() }));
            prop_assert_eq!(updates.len(), count(|c| c.add.len() + c.remove.len()));
            for change in update.changes {
                let added = format!("{}. 10 IN A 10.0.0.9", change.owner);
                prop_assert!(updates.contains(&added));
            }
        }
    }
}

#[test]
fn what_a_server_says_is_told_apart() {
    let changes = [change("h.z.example", &[], &[], &[1])];
    let request = messages(&name("z.example"), &changes, LONGEST).remove(0).octets;
    let response = |code: u8| {
        let mut response = request.clone();
        response.truncate(HEADER + name("z.example").to_wire().len() + 4);
        (response[2], response[3]) = (UPDATE | 0x80, code);
        response[6..12].fill(0);
        response
    };
    let said = |code| reply(&request, &response(code), Ok(()));
    assert_eq!(said(0), Reply::Done);
    for (code, text) in [(3, "NXDOMAIN"), (6, "YXDOMAIN"), (7, "YXRRSET"), (8, "NXRRSET")] {
        assert_eq!(said(code), Reply::Changed(text.to_owned()));
    }
    for code in [1, 2, 4, 5, 9, 10, 11] {
        assert!(matches!(said(code), Reply::Refused { code: c, .. } if c == code), "{code}");
    }
    // Not signed as it should be: whether it was done is not known.
    for error in [ResponseError::BadSignature, ResponseError::Unsigned, ResponseError::WrongKey] {
        assert!(
            matches!(reply(&request, &response(0), Err(error.into())), Reply::Unknown { answered: true, .. }),
            "{error}"
        );
    }
    assert!(matches!(
        reply(&request, &response(7), Err(ResponseError::BadSignature.into())),
        Reply::Unknown { answered: true, .. }
    ));
    let refused = reply(&request, &response(9), Err(ResponseError::Refused(Refusal::BadKey).into()));
    assert!(matches!(refused, Reply::Refused { problem, .. } if problem.contains("add the key")));
    assert!(matches!(
        reply(&request, &response(5), Err(ResponseError::Unsigned.into())),
        Reply::Refused { code: 5, .. }
    ));
    let mut other = response(0);
    other[1] = 7;
    assert!(matches!(reply(&request, &other, Ok(())), Reply::Unknown { answered: true, .. }));
    // BIND leaves the zone section out of some responses.
    let mut bare = response(0);
    bare.truncate(HEADER);
    bare[5] = 0;
    assert_eq!(reply(&request, &bare, Ok(())), Reply::Done);
}
