//! State files and ledgers of any octets.

use jiff::Timestamp;

use crate::serve::{Context, Counters, Image};
use crate::store::Saved;
use crate::zones::{Publication, generation};

/// What can be read is written and read again the same, and the daemon can go on from it.
pub fn state(octets: &[u8]) {
    crate::targets::fuzzing::ledger(octets);
    let saved = match Saved::from_bytes(octets) {
        Ok(saved) => saved,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let write = |saved: &Saved| {
        let mut octets = Vec::new();
        saved.write(&mut octets).expect("memory");
        octets
    };
    let written = write(&saved);
    let again = Saved::from_bytes(&written).expect("what was written");
    assert_eq!(again, saved, "read again");
    assert_eq!(write(&again), written, "written again");
    go_on(&saved);
}

/// A start from the state: it is served, and the next generations follow.
fn go_on(saved: &Saved) {
    let current = &*saved.generation;
    let counters = Counters::new().expect("counters");
    // A file by hand may hold more than an image's numbers do; the daemon tells that.
    let _ = Image::compile(current, Context { complete: true, ..Context::default() }, &counters);
    let now = Timestamp::from_second(1_700_000_000).expect("a time");
    let same = generation::succeed(Some(current), current.shares.clone(), &current.publication, "", now);
    assert!(same.is_none(), "nothing has changed");
    let publication =
        Publication { ttl: current.publication.ttl.wrapping_add(1), ..current.publication.clone() };
    let (next, _) = generation::succeed(Some(current), current.shares.clone(), &publication, "", now)
        .expect("another TTL is a change");
    assert!(next.number > current.number, "numbers rise");
    for (origin, zone) in &current.zones {
        if next.zones.get(origin).is_none_or(|after| after.form != zone.form) {
            continue;
        }
        let (before, after) = (current.serial(origin), next.serial(origin));
        let rises = before.zip(after).is_some_and(|(before, after)| generation::is_greater(after, before));
        assert!(rises, "{origin}: {before:?} to {after:?}");
    }
}
