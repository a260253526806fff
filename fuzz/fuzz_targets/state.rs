#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| privatelink_dns::fuzzing::state(octets));
