//! Ledgers on disk: cut off anywhere, and of other releases.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use jiff::Timestamp;

use crate::targets::rfc2136::entries;
use crate::targets::rfc2136::file::{FileError, LedgerFile};
use crate::targets::rfc2136::ledger::{Entry, Ledger, LedgerError, Origin, Reach, State};

/// Written by releases, never to be written anew, only to be joined by files of later ones.
const FIRST: &str = include_str!("../../../../tests/fixtures/ledger/v1.json");
const EVERYTHING: &str = include_str!("../../../../tests/fixtures/ledger/v1-everything.json");

fn put(directory: &Path, content: &[u8]) -> LedgerFile {
    let file = LedgerFile::new(directory, "t");
    fs::write(file.path(), content).expect("written");
    file
}

fn reach() -> Reach {
    Ledger::from_bytes(FIRST.as_bytes()).expect("a ledger").reach
}

#[test]
fn ledgers_of_every_release_are_read_whole() {
    for fixture in [FIRST, EVERYTHING] {
        let directory = tempfile::tempdir().expect("a directory");
        let ledger = put(directory.path(), fixture.as_bytes()).read().expect("read").expect("there");
        // Every field is in what would be written now.
        let written = serde_json::to_string_pretty(&ledger).expect("JSON");
        assert_eq!(written, fixture.trim_end());
    }
    let ledger = Ledger::from_bytes(EVERYTHING.as_bytes()).expect("read");
    let servers: Vec<SocketAddr> = ledger.reach.servers.clone();
    assert_eq!(
        servers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["10.0.0.53:53", "[fd00::53]:5353"]
    );
    let Reach { all, key, kerberos, udp, find_primary, .. } = &ledger.reach;
    assert!(*all && key.is_none() && kerberos.is_some() && *udp && *find_primary);
    let book = &ledger.books["10.0.0.53:53"];
    let page = book.page(&"a.z.example".parse().expect("a name")).expect("a page");
    let time = |text: &str| text.parse::<Timestamp>().expect("a time");
    let entry = |origin, state, generation, at| Entry { origin, state, generation, at: time(at) };
    assert_eq!(
        page.records.values().copied().collect::<Vec<_>>(),
        [
            entry(Origin::Written, State::Held, 7, "2025-08-15T00:00:00Z"),
            entry(Origin::Written, State::Adding, 8, "2025-08-15T00:01:00.5Z"),
            entry(Origin::Adopted, State::Removing, 7, "2025-08-15T00:00:00Z"),
        ]
    );
}

#[test]
fn wherever_a_write_is_cut_off_nothing_is_lost() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = LedgerFile::new(directory.path(), "t");
    let whole = EVERYTHING.trim_end().as_bytes();
    let zeros = |length: usize| {
        let mut zeros = whole.to_vec();
        zeros[length..].fill(0);
        zeros
    };
    let is_damaged = |torn: &[u8]| matches!(Ledger::from_bytes(torn), Err(LedgerError::Damaged(_)));
    assert!((0..whole.len()).all(|length| is_damaged(&whole[..length]) && is_damaged(&zeros(length))));
    // Some of them on the disk, where each costs a sync.
    for length in (0..whole.len()).step_by(53) {
        // Beside the old ledger, as a crash leaves it.
        fs::write(directory.path().join("ledger-t.json.new"), &whole[..length]).expect("written");
        fs::write(file.path(), FIRST).expect("written");
        assert_eq!(file.open(&reach()).expect("opens"), Ledger::from_bytes(FIRST.as_bytes()).expect("read"));
        // In its place, by a disk that says that it has what it has not.
        for torn in [&whole[..length], &zeros(length)] {
            fs::write(file.path(), torn).expect("written");
            let error = file.read().expect_err("damaged");
            assert!(error.to_string().contains("ledger-t.json: it is damaged"), "{error}");
            assert_eq!(file.open(&reach()).expect("opens").len(), 0);
            assert!(!file.path().exists());
            let aside =
                fs::read_dir(directory.path()).expect("a directory").map(|e| e.expect("an entry").path());
            let aside: Vec<_> =
                aside.filter(|path| path.to_string_lossy().contains(".unreadable-")).collect();
            assert_eq!(aside.len(), 1);
            assert_eq!(fs::read(&aside[0]).expect("kept"), torn);
            fs::remove_file(&aside[0]).expect("removed");
        }
    }
}

#[test]
fn a_ledger_of_a_later_release_stays_where_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let later = EVERYTHING.replacen("\"version\": 1", "\"version\": 2", 1);
    let file = put(directory.path(), later.as_bytes());
    for error in [file.read().expect_err("refused"), file.open(&reach()).expect_err("refused")] {
        let said = error.to_string();
        assert!(matches!(error, FileError::Unreadable { .. }), "{said}");
        for part in
            ["/ledger-t.json: a later release wrote it", "version 2", "reads version 1", "move the file away"]
        {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    assert!(entries(directory.path(), "t", &BTreeSet::new()).is_err());
    assert_eq!(fs::read_to_string(file.path()).expect("there"), later);
    assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 1);
}
