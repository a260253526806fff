//! Hosts files on a real file system, which can be read-only, full, or mounted.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;

use super::merge::{merge, tests::content};
use super::write;
use crate::targets::error::TargetError;
use crate::targets::replace::{Manner, Written, beside};
use crate::targets::tests::generation;

/// Runs one of the tests below in a mount namespace of its own, where `root` may mount: full and
/// read-only file systems exist there alone. A user namespace where this is not run by root.
fn in_a_namespace(test: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = Command::new("unshare");
    command.args(if rustix::process::getuid().is_root() { &["-m"][..] } else { &["-rm"] });
    command.arg(std::env::current_exe().expect("this program"));
    command.args([&format!("targets::hosts::tests::{test}"), "--exact", "--ignored", "--nocapture"]);
    command.env("TEST_MOUNT", directory.path());
    let output = command.output().expect("unshare runs");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn mount(arguments: &[&str]) {
    let status = Command::new("mount").args(arguments).status().expect("mount runs");
    assert!(status.success(), "mount {arguments:?}");
}

/// A small file system.
fn small() -> PathBuf {
    let directory = PathBuf::from(std::env::var_os("TEST_MOUNT").expect("run by another test"));
    mount(&["-t", "tmpfs", "-o", "size=16k", "tmpfs", directory.to_str().expect("text")]);
    directory
}

/// The files in a directory, by name.
fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

fn said(result: Result<(Written, usize), TargetError>) -> String {
    result.expect_err("an error").to_string()
}

#[test]
fn mode_owner_and_group_stay_and_nothing_is_left_beside() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("hosts");
    fs::write(&path, "127.0.0.1 localhost\n").expect("written");
    fs::set_permissions(&path, Permissions::from_mode(0o604)).expect("a mode");
    let is_root = rustix::process::getuid().is_root();
    if is_root {
        chown(&path, Some(123), Some(456)).expect("an owner");
    }
    // Of a process that was killed.
    fs::write(beside(&path), "half").expect("written");
    let generation = generation();
    assert_eq!(write(&path, Manner::Replace, &generation).expect("written"), (Written::New, 3));
    let metadata = fs::metadata(&path).expect("metadata");
    assert_eq!(metadata.mode() & 0o7777, 0o604);
    if is_root {
        assert_eq!((metadata.uid(), metadata.gid()), (123, 456));
    }
    assert_eq!(files(directory.path()), ["hosts"]);
    // What is right already is left alone.
    assert_eq!(write(&path, Manner::Replace, &generation).expect("the same"), (Written::Same, 3));
    assert_eq!(fs::metadata(&path).expect("metadata").ino(), metadata.ino());
}

#[test]
fn what_another_writer_has_begun_is_left_alone_and_what_is_left_is_no_trap() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, other) = (directory.path().join("hosts"), directory.path().join("other"));
    fs::write(&path, "a\n").expect("written");
    let begun = fs::File::create(beside(&path)).expect("made");
    begun.lock().expect("locked");
    let error = said(write(&path, Manner::Replace, &generation()));
    assert!(error.contains("by somebody else"), "{error}");
    assert_eq!((fs::read(&path).expect("read"), beside(&path).exists()), (b"a\n".to_vec(), true));
    drop(begun);
    // A link, symbolic or hard, is removed and not written through.
    fs::write(&other, "mine\n").expect("written");
    for link in [|from: &Path, to: &Path| symlink(from, to), |from: &Path, to: &Path| fs::hard_link(from, to)]
    {
        let _ = fs::remove_file(beside(&path));
        link(&other, &beside(&path)).expect("a link");
        fs::write(&path, "a\n").expect("written");
        write(&path, Manner::Replace, &generation()).expect("written");
        assert_eq!(fs::read(&other).expect("read"), b"mine\n");
        assert_eq!(files(directory.path()), ["hosts", "other"]);
    }
}

#[test]
fn a_dry_run_writes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("hosts");
    fs::write(&path, "a\n").expect("written");
    assert_eq!(write(&path, Manner::Dry, &generation()).expect("looked at"), (Written::New, 3));
    assert_eq!(fs::read(&path).expect("read"), b"a\n");
}

#[test]
fn a_link_stays_a_link() {
    let directory = tempfile::tempdir().expect("a directory");
    let (real, link) = (directory.path().join("real"), directory.path().join("hosts"));
    fs::write(&real, "a\n").expect("written");
    symlink("real", &link).expect("a link");
    write(&link, Manner::Replace, &generation()).expect("written");
    assert_eq!(fs::read_link(&link).expect("a link"), Path::new("real"));
    assert!(fs::read_to_string(&real).expect("text").contains("BEGIN"));
    fs::remove_file(&real).expect("removed");
    let error = said(write(&link, Manner::Replace, &generation()));
    assert!(error.contains("cannot find") && !real.exists(), "{error}");
}

#[test]
fn what_is_no_hosts_file_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("hosts");
    assert!(said(write(&path, Manner::Replace, &generation())).contains("there is no"));
    assert!(said(write(directory.path(), Manner::Replace, &generation())).contains("no regular file"));
    fs::write(&path, "# BEGIN privatelink-dns\nmine\n").expect("written");
    let error = said(write(&path, Manner::Replace, &generation()));
    assert!(
        error.contains("line 1 is `# BEGIN privatelink-dns`") && error.contains("take what is left"),
        "{error}"
    );
    assert_eq!(files(directory.path()), ["hosts"]);
}

#[test]
fn a_full_disk_changes_nothing() {
    in_a_namespace("full_disk");
}

#[test]
#[ignore = "run by a_full_disk_changes_nothing"]
fn full_disk() {
    let directory = small();
    let path = directory.join("hosts");
    let old = "a\n".repeat(2000);
    fs::write(&path, &old).expect("written");
    // As full as can be: three of four pages are taken.
    let rest = directory.join("rest");
    while fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&rest)
        .and_then(|mut file| std::io::Write::write_all(&mut file, &[0; 4096]))
        .is_ok()
    {}
    for manner in [Manner::Replace, Manner::InPlace] {
        let error = said(write(&path, manner, &generation()));
        assert!(error.contains("free space"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("text"), old);
        assert_eq!(files(&directory), ["hosts", "rest"]);
    }
    fs::remove_file(&rest).expect("removed");
    write(&path, Manner::Replace, &generation()).expect("written");
}

#[test]
fn a_read_only_file_system_changes_nothing() {
    in_a_namespace("read_only");
}

#[test]
#[ignore = "run by a_read_only_file_system_changes_nothing"]
fn read_only() {
    let directory = small();
    let path = directory.join("hosts");
    fs::write(&path, "a\n").expect("written");
    mount(&["-o", "remount,ro", directory.to_str().expect("text")]);
    for manner in [Manner::Replace, Manner::InPlace] {
        let error = said(write(&path, manner, &generation()));
        assert!(error.contains("ReadWritePaths="), "{error}");
    }
    assert_eq!(
        (fs::read(&path).expect("read"), files(&directory)),
        (b"a\n".to_vec(), vec!["hosts".to_owned()])
    );
}

#[test]
fn a_file_that_is_mounted_by_itself_is_written_only_where_that_is_wanted() {
    in_a_namespace("mounted");
}

#[test]
#[ignore = "run by a_file_that_is_mounted_by_itself_is_written_only_where_that_is_wanted"]
fn mounted() {
    let directory = small();
    let (outside, path) = (directory.join("outside"), directory.join("hosts"));
    // Longer than what will be written over it.
    let old = format!(
        "a\n{}# BEGIN privatelink-dns\n{}# END privatelink-dns\nb",
        "x\n".repeat(9),
        "y\n".repeat(999)
    );
    fs::write(&outside, &old).expect("written");
    fs::write(&path, "").expect("written");
    mount(&["--bind", outside.to_str().expect("text"), path.to_str().expect("text")]);
    let error = said(write(&path, Manner::Replace, &generation()));
    assert!(error.contains("mounted by itself") && error.contains("in_place = true"), "{error}");
    assert_eq!(fs::read_to_string(&path).expect("text"), old);
    // In a directory that is read-only, too.
    mount(&["-o", "remount,bind,ro", directory.to_str().expect("text")]);
    let error = said(write(&path, Manner::Replace, &generation()));
    assert!(error.contains("cannot create a file beside it") && error.contains("in_place = true"), "{error}");
    write(&path, Manner::InPlace, &generation()).expect("written");
    let expected =
        merge(old.as_bytes(), &crate::targets::export::hosts_lines(&generation())).expect("merged");
    assert_eq!(fs::read(&outside).expect("read"), expected);
    assert_eq!(files(&directory), ["hosts", "outside"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_file_holds_what_the_pure_function_says_or_what_it_held(text in content()) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("hosts");
        fs::write(&path, &text).expect("written");
        let generation = generation();
        let lines = crate::targets::export::hosts_lines(&generation);
        let result = write(&path, Manner::Replace, &generation);
        let now = fs::read(&path).expect("read");
        match merge(&text, &lines) {
            Ok(expected) => prop_assert!(result.is_ok() && now == expected),
            Err(_) => prop_assert!(result.is_err() && now == text),
        }
        prop_assert_eq!(files(directory.path()), ["hosts"]);
    }
}
