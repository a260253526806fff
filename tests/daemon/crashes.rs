//! Killed before each file operation of everything that it writes, and looked at afterwards. `strace` does
//! it to the real process; what a kill cannot show, that data is on the disk before its name is, follows
//! from the order of calls.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::persistence::{accepted, without_azure};
use crate::support::azure::Azure;
use crate::support::dns::serial;
use crate::support::eventually;
use crate::support::home::Home;
use crate::support::strace::{MAKE, MODE, OPEN, REMOVE, RENAME, SYNC, WRITE, calls, kill_at_each};

/// Reads Azure once, when it starts, and believes what it sees.
fn quiet(azure: &Azure) -> Home {
    let mut home = Home::new(azure);
    home.settings.poll_interval = "1h";
    home.settings.guard = "removal_polls = 1\nremoval_period = \"0s\"";
    home
}

/// Whether a file has this text in it.
fn has(path: &Path, text: &str) -> Result<(), String> {
    let content = fs::read_to_string(path).unwrap_or_default();
    if content.contains(text) { Ok(()) } else { Err(content) }
}

/// The first label of a name.
fn label(name: &str) -> &str {
    name.split('.').next().expect("a label")
}

/// Files of the state directory that are moved aside, or open to others.
fn irregular(home: &Home) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(home.state()).expect("a directory").map(|entry| entry.expect("an entry").path());
    let is_wrong = |path: &PathBuf| {
        let mode = fs::metadata(path).expect("there").permissions().mode();
        path.to_string_lossy().contains("unreadable") || mode & 0o777 != 0o600
    };
    entries.filter(is_wrong).collect()
}

#[tokio::test]
async fn state_is_the_old_or_the_new_one_wherever_a_kill_comes() {
    let azure = Azure::start().await;
    let arm = azure.simulator.base_url().to_owned();
    let mut home = quiet(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let (old, old_names) = accepted(&daemon).await;
    let zone = old.zones.iter().find(|zone| zone.origin.as_str() == "privatelink.azure-devices.net");
    let old_serial = zone.expect("the hubs' zone").serial;
    daemon.end(rustix::process::Signal::TERM).await;
    let state = home.state().join("state.json");
    let before = fs::read(&state).expect("the state");
    let hub = azure.scale_out();
    let files = [home.state().join("state.json.new"), home.state()];

    for call in [OPEN, WRITE, SYNC, RENAME] {
        let (mut kept, mut lost) = (0, 0);
        let kills = kill_at_each(
            &mut home,
            call,
            &files,
            async || fs::write(&state, &before).expect("written"),
            async || has(&state, label(&hub)),
            async |home, killed| {
                // What was accepted, and with that serial, or what came after it, and with another one.
                let names = without_azure(home, &arm, &old, &old_names).await;
                let is_new = names.contains_key(&hub);
                assert!(is_new || killed, "{call}: it was saved");
                assert_eq!(irregular(home), [] as [PathBuf; 0]);
                // With Azure it goes on from there.
                let daemon = home.start().await;
                daemon.shows(&azure).await;
                assert!(serial(daemon.dns(), "privatelink.azure-devices.net").await > old_serial);
                daemon.kill().await;
                *(if is_new { &mut kept } else { &mut lost }) += 1;
            },
        )
        .await;
        eprintln!("{call}: {kills} kills, {lost} times the old state and {kept} times the new one");
        assert!(kills > 0 && lost > 0 && kept > 0, "{call}");
    }
}

#[tokio::test]
async fn a_first_start_can_be_killed_anywhere() {
    let azure = Azure::start().await;
    let mut home = quiet(&azure);
    let state = home.state();
    let files = ["lock", "admin.token", "state.json.new", ""].map(|name| match name {
        "" => state.clone(),
        name => state.join(name),
    });
    let hub = azure.hub();
    for call in [MAKE, OPEN, WRITE, SYNC, RENAME] {
        let kills = kill_at_each(
            &mut home,
            call,
            &files,
            async || fs::remove_dir_all(&state).unwrap_or_default(),
            async || has(&state.join("state.json"), label(&hub)),
            async |home, _| {
                let daemon = home.start().await;
                daemon.shows(&azure).await;
                let token = fs::read_to_string(state.join("admin.token")).expect("a token");
                assert_eq!(token.trim().len(), 64);
                assert_eq!(daemon.post("/api/v1/poll", Some(token.trim()), "").await.0, 200);
                assert_eq!(irregular(home), [] as [PathBuf; 0]);
                assert_eq!(fs::metadata(&state).expect("there").permissions().mode() & 0o777, 0o700);
                daemon.kill().await;
            },
        )
        .await;
        assert!(kills > 0, "{call}");
    }
}

/// Kills the daemon at each operation on one file that a target replaces, and on what lies beside it.
async fn target_is_whole(
    azure: &Azure,
    home: &mut Home,
    file: &Path,
    marks: &[PathBuf],
    told: Option<&Path>,
) {
    let directory = file.parent().expect("a directory");
    let beside =
        directory.join(format!(".{}.privatelink-dns-new", file.file_name().expect("a name").display()));
    let mut files = vec![beside.clone(), directory.to_owned()];
    files.extend_from_slice(marks);
    let state = home.state().join("state.json");
    let old = [file, &state].map(|path| fs::read(path).expect("there"));
    let owner_and_mode = fs::metadata(file).expect("there").permissions();
    let hub = azure.scale_out();
    let has_new = || has(file, label(&hub));
    let mut ends = BTreeMap::<&str, usize>::new();

    for call in [OPEN, MODE, WRITE, SYNC, RENAME, REMOVE] {
        kill_at_each(
            home,
            call,
            &files,
            async || {
                for (path, content) in [file, &state].iter().zip(&old) {
                    fs::write(path, content).expect("written");
                }
            },
            async || has_new().and_then(|()| told.map_or(Ok(()), |told| has(told, label(&hub)))),
            async |home, killed| {
                let found = fs::read(file).expect("there");
                let daemon = home.start().await;
                eventually("the new content", async || has_new()).await;
                let new = fs::read(file).expect("there");
                if let Some(told) = told {
                    eventually("the server is told", async || {
                        if fs::read(told).is_ok_and(|told| told == new) { Ok(()) } else { Err(String::new()) }
                    })
                    .await;
                }
                eventually("nothing is left beside it", async || {
                    let left = [&beside].into_iter().chain(marks).filter(|path| path.exists());
                    let left: Vec<_> = left.collect();
                    if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
                })
                .await;
                assert_eq!(fs::metadata(file).expect("there").permissions(), owner_and_mode);
                daemon.kill().await;
                let end = if found == old[0] { "old" } else { "new" };
                assert!(end == "old" || found == new, "{call}: {}", String::from_utf8_lossy(&found));
                *ends.entry(if killed { end } else { "ended" }).or_default() += 1;
            },
        )
        .await;
    }
    eprintln!("{}: {ends:?}", file.display());
    assert_eq!(ends.len(), 3, "{ends:?}");
}

#[tokio::test]
async fn a_hosts_file_is_the_old_or_the_new_one_wherever_a_kill_comes() {
    let azure = Azure::start().await;
    let mut home = quiet(&azure);
    let etc = home.path("etc");
    fs::create_dir(&etc).expect("made");
    let hosts = etc.join("hosts");
    fs::write(&hosts, "127.0.0.1 localhost\n").expect("written");
    fs::set_permissions(&hosts, fs::Permissions::from_mode(0o664)).expect("set");
    home.settings.transfer = format!("[[target]]\nname = 'hosts'\ntype = 'hosts'\npath = {hosts:?}\n");
    let daemon = home.start().await;
    eventually("the block", async || has(&hosts, "# END privatelink-dns")).await;
    daemon.end(rustix::process::Signal::TERM).await;
    target_is_whole(&azure, &mut home, &hosts, &[], None).await;
    assert!(fs::read_to_string(&hosts).expect("text").starts_with("127.0.0.1 localhost\n"));
}

#[tokio::test]
async fn a_zone_file_is_the_old_or_the_new_one_and_its_server_is_told() {
    let azure = Azure::start().await;
    let mut home = quiet(&azure);
    let [zones, told] = ["zones", "told"].map(|name| home.path(name));
    fs::create_dir(&zones).expect("made");
    let file = zones.join("privatelink.azure-devices.net.zone");
    home.settings.transfer = format!(
        "[[target]]\nname = 'zones'\ntype = 'zone-file'\ndirectory = {zones:?}\nreload = ['cp', {file:?}, {told:?}]\n"
    );
    let daemon = home.start().await;
    eventually("the server is told", async || has(&told, "SOA")).await;
    daemon.end(rustix::process::Signal::TERM).await;
    let mark = zones.join(".zones.privatelink-dns-reload-pending");
    target_is_whole(&azure, &mut home, &file, &[mark], Some(&told)).await;
}

/// What was last done to a file by its name, in the order of calls.
#[derive(Debug, Default)]
struct Order {
    synced: BTreeMap<String, bool>,
    /// Renamed, and the directory is not synced yet.
    loose: BTreeMap<String, String>,
    renamed: Vec<String>,
}

impl Order {
    /// Reads a line such as `123 fsync(16</a/b>) = 0`.
    fn read(&mut self, line: &str) {
        let Some((_, call)) = line.split_once(' ') else { return };
        let call = call.trim_start();
        let opened = call.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(path, _)| path);
        match (call.split('(').next(), opened) {
            (Some("write"), Some(path)) => {
                self.synced.insert(path.to_owned(), false);
            }
            (Some("fsync"), Some(path)) => {
                self.synced.insert(path.to_owned(), true);
                self.loose.retain(|_, directory| directory != path);
            }
            (Some("rename" | "renameat" | "renameat2"), _) => {
                let mut names = call.split('"').skip(1).step_by(2);
                let (from, to) = (names.next().expect("a name"), names.next().expect("a name"));
                assert_eq!(self.synced.get(from), Some(&true), "{from} is renamed before it is on the disk");
                let directory = Path::new(to).parent().expect("a directory");
                self.loose.insert(to.to_owned(), directory.display().to_string());
                self.renamed.push(to.to_owned());
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn data_is_on_the_disk_before_its_name_and_the_name_before_the_end() {
    let azure = Azure::start().await;
    let mut home = quiet(&azure);
    let [etc, zones] = ["etc", "zones"].map(|name| home.path(name));
    fs::create_dir(&etc).expect("made");
    fs::create_dir(&zones).expect("made");
    let (hosts, zone) = (etc.join("hosts"), zones.join("privatelink.azure-devices.net.zone"));
    fs::write(&hosts, "127.0.0.1 localhost\n").expect("written");
    home.settings.transfer = format!(
        "[[target]]\nname = 'hosts'\ntype = 'hosts'\npath = {hosts:?}\n\
         [[target]]\nname = 'zones'\ntype = 'zone-file'\ndirectory = {zones:?}\n"
    );
    let state = home.state().join("state.json");
    let files = [
        home.state().join("state.json.new"),
        home.state(),
        etc.join(".hosts.privatelink-dns-new"),
        etc.clone(),
        zones.join(".privatelink.azure-devices.net.zone.privatelink-dns-new"),
        zones.clone(),
    ];
    let hub = azure.hub();
    let done = async || [&state, &hosts, &zone].iter().try_for_each(|path| has(path, label(&hub)));
    let calls = calls(&home, &files, done).await;
    let mut order = Order::default();
    for line in calls.lines() {
        order.read(line);
    }
    assert!(order.loose.is_empty(), "{order:?}\n{calls}");
    for path in [&state, &hosts, &zone] {
        assert!(order.renamed.contains(&path.display().to_string()), "{}\n{calls}", path.display());
    }
}
