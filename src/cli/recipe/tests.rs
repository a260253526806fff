//! Every recipe as `tests/fixtures/recipes/NAME.txt` has it, and what is told where none would work.
//!
//! `UPDATE_GOLDEN=1 cargo test --lib recipe` writes the texts anew; read them before you commit. That
//! servers take them is shown in `tests/daemon/transfers`.

use std::fs;
use std::path::Path;

use clap::ValueEnum;

use super::facts::primary;
use super::*;
use crate::config;

const KEYED: &str = "[[secondary]]\nname = \"ns1\"\naddress = \"10.0.0.53\"\nkey = \"ns1-key\"\n";
const KEYLESS: &str = "[[secondary]]\nname = \"win\"\naddress = \"10.0.0.54\"\ntransfer_by = \"address\"\n";
const CATALOG: &str = "catalog = \"catalog.privatelink-dns.internal\"\n";
const RPZ: &str = "rpz = \"rpz.privatelink-dns.internal\"\n";

/// A configuration with this in `[transfer]` and these sections.
fn config(listen: &str, transfer: &str, secondaries: &str) -> Config {
    let text = format!(
        "version = 1\n[azure.credential]\nkind = \"managed-identity\"\n[[application]]\n\
         id = \"/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg/providers/\
         Microsoft.IoTCentral/iotApps/app\"\n[dns]\nlisten = [{listen}]\n[transfer]\n\
         key_files = [\"/etc/privatelink-dns/keys.conf\"]\n{transfer}{secondaries}"
    );
    config::parse("config.toml", &text, std::iter::empty()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn facts(listen: &str, transfer: &str, secondaries: &str) -> Facts {
    let mut facts = Facts::gather(&config(listen, transfer, secondaries), None, None, false).expect("facts");
    facts.zones = ["hub.azure-devices.net", "privatelink.azure-devices.net"]
        .map(|origin| origin.parse().expect("a name"))
        .to_vec();
    if let Some(key) = &mut facts.key {
        key.algorithm = Some("hmac-sha512");
    }
    facts
}

fn told<T: std::fmt::Debug>(result: Result<T, RecipeError>) -> String {
    result.expect_err("no recipe").to_string()
}

#[test]
fn every_recipe_is_as_written_down() {
    const ADDRESS: &str = "\"10.0.0.5\"";
    let both = format!("{CATALOG}{RPZ}");
    let either = format!("{KEYED}transfer_by = \"key-or-address\"\n");
    let unsigned = format!("{either}notify = \"unsigned\"\n");
    let silent = format!("{KEYLESS}notify = \"off\"\n");
    let six = KEYLESS.replace("10.0.0.54", "fd00::54");
    // NOTIFY from another address than that of the zones.
    let sourced = |source: &str, secondary: &str| {
        facts(ADDRESS, &both, &secondary.replace("key = ", &format!("source = \"{source}\"\nkey = ")))
    };
    let mut unread = facts("\"10.0.0.5:5300\"", "", KEYED);
    unread.key.as_mut().expect("a key").algorithm = None;
    let cases = [
        ("bind-secondary", facts(ADDRESS, &both, KEYED)),
        ("bind-secondary-listing", facts(ADDRESS, "", KEYLESS)),
        ("bind-rpz", facts(ADDRESS, &both, KEYED)),
        ("bind-rpz-source", sourced("10.0.0.9", &unsigned)),
        ("knot-secondary", facts(ADDRESS, &both, KEYED)),
        ("knot-secondary-listing", facts("\"[fd00::5]:53\"", "", &six)),
        ("nsd-secondary", unread),
        ("nsd-secondary-keyless", facts(ADDRESS, &both, &silent)),
        ("powerdns-secondary", facts(ADDRESS, &both, &either)),
        ("powerdns-secondary-listing", facts(ADDRESS, "", KEYED)),
        ("powerdns-secondary-source", sourced("10.0.0.9", &either)),
        ("unbound-rpz-source", sourced("10.0.0.9", &unsigned)),
        ("unbound-auth-zone", facts(ADDRESS, &both, KEYLESS)),
        ("unbound-rpz", facts("\"127.0.0.1:5300\"", &both, &unsigned)),
        ("windows-secondary", facts(ADDRESS, &both, KEYLESS)),
    ];
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recipes");
    let mut differing = String::new();
    for kind in Kind::value_variants() {
        let name = kind.to_possible_value().expect("a name").get_name().to_owned();
        let mut count = 0;
        for (case, facts) in cases.iter().filter(|(case, _)| case.starts_with(&name)) {
            let text = kind.text(facts).expect("a recipe");
            for line in text.lines() {
                assert!(line.len() <= 110, "{case}: {line}");
                assert_eq!(line.trim_end(), line, "{case}");
            }
            let golden = directory.join(format!("{case}.txt"));
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                fs::write(&golden, &text).expect("a writable file");
            } else if fs::read_to_string(&golden).unwrap_or_default() != text {
                differing += &format!("{}:\n{text}\n", golden.display());
            }
            count += 1;
        }
        assert!(count > 0, "no case for {name}");
    }
    assert!(differing.is_empty(), "these texts changed:\n\n{differing}");
}

#[test]
fn what_cannot_work_is_told_with_what_to_write() {
    const ADDRESS: &str = "\"10.0.0.5\"";
    let said = told(Kind::UnboundAuthZone.text(&facts(ADDRESS, RPZ, KEYED)));
    assert!(said.contains("Unbound knows no TSIG; write transfer_by = \"key-or-address\""), "{said}");
    let either = format!("{KEYED}transfer_by = \"key-or-address\"\n");
    let said = told(Kind::UnboundRpz.text(&facts(ADDRESS, RPZ, &either)));
    assert!(said.contains("takes no signed NOTIFY; write notify = \"unsigned\""), "{said}");
    let said = told(Kind::PowerDnsSecondary.text(&facts(ADDRESS, CATALOG, KEYED)));
    assert!(said.contains("write transfer_by = \"key-or-address\" into the section of"), "{said}");
    let said = told(Kind::WindowsSecondary.text(&facts(ADDRESS, "", KEYED)));
    assert!(said.contains("Windows DNS knows no TSIG"), "{said}");
    let said = told(Kind::WindowsSecondary.text(&facts("\"10.0.0.5:5300\"", "", KEYLESS)));
    assert!(said.contains("knows port 53 only, and 10.0.0.5:5300"), "{said}");
    for kind in [Kind::BindRpz, Kind::UnboundRpz] {
        assert!(told(kind.text(&facts(ADDRESS, "", KEYLESS))).contains("write rpz = "));
    }
}

#[test]
fn which_secondary_and_which_zones_have_to_be_known() {
    let gather = |secondaries: &str, name: Option<&str>, zones| {
        let mut config = config("\"10.0.0.5\"", "", secondaries);
        config.state_directory = "/nonexistent/privatelink-dns".into();
        Facts::gather(&config, name, None, zones)
    };
    assert!(told(gather("", None, false)).contains("no secondary is configured"));
    let two = format!("{KEYED}{KEYLESS}");
    assert!(told(gather(&two, None, false)).contains("--secondary NAME: ns1, win"));
    assert!(told(gather(&two, Some("ns2"), false)).contains("\"ns2\"; there are ns1, win"));
    assert_eq!(gather(&two, Some("win"), false).expect("facts").secondary.name, "win");
    assert!(told(gather(KEYED, None, true)).contains("run the daemon first"));
}

#[test]
fn the_primarys_address_is_that_of_the_only_listener_or_has_to_be_said() {
    let reached = |listen: &str, said: Option<&str>| {
        let said = said.map(|text| primary(text).expect("an address"));
        Facts::gather(&config(listen, "", KEYED), None, said, false).map(|facts| facts.primary.to_string())
    };
    for (listen, said, expected) in [
        ("\"10.0.0.5\"", None, "10.0.0.5:53"),
        ("\"127.0.0.1:5300\"", None, "127.0.0.1:5300"),
        ("\"0.0.0.0:5300\"", Some("10.0.0.5"), "10.0.0.5:5300"),
        ("\"0.0.0.0:5300\", \"[::]:5300\"", Some("fd00::5"), "[fd00::5]:5300"),
        ("\"10.0.0.5:5300\", \"10.0.0.6\"", Some("10.0.0.6"), "10.0.0.6:53"),
        ("\"10.0.0.5:5300\", \"10.0.0.6\"", Some("192.0.2.1:54"), "192.0.2.1:54"),
        ("\"127.0.0.1:0\"", Some("127.0.0.1:54"), "127.0.0.1:54"),
    ] {
        assert_eq!(reached(listen, said).expect("an address"), expected, "{listen} {said:?}");
    }
    // The address that NOTIFY comes from leads to the daemon.
    let secondary = format!("{KEYED}source = \"10.0.0.6\"\n");
    let facts = Facts::gather(&config("\"0.0.0.0:5300\"", "", &secondary), None, None, false);
    assert_eq!(facts.expect("facts").primary.to_string(), "10.0.0.6:5300");
    for (listen, said) in [
        ("\"0.0.0.0\"", None),
        ("\"10.0.0.5\", \"127.0.0.1\"", None),
        ("\"10.0.0.5:5300\", \"10.0.0.6\"", Some("192.0.2.1")),
        ("\"127.0.0.1:0\"", None),
    ] {
        assert!(told(reached(listen, said)).contains("say it with --primary ADDRESS"), "{listen} {said:?}");
    }
    for wrong in ["0.0.0.0", "ns1.example", "10.0.0.5:x"] {
        assert!(primary(wrong).is_err(), "{wrong}");
    }
}
