//! What a server says about requests that are not as they should be.

use super::*;

/// The reason, and the response to the request.
fn refused(message: &[u8], now: u64) -> (Reason, Vec<u8>) {
    let rejected = verify(&only(&transfer_key()), message, now).expect_err("refused");
    let mut response = b"what was there before".to_vec();
    rejected.respond(message, &mut response);
    (rejected.reason, response)
}

/// The header and question of a response to [`query`].
fn head(rcode: u8) -> Vec<u8> {
    let mut head = query()[..query().len() - 11].to_vec();
    head[2] |= 0x80;
    head[3] |= rcode;
    head[11] = 0;
    head
}

#[test]
fn a_signed_request_is_what_the_rfc_says() {
    let (message, ..) = signed_query();
    assert_eq!(message, Forge::default().sign(&query()));
    let verified = verify(&only(&transfer_key()), &message, NOW).expect("accepted");
    assert_eq!((verified.message, verified.key), (query(), transfer_key()));
}

#[test]
fn key_and_algorithm_are_known_by_name_whatever_the_case() {
    let forge =
        Forge { owner: b"\x08TRANSFER\x07exAmple\0", algorithm: b"\x0bHMAC-sha256\0", ..Forge::default() };
    assert!(verify(&only(&transfer_key()), &forge.sign(&query()), NOW).is_ok());
    let others = [
        Forge { owner: b"\x07another\0", ..Forge::default() },
        Forge { owner: b"\0", ..Forge::default() },
        Forge { owner: b"\x03a.b\x01\xff\0", ..Forge::default() },
        Forge { algorithm: b"\x08hmac-md5\x07sig-alg\x03reg\x03int\0", ..Forge::default() },
        Forge { algorithm: b"\x09hmac-sha1\0", ..Forge::default() },
        Forge { algorithm: b"\0", ..Forge::default() },
        // The key's name with another algorithm than its own.
        Forge { algorithm: b"\x0bhmac-sha512\0", ..Forge::default() },
    ];
    for forge in others {
        let (reason, response) = refused(&forge.sign(&query()), NOW + 5);
        assert_eq!(reason, Reason::BadKey);
        // Unsigned: the MAC is empty.
        let told = Forge { error: 17, time: NOW + 5, ..forge };
        let mut expected = [head(9), told.record(b"\x12\x34", b"")].concat();
        expected[11] = 1;
        assert_eq!(response, expected);
    }
}

#[test]
fn a_question_that_points_somewhere_is_not_repeated() {
    // The low octet of the second pointer is that of a name's end.
    for name in [&b"\xc0\x0c"[..], b"\xc0\0", b"\x01a\xc0\0"] {
        let request = [b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0", name, b"\0\x01\0\x01"].concat();
        assert_eq!(refused(&request, NOW), (Reason::Malformed, b"\x12\x34\x81\x01\0\0\0\0\0\0\0\0".to_vec()));
    }
}

#[test]
fn a_wrong_mac_is_told_unsigned() {
    for message in [
        Forge { prior: vec![1; 32], ..Forge::default() }.sign(&query()),
        // Cut, and wrong before that.
        Forge { prior: vec![1; 32], cut: 16, ..Forge::default() }.sign(&query()),
        // Too old and wrong: nobody may ask for our time without a key.
        Forge { prior: vec![1; 32], time: 5, ..Forge::default() }.sign(&query()),
    ] {
        let (reason, response) = refused(&message, NOW);
        assert_eq!(reason, Reason::BadSig);
        let mut expected =
            [head(9), Forge { error: 16, ..Forge::default() }.record(b"\x12\x34", b"")].concat();
        expected[11] = 1;
        assert_eq!(response, expected);
        let (.., mut verifier) = signed_query();
        let mut response = response;
        assert_eq!(verifier.verify(&mut response, NOW), Err(ResponseError::Refused(Refusal::BadSig)));
    }
}

#[test]
fn the_time_may_differ_by_the_fudge_and_not_by_more() {
    let keys = only(&transfer_key());
    let (message, mac, verifier) = signed_query();
    for now in [NOW - 300, NOW, NOW + 300] {
        assert!(verify(&keys, &message, now).is_ok(), "{now}");
    }
    for now in [0, NOW - 301, NOW + 301, (1 << 48) - 1] {
        let (reason, response) = refused(&message, now);
        assert_eq!(reason, Reason::BadTime);
        let other = now.to_be_bytes()[2..].to_vec();
        let forge = Forge { error: 18, other, prior: mac.clone(), ..Forge::default() };
        assert_eq!(response, forge.sign(&head(9)));
        let (mut response, mut verifier) = (response, verifier.clone());
        let refusal = Refusal::BadTime { server: Some(now) };
        assert_eq!(verifier.verify(&mut response, NOW), Err(ResponseError::Refused(refusal)));
    }
    // The sender's fudge counts.
    let strict = Forge { fudge: 0, ..Forge::default() }.sign(&query());
    assert!(verify(&keys, &strict, NOW).is_ok());
    assert_eq!(refused(&strict, NOW + 1).0, Reason::BadTime);
}

#[test]
fn a_mac_has_its_full_length() {
    for cut in [16, 31] {
        let message = Forge { cut, ..Forge::default() }.sign(&query());
        let (reason, response) = refused(&message, NOW + 1);
        assert_eq!(reason, Reason::BadTrunc);
        let mac = Forge { cut, ..Forge::default() }.mac(&query());
        let forge = Forge { error: 22, prior: mac, time: NOW + 1, ..Forge::default() };
        assert_eq!(response, forge.sign(&head(9)));
        // The time is looked at first (section 5.2).
        assert_eq!(refused(&message, NOW + 301).0, Reason::BadTime);
    }
    for cut in [0, 9, 15, 33] {
        let message = Forge { cut, ..Forge::default() }.sign(&query());
        assert_eq!(refused(&message, NOW), (Reason::Malformed, head(1)), "{cut}");
    }
}

#[test]
fn a_record_in_the_wrong_place_or_form_is_a_format_error() {
    let (message, ..) = signed_query();
    let start = query().len();
    let change = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut message = message.clone();
        change(&mut message);
        message
    };
    let twice = change(&|m| {
        let record = m[start..].to_vec();
        m.extend(record);
        m[11] += 1;
    });
    let not_last = change(&|m| {
        m.extend_from_slice(b"\0\0\x10\0\x01\0\0\0\0\0\0");
        m[11] += 1;
    });
    let answer = {
        let mut message = [head(0), message[start..].to_vec()].concat();
        message[7] = 1;
        message
    };
    for (what, message) in [
        ("none", query()),
        ("two", twice),
        ("not last", not_last),
        ("in the answer section", answer),
        ("octets behind it", change(&|m| m.push(0))),
        ("class IN", change(&|m| m[start + 21] = 1)),
        ("a TTL", change(&|m| m[start + 25] = 1)),
        ("a MAC beyond the record", change(&|m| m[start + 50] = 0xff)),
        ("Other Data beyond the record", change(&|m| *m.last_mut().expect("an octet") = 1)),
        ("cut off", change(&|m| m.truncate(start + 60))),
        (
            "no data",
            change(&|m| {
                m.truncate(start + 28);
                m[start + 27] = 0;
            }),
        ),
        (
            "an owner that points to itself",
            change(&|m| {
                m.splice(start..start + 18, [0xc0, start as u8]);
            }),
        ),
    ] {
        assert_eq!(refused(&message, NOW), (Reason::Malformed, head(1)), "{what}");
    }
    let empty = (Reason::Malformed, Vec::new());
    assert_eq!(refused(b"", NOW), empty);
    assert_eq!(refused(&message[..11], NOW), empty);
    // A response has the question only when there is one that can be read.
    for (from, to) in [(4, 2), (5, 0), (12, 0xc0), (12, 0x40), (12, 63)] {
        let mut expected = head(1)[..12].to_vec();
        expected[5] = 0;
        assert_eq!(refused(&change(&|m| m[from] = to), NOW), (Reason::Malformed, expected), "{from} {to}");
    }
}

#[test]
fn a_forwarder_may_change_the_id() {
    let (mut message, mac, mut verifier) = signed_query();
    message[..2].copy_from_slice(b"ID");
    let mut verified = verify(&only(&transfer_key()), &message, NOW).expect("accepted");
    assert_eq!(verified.message, query());
    let mut answer = response("x");
    verified.signer.sign(&mut answer, NOW);
    assert_eq!(answer[..2], *b"ID");
    answer[..2].copy_from_slice(b"\x12\x34");
    assert_eq!(answer, Forge { prior: mac, ..Forge::default() }.sign(&response("x")));
    assert_eq!(verifier.verify(&mut answer, NOW), Ok(()));
}

#[test]
fn no_flipped_bit_passes() {
    let (message, ..) = signed_query();
    let keys = only(&transfer_key());
    for bit in 0..message.len() * 8 {
        let mut flipped = message.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        match verify(&keys, &flipped, NOW) {
            Ok(verified) => {
                assert!(is_the_same(&message, query().len(), bit), "octet {} bit {}", bit / 8, bit % 8);
                assert_eq!(verified.message, query());
            }
            Err(_) => assert!(!is_the_same(&message, query().len(), bit), "octet {}", bit / 8),
        }
    }
}
