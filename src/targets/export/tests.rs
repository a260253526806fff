//! Exports against golden texts, and against the programs that read them.
//!
//! `UPDATE_GOLDEN=1 cargo test --lib targets::export` writes the texts anew; read them before you
//! commit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Format, export, zone_files};
use crate::targets::tests::{ROWS, follow, generation, publication};
use crate::zones::{EndpointPolicy, Generation};

/// With zones of both forms and the policy zone.
fn all_forms() -> Generation {
    let mut publication = publication();
    publication.per_name_zones = true;
    publication.rpz = Some("rpz.example.net".parse().expect("a name"));
    publication.name_servers.push("ns2.example.net".parse().expect("a name"));
    follow(None, &ROWS, &publication)
}

/// A generation without a single name.
fn nothing() -> Generation {
    follow(None, &[], &publication())
}

fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let found = std::env::split_paths(&path).chain(sbin).map(|directory| directory.join(name));
    let found = found.into_iter().find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed; scripts/test installs what tests need"))
}

fn run(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(program(name)).args(arguments).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?}: {said}");
    said.into_owned()
}

/// A file that a server may read wherever AppArmor confines it: below /tmp, by its own name.
fn file(directory: &Path, text: &str) -> String {
    let path = directory.join("file");
    fs::write(&path, text).expect("written");
    path.to_str().expect("text").to_owned()
}

#[test]
fn every_format_is_as_it_was() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/targets/export/golden");
    for format in Format::ALL {
        let path = directory.join(format!("{}.txt", format.word()));
        let text = export(&all_forms(), format);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &text).expect("a writable file");
        }
        assert_eq!(fs::read_to_string(&path).unwrap_or_default(), text, "{}", path.display());
        assert_eq!(Format::of(format.word()), Some(format));
        assert_eq!(export(&all_forms(), format), text, "the same generation gives the same text");
    }
}

#[test]
fn the_own_name_of_an_application_is_overridden_only_where_that_is_wanted() {
    let own = "contoso.azureiotcentral.com";
    let mut publication = publication();
    for (wanted, expected) in [(false, false), (true, true)] {
        publication.application_name = wanted;
        let generation = follow(None, &ROWS, &publication);
        for format in [Format::Hosts, Format::Unbound, Format::Dnsmasq, Format::Rpz] {
            assert_eq!(export(&generation, format).contains(own), expected, "{format:?}");
        }
        // In the privatelink zone it always has its record.
        assert!(
            export(&generation, Format::Bind).contains("contoso.privatelink.azureiotcentral.com. 10 IN A")
        );
    }
}

#[test]
fn the_endpoints_that_count_are_those_of_the_zones() {
    let mut publication = publication();
    let application = "/subscriptions/s/resourceGroups/r/providers/Microsoft.IoTCentral/iotApps/contoso";
    let prefix = "10.9.0.0/16".parse().expect("a prefix");
    let endpoint = crate::targets::tests::id(
        "/subscriptions/s/resourceGroups/r/providers/Microsoft.Network/privateEndpoints/pe",
    );
    let policy = EndpointPolicy::BySubnet([(prefix, endpoint)].into());
    publication.endpoints.insert(crate::targets::tests::id(application), policy);
    let generation = follow(None, &ROWS, &publication);
    assert_eq!(export(&generation, Format::Hosts).matches("10.2.0.5").count(), 1);
}

#[test]
fn named_checkzone_takes_every_zone_file() {
    let directory = tempfile::tempdir().expect("a directory");
    for generation in [generation(), all_forms()] {
        let files = zone_files(&generation);
        assert!(files.len() >= 3);
        for zone in files {
            let path = file(directory.path(), &zone.text);
            let said = run("named-checkzone", &["-i", "local", "-k", "fail", zone.origin.as_str(), &path]);
            let serial = generation.serial(&zone.origin).expect("a serial");
            assert!(said.contains(&format!("loaded serial {serial}")) && said.ends_with("OK\n"), "{said}");
            // What BIND reads is what we wrote, and no more.
            let arguments = ["-i", "none", "-D", "-q", zone.origin.as_str(), &path];
            let mut read: Vec<Vec<String>> = run("named-checkzone", &arguments)
                .lines()
                .filter(|line| !line.starts_with(';'))
                .map(|line| line.split_whitespace().map(str::to_owned).collect())
                .collect();
            let mut written: Vec<Vec<String>> = zone
                .text
                .lines()
                .filter(|line| !line.starts_with(';'))
                .map(|line| line.split_whitespace().map(str::to_owned).collect())
                .collect();
            read.sort();
            written.sort();
            assert_eq!(read, written);
        }
        let origin = if generation.publication.rpz.is_some() { "rpz.example.net" } else { super::RPZ };
        let path = file(directory.path(), &export(&generation, Format::Rpz));
        run("named-checkzone", &[origin, &path]);
    }
    assert!(zone_files(&nothing()).is_empty());
}

#[test]
fn unbound_and_dnsmasq_take_their_configuration() {
    let directory = tempfile::tempdir().expect("a directory");
    for generation in [all_forms(), nothing()] {
        let text = format!(
            "{}\n    username: \"\"\n    chroot: \"\"\n    directory: \"{}\"\n",
            export(&generation, Format::Unbound),
            directory.path().display()
        );
        run("unbound-checkconf", &[&file(directory.path(), &text)]);
        let path = file(directory.path(), &export(&generation, Format::Dnsmasq));
        run("dnsmasq", &["--test", "-C", &path]);
    }
}

#[test]
fn the_script_for_windows_is_powershell() {
    let mut parser = tree_sitter::Parser::new();
    parser.set_language(&tree_sitter_powershell::LANGUAGE.into()).expect("a grammar");
    let errors = |text: &str, parser: &mut tree_sitter::Parser| {
        let tree = parser.parse(text, None).expect("a tree");
        tree.root_node().has_error().then(|| tree.root_node().to_sexp())
    };
    for generation in [all_forms(), nothing()] {
        let text = export(&generation, Format::Windows);
        assert_eq!(errors(&text, &mut parser), None, "{text}");
        // The grammar can tell.
        assert!(errors(&text.replacen("}\n", "\n", 1), &mut parser).is_some());
    }
    // Of all commands that change something, only these.
    let text = export(&all_forms(), Format::Windows);
    let verbs = ["Add-", "Remove-", "Set-", "Clear-", "New-"];
    let mut commands: Vec<&str> = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| verbs.iter().any(|verb| word.starts_with(verb)))
        .collect();
    commands.sort_unstable();
    commands.dedup();
    assert_eq!(
        commands,
        [
            "Add-DnsServerPrimaryZone",
            "Add-DnsServerResourceRecordA",
            "New-TimeSpan",
            "Remove-DnsServerResourceRecord"
        ]
    );
    assert!(text.contains("Remove-DnsServerResourceRecord -ZoneName $zone -RRType A "));
}

#[test]
fn a_resolver_of_hosts_files_reads_the_block() {
    let text = export(&all_forms(), Format::Hosts);
    let directory = tempfile::tempdir().expect("a directory");
    let path = file(directory.path(), &text);
    let read = run("python3", &["-c", PARSE_HOSTS, &path]);
    assert_eq!(
        read.trim(),
        "10.1.0.5 iotc-1.azure-devices.net iotc-1.privatelink.azure-devices.net\n\
         10.1.0.6 iothub-ns-1.servicebus.windows.net iothub-ns-1.privatelink.servicebus.windows.net\n\
         10.2.0.5 iotc-1.azure-devices.net iotc-1.privatelink.azure-devices.net"
    );
}

/// Lines as hosts(5) says, with addresses that are some.
const PARSE_HOSTS: &str = "
import ipaddress, sys
lines = [line.split('#')[0].split() for line in open(sys.argv[1])]
for line in sorted(line for line in lines if line):
    ipaddress.IPv4Address(line[0])
    print(*line)
";

#[test]
fn python_reads_the_json() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = file(directory.path(), &export(&all_forms(), Format::Json));
    let program = "
import json, sys
export = json.load(open(sys.argv[1]))
for name in export['names']:
    print(name['name'], *name['aliases'], *name['addresses'])
print(export['generation'], export['ttl'], len(export['zones']))
assert all(isinstance(zone['serial'], int) and zone['form'] in ('privatelink', 'per-name') for zone in export['zones'])
";
    assert_eq!(
        run("python3", &["-c", program, &path]).trim(),
        "iotc-1.azure-devices.net iotc-1.privatelink.azure-devices.net 10.1.0.5 10.2.0.5\n\
         iothub-ns-1.servicebus.windows.net iothub-ns-1.privatelink.servicebus.windows.net 10.1.0.6\n\
         1 10 5"
    );
}
