//! Responses, one and many, from the client's side.

use super::*;

/// A chain whose first message is there: what checks the rest, and the first MAC.
fn begun() -> (Verifier, Vec<u8>) {
    let (_, mac, mut verifier) = signed_query();
    let first = Forge { prior: mac, ..Forge::default() };
    verifier.verify(&mut first.sign(&response("first")), NOW).expect("accepted");
    (verifier, first.mac(&response("first")))
}

#[test]
fn a_request_and_a_chain_of_responses_come_back_as_they_were() {
    for algorithm in ALGORITHMS {
        let key = key("transfer.example", algorithm);
        let mut request = query();
        let mut verifier = sign_request(&key, &mut request, NOW);
        let mut verified = verify(&only(&key), &request, NOW).expect("accepted");
        for text in ["one", "two", "three"] {
            let mut message = response(text);
            let plain = message.len();
            verified.signer.sign(&mut message, NOW);
            assert_eq!(message.len(), plain + verified.signer.overhead());
            verifier.verify(&mut message, NOW).expect("accepted");
            assert_eq!(message, response(text));
            assert_eq!(verifier.finish(), Ok(()));
        }
    }
}

#[test]
fn the_messages_of_a_chain_are_what_the_rfc_says() {
    let (request, mut prior, _) = signed_query();
    let mut signer = verify(&only(&transfer_key()), &request, NOW).expect("accepted").signer;
    for (i, text) in ["one", "two", "three"].into_iter().enumerate() {
        let mut message = response(text);
        signer.sign(&mut message, NOW + 9);
        let forge = Forge { prior, time: NOW + 9, timers_only: i > 0, ..Forge::default() };
        assert_eq!(message, forge.sign(&response(text)));
        prior = forge.mac(&response(text));
    }
    let mut short = vec![1; 11];
    signer.sign(&mut short, NOW);
    assert_eq!(short, [1; 11]);
}

#[test]
fn ninety_nine_unsigned_messages_may_stand_between_two_signed_ones() {
    for (count, good) in [(1, true), (98, true), (99, true), (100, false)] {
        let (mut verifier, prior) = begun();
        // Twice, because the count begins anew.
        let forge = Forge { unsigned: vec![response("unsigned"); count], ..Forge::later(&prior) };
        let prior = forge.mac(&response("signed"));
        for forge in [forge.clone(), Forge { prior, ..forge }] {
            for i in 0..count {
                let mut message = response("unsigned");
                let expected = if i < 99 { Ok(()) } else { Err(ResponseError::TooManyUnsigned) };
                assert_eq!(verifier.verify(&mut message, NOW), expected);
                assert_eq!(message, response("unsigned"));
                assert_eq!(verifier.finish(), Err(ResponseError::Unsigned));
            }
            let result = verifier.verify(&mut forge.sign(&response("signed")), NOW);
            assert_eq!(result.is_ok(), good, "{count}");
            assert_eq!(verifier.finish().is_ok(), good, "{count}");
            if !good {
                break;
            }
        }
    }
}

#[test]
fn an_unsigned_message_is_covered_by_the_next_signature() {
    let (mut verifier, prior) = begun();
    verifier.verify(&mut response("changed on the way"), NOW).expect("accepted so far");
    let forge = Forge { unsigned: vec![response("as it was sent")], ..Forge::later(&prior) };
    let mut message = forge.sign(&response("signed"));
    assert_eq!(verifier.verify(&mut message, NOW), Err(ResponseError::BadSignature));
    assert_eq!(verifier.finish(), Err(ResponseError::Unsigned));
}

#[test]
fn what_is_wrong_with_a_response_is_told_and_the_right_one_is_still_taken() {
    let (_, mac, mut verifier) = signed_query();
    let right = Forge { prior: mac, ..Forge::default() };
    let text = response("x");
    let mut refusal = query();
    refusal[2..4].copy_from_slice(b"\x84\x09");
    let unsigned = |error: u16, other: &[u8]| {
        let forge = Forge { error, other: other.to_vec(), cut: 0, ..Forge::default() };
        forge.sign(&refusal)
    };
    let told =
        |error: u16, other: &[u8]| Forge { error, other: other.to_vec(), ..right.clone() }.sign(&refusal);
    let refused = |refusal| ResponseError::Refused(refusal);
    assert_eq!(verifier.finish(), Err(ResponseError::Unsigned));
    for (message, expected) in [
        (text.clone(), ResponseError::Unsigned),
        (text[..30].to_vec(), ResponseError::Malformed),
        (Vec::new(), ResponseError::Malformed),
        ([right.sign(&text), vec![0]].concat(), ResponseError::Malformed),
        (Forge { owner: b"\x01a\0", ..right.clone() }.sign(&text), ResponseError::WrongKey),
        (Forge { algorithm: b"\x0bhmac-sha512\0", ..right.clone() }.sign(&text), ResponseError::WrongKey),
        (Forge::default().sign(&text), ResponseError::BadSignature),
        (Forge { timers_only: true, ..right.clone() }.sign(&text), ResponseError::BadSignature),
        (Forge { cut: 16, ..right.clone() }.sign(&text), ResponseError::BadSignature),
        (Forge { cut: 0, ..right.clone() }.sign(&text), ResponseError::BadSignature),
        (
            Forge { time: NOW - 301, ..right.clone() }.sign(&text),
            ResponseError::Time { signed: NOW - 301, now: NOW },
        ),
        (unsigned(16, b""), refused(Refusal::BadSig)),
        (unsigned(17, b""), refused(Refusal::BadKey)),
        (unsigned(22, b""), refused(Refusal::BadTrunc)),
        (told(22, b""), refused(Refusal::BadTrunc)),
        (told(18, &[0, 0, 0, 0, 1, 2]), refused(Refusal::BadTime { server: Some(258) })),
        (told(18, &[1]), refused(Refusal::BadTime { server: None })),
        (told(5, b""), refused(Refusal::Other(5))),
    ] {
        let mut seen = message.clone();
        assert_eq!(verifier.verify(&mut seen, NOW), Err(expected));
        assert_eq!(seen, message, "unchanged");
    }
    assert_eq!(verifier.verify(&mut right.sign(&text), NOW), Ok(()));
    assert_eq!(verifier.finish(), Ok(()));
    // An error in a later message, where the digest does not have it.
    let prior = right.mac(&text);
    let mut late = Forge { error: 16, ..Forge::later(&prior) }.sign(&text);
    assert_eq!(verifier.verify(&mut late, NOW), Err(refused(Refusal::BadSig)));
}

#[test]
fn no_flipped_bit_passes() {
    let text = response("text");
    let (_, mac, start) = signed_query();
    let (begun, later) = begun();
    for (verifier, forge) in
        [(start, Forge { prior: mac, ..Forge::default() }), (begun, Forge::later(&later))]
    {
        let message = forge.sign(&text);
        for bit in 0..message.len() * 8 {
            let (mut flipped, mut verifier) = (message.clone(), verifier.clone());
            flipped[bit / 8] ^= 1 << (bit % 8);
            // A message that has lost its TSIG may pass, until the end is asked for.
            let result = verifier.verify(&mut flipped, NOW).and_then(|()| verifier.finish());
            assert_eq!(
                result.is_ok(),
                is_the_same(&message, text.len(), bit),
                "octet {} bit {}",
                bit / 8,
                bit % 8
            );
            if result.is_ok() {
                assert_eq!(flipped, text);
            }
        }
    }
}
