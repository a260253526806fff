//! Zone files: what is written, what is refused, and when the server is told.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{ROWS, follow, generation, publication, writer_of};
use crate::config::{TargetKind, TargetReload};
use crate::targets::writer::{Applied, Job, Writer};
use crate::zones::Generation;

fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

fn job(generation: &Generation, dry_run: bool) -> Job {
    Job {
        name: "test".to_owned(),
        generation: generation.clone().into(),
        dry_run,
        stop: CancellationToken::new(),
        writes: prometheus::IntCounter::new("writes", "writes").expect("a counter"),
    }
}

/// A target that appends a letter to a file when the server is told.
fn target(directory: &Path, command: &str) -> Writer {
    let reload = TargetReload {
        command: ["sh", "-c", command, "sh"].map(str::to_owned).to_vec(),
        timeout: Duration::from_secs(60),
    };
    writer_of(&TargetKind::ZoneFiles { directory: directory.to_owned(), reload: Some(reload) })
}

async fn apply(writer: &mut Writer, generation: &Generation) -> Result<Applied, String> {
    writer.apply(&job(generation, false)).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_server_is_told_of_changes_and_of_nothing_else() {
    let home = tempfile::tempdir().expect("a directory");
    let (zones, told) = (home.path().join("zones"), home.path().join("told"));
    fs::create_dir(&zones).expect("made");
    let mut writer = target(&zones, &format!("echo x >>{}", told.display()));
    let count = || fs::read_to_string(&told).map_or(0, |text| text.lines().count());
    let first = generation();

    assert_eq!(writer.apply(&job(&first, true)).await.expect("dry").written.len(), 3);
    assert!(files(&zones).is_empty() && count() == 0, "a dry run writes nothing and tells nobody");

    let applied = apply(&mut writer, &first).await.expect("written");
    assert_eq!((applied.records, applied.written.len(), count()), (4, 3, 1));
    assert_eq!(
        files(&zones),
        [
            "privatelink.azure-devices.net.zone",
            "privatelink.azureiotcentral.com.zone",
            "privatelink.servicebus.windows.net.zone"
        ]
    );
    // The same again, in another target as after a restart.
    let mut writer = target(&zones, &format!("echo x >>{}", told.display()));
    assert!(apply(&mut writer, &first).await.expect("the same").written.is_empty());
    assert_eq!(count(), 1);

    // Only the zone that changed is written.
    let mut rows = ROWS;
    rows[1].1 = &[[10, 1, 0, 7]];
    let second = follow(Some(&first), &rows, &publication());
    let applied = apply(&mut writer, &second).await.expect("written");
    assert_eq!((applied.records, count()), (3, 2));
    assert_eq!(applied.written, [zones.join("privatelink.azure-devices.net.zone").display().to_string()]);
}

#[tokio::test]
async fn a_zone_that_is_gone_takes_its_file_along_and_no_other() {
    let home = tempfile::tempdir().expect("a directory");
    let zones = home.path();
    let mut writer = writer_of(&TargetKind::ZoneFiles { directory: zones.to_owned(), reload: None });
    let first = generation();
    apply(&mut writer, &first).await.expect("written");
    fs::write(zones.join("foreign.zone"), "; somebody's\n").expect("written");
    // A policy zone that another target keeps here, under the name that it would have as a zone of this one.
    let mut rpz = publication();
    rpz.rpz = Some("rpz.example".parse().expect("a name"));
    let second = follow(Some(&first), &ROWS[1..2], &rpz);
    let kind = TargetKind::RpzFile {
        path: zones.join("rpz.example.zone"),
        origin: "rpz.example".parse().expect("a name"),
        reload: None,
    };
    let mut policy = writer_of(&kind);
    let error = apply(&mut policy, &first).await.expect_err("not published");
    assert!(error.contains("no policy zone rpz.example"), "{error}");
    assert_eq!(apply(&mut policy, &second).await.expect("written").records, 2);
    apply(&mut writer, &second).await.expect("written");
    assert_eq!(files(zones), ["foreign.zone", "privatelink.azure-devices.net.zone", "rpz.example.zone"]);
}

#[tokio::test]
async fn files_of_others_and_dynamic_zones_are_refused_before_anything_is_written() {
    let home = tempfile::tempdir().expect("a directory");
    let zones = home.path();
    let mut writer = writer_of(&TargetKind::ZoneFiles { directory: zones.to_owned(), reload: None });
    let last = "privatelink.servicebus.windows.net.zone";
    fs::write(zones.join(last), "$TTL 1\n").expect("written");
    let error = apply(&mut writer, &generation()).await.expect_err("somebody's file");
    assert!(error.contains(last) && error.contains("not written by privatelink-dns"), "{error}");
    fs::remove_file(zones.join(last)).expect("removed");
    let journal = format!("{last}.jnl");
    fs::write(zones.join(&journal), "").expect("written");
    let error = apply(&mut writer, &generation()).await.expect_err("a dynamic zone");
    assert!(error.contains(&journal) && error.contains("rndc sync -clean"), "{error}");
    assert_eq!(files(zones), std::slice::from_ref(&journal));
    // The server knows the file by another name than we.
    fs::create_dir(zones.join("real")).expect("made");
    fs::rename(zones.join(&journal), zones.join("real").join(&journal)).expect("moved");
    fs::write(zones.join("real").join(last), "").expect("written");
    symlink(format!("real/{last}"), zones.join(last)).expect("a link");
    let error = apply(&mut writer, &generation()).await.expect_err("a dynamic zone");
    assert!(error.contains(&format!("real/{journal}")), "{error}");
}

#[tokio::test]
async fn what_stands_in_the_place_of_the_mark_is_not_written_into() {
    let home = tempfile::tempdir().expect("a directory");
    let (zones, other) = (home.path().join("zones"), home.path().join("other"));
    fs::create_dir(&zones).expect("made");
    fs::write(&other, "mine\n").expect("written");
    symlink(&other, zones.join(".zones.privatelink-dns-reload-pending")).expect("a link");
    apply(&mut target(&zones, "true"), &generation()).await.expect("written");
    assert_eq!(fs::read_to_string(&other).expect("text"), "mine\n");
    assert_eq!(files(&zones).len(), 3, "no mark is left");
}

#[tokio::test]
async fn a_server_that_could_not_be_told_is_told_later_even_after_a_restart() {
    let home = tempfile::tempdir().expect("a directory");
    let (zones, works, told) =
        (home.path().join("zones"), home.path().join("works"), home.path().join("told"));
    fs::create_dir(&zones).expect("made");
    let command =
        format!("test -e {} || {{ echo no server; exit 3; }}; echo x >>{}", works.display(), told.display());
    let generation = generation();
    for _ in 0..2 {
        let mut writer = target(&zones, &command);
        let error = apply(&mut writer, &generation).await.expect_err("it fails");
        assert!(error.contains("exit status: 3; it said: no server"), "{error}");
    }
    fs::write(&works, "").expect("written");
    for _ in 0..2 {
        let mut writer = target(&zones, &command);
        assert!(apply(&mut writer, &generation).await.expect("told").written.is_empty());
        assert_eq!(fs::read_to_string(&told).expect("text"), "x\n");
    }
    assert_eq!(files(&zones).len(), 3, "no mark is left");
}

#[tokio::test]
async fn a_command_that_hangs_is_killed_and_one_that_talks_is_cut_short() {
    let home = tempfile::tempdir().expect("a directory");
    let alive = home.path().join("alive");
    let reload = |command: &str| TargetReload {
        command: ["sh", "-c", command].map(str::to_owned).to_vec(),
        timeout: Duration::from_secs(1),
    };
    let run = async |command: &str| {
        let stop = CancellationToken::new();
        crate::targets::reload::run(&reload(command), &stop).await.map(|said| said.to_string())
    };
    let error =
        run(&format!("echo waiting; sh -c 'echo $$ >{}; exec sleep 600'; true", alive.display())).await;
    let error = error.expect_err("it hangs").to_string();
    assert!(error.contains("did not end within 1 s") && error.contains("it said: waiting"), "{error}");
    // Its child is killed too: a process that is gone, or dead and not collected yet.
    let child = fs::read_to_string(&alive).expect("a process id");
    let state = || fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
    while !(state().is_empty() || state().contains(") Z")) {
        tokio::task::yield_now().await;
    }

    let said = run("yes | head -c 1000000; env >&2").await.expect("it ends");
    assert!(said.len() < 5000 && said.contains("PATH=") && !said.contains("CARGO"), "{}", said.len());
    let error = run("printf '\\033[31mno'; exit 1").await.expect_err("it fails").to_string();
    assert!(error.ends_with("it said: \u{fffd}[31mno"), "{error}");
    // What goes on in the background holds up nobody.
    run("sleep 30 & echo started").await.expect("it ends");
    let missing = TargetReload { command: vec!["/nowhere/rndc".to_owned()], timeout: Duration::from_secs(1) };
    let error = crate::targets::reload::run(&missing, &CancellationToken::new()).await.expect_err("missing");
    assert!(error.to_string().contains("/nowhere/rndc cannot be run"), "{error}");
}

#[tokio::test]
async fn a_command_ends_with_its_target() {
    let stop = CancellationToken::new();
    let reload = TargetReload {
        command: ["sleep", "600"].map(str::to_owned).to_vec(),
        timeout: Duration::from_secs(300),
    };
    let (ended, ()) = tokio::join!(crate::targets::reload::run(&reload, &stop), async { stop.cancel() });
    assert!(ended.expect_err("it is ended").to_string().contains("was ended"));
}
