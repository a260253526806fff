//! Both sides of this module against each other, and what the RFC says about each fault.

use super::*;

const ALGORITHMS: [Algorithm; 3] = [Algorithm::HmacSha256, Algorithm::HmacSha384, Algorithm::HmacSha512];

#[test]
fn a_request_and_a_chain_of_responses_are_taken_and_come_back_as_they_were() {
    for algorithm in ALGORITHMS {
        let (key, request, mut verifier) = signed(algorithm);
        let mut verified = verify(&keys(&[(*key).clone()]), &request, NOW + 300).expect("accepted");
        assert_eq!(verified.message, query());
        assert_eq!(*verified.key, *key);
        for text in ["one", "two", "three"] {
            let mut message = response(text);
            let plain = message.len();
            verified.signer.sign(&mut message, NOW);
            assert_eq!(message.len(), plain + verified.signer.overhead());
            verifier.verify(&mut message, NOW).expect("accepted");
            assert_eq!(message, response(text));
        }
        assert_eq!(verifier.finish(), Ok(()));
    }
}
