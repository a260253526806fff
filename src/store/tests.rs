use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use super::*;
use crate::zones::{
    Absence, Catalog, EndpointPolicy, EndpointShare, Hold, Needs, Placement, Publication, Share, Source,
    Streak, generation,
};

fn publication() -> Publication {
    Publication {
        privatelink_zones: true,
        per_name_zones: true,
        application_name: false,
        ttl: 10,
        negative_ttl: 10,
        name_servers: vec!["ns.invalid".parse().expect("a name")],
        hostmaster: "hostmaster.invalid".parse().expect("a name"),
        endpoints: BTreeMap::new(),
        catalog: None,
        rpz: None,
        serial_at_least: None,
    }
}

fn saved(names: u8) -> Saved {
    let application: crate::zones::ResourceId =
        "/subscriptions/s/resourceGroups/r/providers/Microsoft.IoTCentral/iotApps/a".parse().expect("an id");
    let zone = "privatelink.azure-devices.net".parse().expect("a name");
    let now = Timestamp::from_second(1_700_000_000).expect("a time");
    let placement = |i: u8| Placement {
        zone: "privatelink.azure-devices.net".parse().expect("a name"),
        member: Some(format!("hub{i}")),
        interface: None,
        source: Source::Interface,
        own_name: false,
        addresses: BTreeSet::from([[10, 0, 0, i].into()]),
        since: now,
    };
    let names = (1..=names)
        .map(|i| (format!("hub{i}.azure-devices.net").parse().expect("a name"), placement(i)))
        .collect();
    let endpoint = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Network/privateEndpoints/e";
    let share = Share {
        application: application.clone(),
        zones: BTreeSet::from([zone]),
        endpoints: BTreeMap::from([(
            endpoint.parse().expect("an id"),
            EndpointShare { subnet: None, names },
        )]),
    };
    let last_success = BTreeMap::from([(application.clone(), now)]);
    let shares = BTreeMap::from([(application, Arc::new(share))]);
    let (generation, difference) =
        generation::succeed(None, shares, &publication(), "test", now).expect("a first generation");
    Saved {
        generation: Arc::new(generation),
        history: VecDeque::from([difference]),
        rejections: Vec::new(),
        last_success,
        released: true,
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_100).expect("a time")
}

#[test]
fn what_was_saved_is_loaded() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("state");
    {
        let (store, opened) = Store::open(&path, now()).expect("opens");
        assert!(matches!(opened, Opened::Empty));
        store.save(&saved(1)).expect("saves");
        store.save(&saved(3)).expect("saves again");
    }
    let (_store, opened) = Store::open(&path, now()).expect("opens again");
    let Opened::Saved(loaded) = opened else { panic!("{opened:?}") };
    assert_eq!(*loaded, saved(3));
    let mode = |p: &Path| fs::metadata(p).expect("metadata").permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join(STATE)), 0o600);
}

#[test]
fn a_zone_without_its_serial_is_no_state() {
    let mut bytes = Vec::new();
    saved(1).write(&mut bytes).expect("written");
    let mut state: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    let serials = state["generation"]["serials"].as_object_mut().expect("serials");
    assert!(serials.remove("privatelink.azure-devices.net").is_some());
    let error = Saved::from_bytes(state.to_string().as_bytes()).expect_err("its serial would start anew");
    assert!(error.to_string().contains("privatelink.azure-devices.net"), "{error}");
}

#[test]
fn which_endpoints_count_is_saved_with_the_generation() {
    let before = saved(2).generation;
    let id =
        |text: &str| format!("/subscriptions/s/resourceGroups/r/providers/{text}").parse().expect("an id");
    let endpoint: crate::zones::ResourceId = id("Microsoft.Network/privateEndpoints/e");
    let prefix = "10.1.0.0/16".parse().expect("a prefix");
    let publication = Publication {
        endpoints: BTreeMap::from([
            (id("Microsoft.IoTCentral/iotApps/a"), EndpointPolicy::Prefer(vec![endpoint.clone()])),
            (
                id("Microsoft.IoTCentral/iotApps/b"),
                EndpointPolicy::BySubnet(BTreeMap::from([(prefix, endpoint)])),
            ),
        ]),
        ..publication()
    };
    let (generation, difference) =
        generation::succeed(Some(&before), before.shares.clone(), &publication, "reload", now())
            .expect("a generation");
    let saved = Saved {
        generation: Arc::new(generation),
        history: VecDeque::from([difference]),
        rejections: Vec::new(),
        last_success: BTreeMap::new(),
        released: false,
    };
    let mut bytes = Vec::new();
    saved.write(&mut bytes).expect("written");
    assert_eq!(Saved::from_bytes(&bytes).expect("read"), saved);
}

#[test]
fn a_state_without_policies_is_written_as_before_there_were_any() {
    let first = include_bytes!("../../tests/fixtures/state/v1.json");
    let mut again = Vec::new();
    Saved::from_bytes(first).expect("read").write(&mut again).expect("written");
    let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).expect("JSON");
    assert_eq!(value(&again), value(first));
}

/// State with everything in it that a state can have. Whoever adds a field adds it here, and a fixture.
fn everything() -> Saved {
    let id =
        |text: &str| format!("/subscriptions/s/resourceGroups/r/providers/{text}").parse().expect("an id");
    let name = |text: &str| text.parse().expect("a name");
    let before = saved(1);
    let application = id("Microsoft.IoTCentral/iotApps/a");
    let endpoint: crate::zones::ResourceId = id("Microsoft.Network/privateEndpoints/e");
    let mut share = (*before.generation.shares[&application]).clone();
    let own = Placement {
        zone: name("privatelink.azureiotcentral.com"),
        member: None,
        interface: Some(id("Microsoft.Network/networkInterfaces/e.nic")),
        source: Source::CustomDns,
        own_name: true,
        addresses: BTreeSet::from([[10, 0, 0, 7].into(), [10, 0, 0, 8].into()]),
        since: now(),
    };
    share.zones.insert(own.zone.clone());
    let at_the_endpoint = share.endpoints.get_mut(&endpoint).expect("the endpoint");
    at_the_endpoint.subnet = Some(id("Microsoft.Network/virtualNetworks/v/subnets/n"));
    at_the_endpoint.names.insert(name("a.azureiotcentral.com"), own);
    at_the_endpoint.names.values_mut().for_each(|placement| placement.source = Source::ZoneGroup);
    let publication = Publication {
        endpoints: BTreeMap::from([
            (application.clone(), EndpointPolicy::Prefer(vec![endpoint.clone()])),
            (
                id("Microsoft.IoTCentral/iotApps/b"),
                EndpointPolicy::BySubnet(BTreeMap::from([(
                    "10.1.0.0/16".parse().expect("a prefix"),
                    endpoint.clone(),
                )])),
            ),
        ]),
        catalog: Some(Catalog { origin: name("catalog.example"), group: Some("g".to_owned()) }),
        rpz: Some(name("rpz.example")),
        serial_at_least: Some(2_026_010_100),
        ..publication()
    };
    let shares = BTreeMap::from([(application.clone(), Arc::new(share))]);
    let (generation, difference) =
        generation::succeed(Some(&before.generation), shares, &publication, "poll of a", now())
            .expect("a change");
    let hold = Hold {
        application,
        endpoint,
        name: name("hub2.azure-devices.net"),
        absence: Absence::ConnectionNotApproved("Rejected".to_owned()),
        since: now(),
        proven: Streak { polls: 2, since: Some(now()), may_empty: true },
        needs: Needs::Operator,
        rejected: true,
    };
    Saved {
        generation: Arc::new(generation),
        history: before.history.into_iter().chain([difference]).collect(),
        rejections: vec![hold],
        last_success: before.last_success,
        released: true,
    }
}

/// Written by releases, never to be written anew, only to be joined by files of later ones.
#[test]
fn state_of_every_release_is_read_whole() {
    let fixture = include_bytes!("../../tests/fixtures/state/v1-everything.json");
    assert_eq!(Saved::from_bytes(fixture).expect("read"), everything());
    let mut written = Vec::new();
    everything().write(&mut written).expect("written");
    assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(fixture).trim_end());
}

#[test]
fn state_of_a_later_release_is_told_from_damage() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut later = Vec::new();
    everything().write(&mut later).expect("written");
    let later = String::from_utf8(later).expect("text").replacen("\"version\": 1", "\"version\": 2", 1);
    fs::write(directory.path().join(STATE), &later).expect("written");
    let (store, opened) = Store::open(directory.path(), now()).expect("opens all the same");
    let Opened::MovedAside { path, reason } = opened else { panic!("{opened:?}") };
    let said = reason.to_string();
    for part in ["/state.json: a later release wrote it", "version 2", "reads version 1", "its old name"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    store.save(&saved(1)).expect("goes on");
    assert_eq!(fs::read_to_string(path).expect("kept"), later);
}

#[test]
fn a_number_that_cannot_rise_is_not_believed() {
    let text = include_str!("../../tests/fixtures/state/v1.json");
    let with = |number: u64| {
        let changed = text.replacen("\"number\": 2,", &format!("\"number\": {number},"), 1);
        Saved::from_bytes(changed.as_bytes())
    };
    assert_eq!(with(1 << 53).expect("read").generation.number, 1 << 53);
    for number in [(1 << 53) + 1, u64::MAX] {
        assert!(matches!(with(number), Err(SavedError::Number(n)) if n == number));
    }
}

#[test]
fn one_daemon_a_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = Store::open(directory.path(), now()).expect("opens");
    assert!(matches!(Store::open(directory.path(), now()), Err(StoreError::InUse(_))));
    drop(store);
    Store::open(directory.path(), now()).expect("opens after the first has gone");
}

#[test]
fn unreadable_state_is_moved_aside_and_kept() {
    for content in
        [&b"{\"version\":1"[..], b"", b"{\"version\":2}", b"\xff\xfe", b"{\"version\":1,\"history\":[]}"]
    {
        let directory = tempfile::tempdir().expect("a directory");
        for round in 0..2 {
            fs::write(directory.path().join(STATE), content).expect("writes");
            let (store, opened) = Store::open(directory.path(), now()).expect("opens all the same");
            let Opened::MovedAside { path, reason } = opened else { panic!("{opened:?}") };
            assert_eq!(fs::read(&path).expect("is there"), content, "round {round}: {reason}");
            store.save(&saved(1)).expect("goes on");
        }
        let kept = fs::read_dir(directory.path())
            .expect("a directory")
            .filter(|entry| {
                let name = entry.as_ref().expect("an entry").file_name();
                name.to_string_lossy().contains("unreadable")
            })
            .count();
        assert_eq!(kept, 2);
    }
}

#[test]
fn state_that_the_system_cannot_read_is_moved_aside_too() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::create_dir(directory.path().join(STATE)).expect("no file at all");
    let (store, opened) = Store::open(directory.path(), now()).expect("opens all the same");
    let Opened::MovedAside { path, reason } = opened else { panic!("{opened:?}") };
    assert!(path.is_dir() && matches!(reason, StoreError::Io { .. }), "{reason}");
    store.save(&saved(1)).expect("goes on");
    assert_eq!(Store::read(directory.path()).expect("reads"), Some(saved(1)));
}

#[test]
fn state_that_cannot_be_moved_is_not_written_over() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = directory.path().join(STATE);
    fs::write(&state, b"unreadable").expect("writes");
    let (mut store, _) = Store::open(directory.path(), now()).expect("opens");
    fs::write(&state, b"unreadable").expect("writes");
    let nowhere = directory.path().join("missing");
    store.aside = Some(nowhere.join("aside"));
    let error = store.save(&saved(1)).expect_err("it would be lost").to_string();
    assert!(error.contains("cannot move aside"), "{error}");
    assert_eq!(fs::read(&state).expect("is there"), b"unreadable");
    fs::create_dir(&nowhere).expect("mends it");
    store.save(&saved(1)).expect("saves");
    store.save(&saved(2)).expect("saves again");
    assert_eq!(fs::read(nowhere.join("aside")).expect("is there"), b"unreadable");
    assert_eq!(Store::read(directory.path()).expect("reads"), Some(saved(2)));
}

#[test]
fn a_torn_write_leaves_the_old_state() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = Store::open(directory.path(), now()).expect("opens");
    store.save(&saved(2)).expect("saves");
    fs::write(directory.path().join("state.json.new"), b"{\"vers").expect("writes");
    drop(store);
    let (store, opened) = Store::open(directory.path(), now()).expect("opens");
    assert!(matches!(opened, Opened::Saved(loaded) if *loaded == saved(2)));
    store.save(&saved(3)).expect("writes over the rest");
}

/// What a write may leave that was cut off anywhere: so many octets, or all of its length with zeros
/// from there on.
fn torn(whole: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..whole.len()).flat_map(|length| {
        let mut zeros = whole.to_vec();
        zeros.iter_mut().skip(length).for_each(|octet| *octet = 0);
        [whole.iter().copied().take(length).collect(), zeros]
    })
}

#[test]
fn wherever_a_write_is_cut_off_nothing_is_lost() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let mut whole = Vec::new();
    saved(3).write(&mut whole).expect("written");
    let (store, _) = Store::open(directory.path(), now()).expect("opens");
    store.save(&saved(2)).expect("saves");
    let old = fs::read(path(STATE)).expect("the state");
    drop(store);
    assert!(torn(&whole).all(|torn| Saved::from_bytes(&torn).is_err()));
    // Some of them on the disk, where each costs a sync.
    for torn in torn(&whole).step_by(101) {
        // Beside the old state, as a crash leaves it.
        fs::write(path("state.json.new"), &torn).expect("writes");
        let (store, opened) = Store::open(directory.path(), now()).expect("opens");
        assert!(matches!(opened, Opened::Saved(loaded) if *loaded == saved(2)));
        drop(store);
        // In its place, by a disk that says that it has what it has not.
        fs::write(path(STATE), &torn).expect("writes");
        let (store, opened) = Store::open(directory.path(), now()).expect("opens");
        let Opened::MovedAside { path: aside, reason } = opened else { panic!("{opened:?}") };
        assert!(reason.to_string().contains("state.json: the state file cannot be understood"), "{reason}");
        assert_eq!(fs::read(&aside).expect("kept"), torn);
        assert!(!path(STATE).exists());
        fs::remove_file(aside).expect("removed");
        drop(store);
        fs::write(path(STATE), &old).expect("writes");
    }
}

#[test]
fn a_failed_save_says_where_and_keeps_the_old_state() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = Store::open(directory.path(), now()).expect("opens");
    store.save(&saved(2)).expect("saves");
    fs::create_dir(directory.path().join("state.json.new")).expect("in the way");
    let error = store.save(&saved(3)).expect_err("cannot write over a directory").to_string();
    assert!(error.contains("state.json.new"), "{error}");
    assert_eq!(Store::read(directory.path()).expect("reads"), Some(saved(2)));
}
