//! Messages of random content, keys and lengths, between this module and the `domain` crate.

use domain::base::iana::{Class, Rtype};
use domain::base::message_builder::AdditionalBuilder;
use domain::base::rdata::UnknownRecordData;
use domain::base::{Message, MessageBuilder, Name, Ttl};
use domain::rdata::tsig::Time48;
use domain::tsig::{self as other, ClientSequence, ClientTransaction, ServerSequence, ServerTransaction};
use proptest::prelude::*;

use super::*;

/// The same key for both.
#[derive(Debug, Clone)]
struct Pair {
    ours: Arc<Key>,
    theirs: Arc<other::Key>,
}

fn pair() -> impl Strategy<Value = Pair> {
    let name = "[A-Za-z0-9_-]{1,63}(\\.[A-Za-z0-9-]{1,20}){0,3}";
    let secret = prop::collection::vec(any::<u8>(), 16..200);
    (name, prop::sample::select(ALGORITHMS.to_vec()), secret).prop_map(|(name, algorithm, secret)| {
        let theirs = match algorithm {
            Algorithm::HmacSha256 => other::Algorithm::Sha256,
            Algorithm::HmacSha384 => other::Algorithm::Sha384,
            Algorithm::HmacSha512 => other::Algorithm::Sha512,
        };
        let theirs = other::Key::new(theirs, &secret, name.parse().expect("a name"), None, None);
        let ours = Key::new(name.parse().expect("a name"), algorithm, &secret).expect("a key");
        Pair { ours: Arc::new(ours), theirs: Arc::new(theirs.expect("a key")) }
    })
}

/// What a message is made of: id, flags, and records as type and data.
type Parts = (u16, u8, Vec<(u16, Vec<u8>)>);

fn parts() -> impl Strategy<Value = Parts> {
    // Every type but OPT and TSIG, of which there may be one, and in one place.
    let kind = any::<u16>().prop_filter("a record", |kind| !matches!(kind, 41 | 250));
    let record = (kind, prop::collection::vec(any::<u8>(), 0..400));
    (any::<u16>(), any::<u8>(), prop::collection::vec(record, 0..12))
}

fn build((id, flags, records): &Parts, is_response: bool) -> AdditionalBuilder<Vec<u8>> {
    let mut builder = MessageBuilder::new_vec();
    let header = builder.header_mut();
    header.set_id(*id);
    header.set_qr(is_response);
    header.set_aa(flags & 1 != 0);
    header.set_rd(flags & 2 != 0);
    header.set_ad(flags & 4 != 0);
    header.set_z(flags & 8 != 0);
    let name: Name<Vec<u8>> = "Zone.example".parse().expect("a name");
    let mut builder = builder.question();
    builder.push((&name, Rtype::AXFR)).expect("room");
    let mut builder = builder.answer();
    for (kind, data) in records {
        let data = UnknownRecordData::from_octets(Rtype::from_int(*kind), data).expect("short");
        builder.push((&name, Class::IN, Ttl::from_secs(5), data)).expect("room");
    }
    builder.additional()
}

fn message(octets: Vec<u8>) -> Message<Vec<u8>> {
    Message::from_octets(octets).expect("a message")
}

fn then() -> Time48 {
    Time48::from_u64(NOW)
}

#[test]
fn domain_takes_the_unsigned_messages_that_we_take() {
    let theirs = other::Key::new(
        other::Algorithm::Sha256,
        &SECRET,
        "transfer.example".parse().expect("a name"),
        None,
        None,
    );
    let query = (0x1234, 0, Vec::new());
    let mut builder = build(&query, false);
    let mut chain =
        ClientSequence::request(Arc::new(theirs.expect("a key")), &mut builder, then()).expect("room");
    let text = response("text");
    let first = Forge { prior: Forge::default().mac(&build(&query, false).finish()), ..Forge::default() };
    assert!(chain.answer(&mut message(first.sign(&text)), then()).is_ok());
    for _ in 0..99 {
        assert!(chain.answer(&mut message(text.clone()), then()).is_ok());
    }
    let last = Forge { unsigned: vec![text.clone(); 99], ..Forge::later(&first.mac(&text)) };
    assert!(chain.answer(&mut message(last.sign(&text)), then()).is_ok());
    assert!(chain.done().is_ok());
}

proptest! {
    #[test]
    fn domain_accepts_our_responses(pair in pair(), query in parts(), answers in prop::collection::vec(parts(), 1..6)) {
        let mut request = build(&query, false);
        let single = ClientTransaction::request(Arc::clone(&pair.theirs), &mut request, then()).expect("room");
        let mut other = build(&query, false);
        let mut chain = ClientSequence::request(Arc::clone(&pair.theirs), &mut other, then()).expect("room");
        let request = request.finish();
        prop_assert_eq!(&request, &other.finish());

        let mut verified = verify(&only(&pair.ours), &request, NOW).expect("accepted");
        prop_assert_eq!(&verified.message, &build(&query, false).finish());
        for (i, answer) in answers.iter().enumerate() {
            let answer = (query.0, answer.1, answer.2.clone());
            let plain = build(&answer, true).finish();
            let mut signed = plain.clone();
            verified.signer.sign(&mut signed, NOW);
            prop_assert_eq!(signed.len(), plain.len() + verified.signer.overhead());
            if i == 0 {
                let mut signed = message(signed.clone());
                prop_assert!(single.answer(&mut signed, then()).is_ok());
            }
            let mut signed = message(signed);
            prop_assert!(chain.answer(&mut signed, then()).is_ok(), "message {}", i);
            prop_assert_eq!(&signed.as_slice()[..plain.len()], &plain);
        }
        prop_assert!(chain.done().is_ok());
    }

    #[test]
    fn domain_accepts_our_requests_and_we_its_responses(pair in pair(), query in parts(), answers in prop::collection::vec(parts(), 1..6)) {
        let mut request = build(&query, false).finish();
        let mut verifier = sign_request(&pair.ours, &mut request, NOW);
        let mut first = verifier.clone();
        let transaction = ServerTransaction::request(&pair.theirs, &mut message(request.clone()), then());
        let transaction = transaction.expect("accepted").expect("signed");
        let sequence = ServerSequence::request(&pair.theirs, &mut message(request), then());
        let mut sequence = sequence.expect("accepted").expect("signed");

        let mut single = build(&(query.0, answers[0].1, answers[0].2.clone()), true);
        let plain = single.as_slice().to_vec();
        transaction.answer(&mut single, then()).expect("room");
        let mut single = single.finish();
        prop_assert_eq!(first.verify(&mut single, NOW), Ok(()));
        prop_assert_eq!(single, plain);
        for answer in &answers {
            let mut answer = build(&(query.0, answer.1, answer.2.clone()), true);
            let plain = answer.as_slice().to_vec();
            sequence.answer(&mut answer, then()).expect("room");
            let mut signed = answer.finish();
            prop_assert_eq!(verifier.verify(&mut signed, NOW), Ok(()));
            prop_assert_eq!(signed, plain);
        }
        prop_assert_eq!(verifier.finish(), Ok(()));
    }

    #[test]
    fn domain_refuses_what_we_refuse(pair in pair(), other in pair(), query in parts(), bit in any::<prop::sample::Index>()) {
        let mut request = build(&query, false).finish();
        let plain = request.len();
        sign_request(&pair.ours, &mut request, NOW);
        // Behind the id, and not in the names, where it may change the case alone.
        let names = plain..plain + pair.ours.name().as_str().len() + 2 + 10 + 13;
        let bit = 16 + bit.index(request.len() * 8 - 16);
        let mut flipped = request.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if !names.contains(&(bit / 8)) {
            prop_assert!(verify(&only(&pair.ours), &flipped, NOW).is_err());
            let theirs = Message::from_octets(flipped).map(|mut flipped| {
                matches!(ServerTransaction::request(&pair.theirs, &mut flipped, then()), Ok(Some(_)))
            });
            prop_assert!(!theirs.unwrap_or(false));
        }
        if other.ours != pair.ours {
            prop_assert!(verify(&only(&other.ours), &request, NOW).is_err());
        }
    }

    #[test]
    fn domain_reads_our_errors(pair in pair(), query in parts()) {
        let mut builder = build(&query, false);
        let transaction = ClientTransaction::request(Arc::clone(&pair.theirs), &mut builder, then()).expect("room");
        let request = builder.finish();
        let answer = |keys: &Keys, request: &[u8]| {
            let mut response = Vec::new();
            verify(keys, request, NOW).expect_err("refused").respond(request, &mut response);
            transaction.answer(&mut message(response), then())
        };
        let unknown = answer(&Keys::default(), &request);
        prop_assert!(matches!(unknown, Err(other::ValidationError::ServerBadKey)), "{:?}", unknown);
        let secret = Key::new(pair.ours.name().clone(), pair.ours.algorithm(), &[9; 16]).expect("a key");
        let wrong = answer(&only(&secret), &request);
        prop_assert!(matches!(wrong, Err(other::ValidationError::ServerBadSig)), "{:?}", wrong);
    }

    #[test]
    fn arbitrary_octets_do_no_harm(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        counts in prop::array::uniform4(0_u8..4),
        at in any::<prop::sample::Index>(),
        length in 0_usize..20,
    ) {
        let keys = only(&transfer_key());
        let try_all = |octets: &[u8]| {
            let (.., mut verifier) = signed_query();
            let _ = verifier.verify(&mut octets.to_vec(), NOW);
            if let Err(rejected) = verify(&keys, octets, NOW) {
                let mut response = Vec::new();
                rejected.respond(octets, &mut response);
                assert!(response.is_empty() || Message::from_octets(response).is_ok());
            }
        };
        try_all(&noise);
        // Counts that let the reader go further.
        let mut header = vec![0; 4];
        header.extend(counts.iter().flat_map(|count| [0, *count]));
        try_all(&[&header, &noise[..]].concat());
        // A signed message with a part replaced.
        let (mut message, ..) = signed_query();
        let start = at.index(message.len());
        let end = message.len().min(start + length);
        message.splice(start..end, noise.into_iter().take(length));
        try_all(&message);
    }
}
