//! The format as a whole: defaults, the shipped files, the overlay, reading from disk. What is said
//! of wrong configurations is in `tests/config_errors/`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use super::schema::{REPEATED, SECTIONS, path};
use super::*;
use crate::zones::{Catalog, DnsName, EndpointPolicy};

const MINIMAL: &str = include_str!("../../config/minimal.toml");
const REFERENCE: &str = include_str!("../../config/reference.toml");
const APPLICATION: &str = "[[application]]\nid = \
     '/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/r/providers/Microsoft.IoTCentral/iotApps/a'\n";

fn with(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let environment = environment.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    parse("test.toml", text, environment)
}

fn config(text: &str) -> Config {
    with(&format!("version = 1\n{text}\n{APPLICATION}"), &[]).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn the_reference_shows_the_defaults() {
    let reference = with(REFERENCE, &[]).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(reference, with(MINIMAL, &[]).unwrap_or_else(|e| panic!("{e}")));
}

#[test]
fn the_defaults_are_these() {
    let config = config("");
    assert_eq!(config.azure.cloud, Cloud::public());
    assert_eq!(config.azure.credential, Credential::ManagedIdentity { identity: None });
    assert_eq!(config.azure.poll_interval, Duration::from_secs(30));
    assert_eq!(config.guard, crate::zones::GuardPolicy::default());
    assert!(config.publication.privatelink_zones && !config.publication.per_name_zones);
    assert_eq!((config.publication.ttl, config.publication.negative_ttl), (10, 10));
    assert_eq!(config.dns.listen, ["127.0.0.1:53".parse().expect("an address")]);
    assert!(config.dns.allow_query.iter().all(|p| p.length > 0), "not open to everybody");
    assert_eq!(config.dns.stale_after, Duration::from_secs(900));
    assert_eq!(config.admin_listen, "127.0.0.1:9853".parse().expect("an address"));
    assert_eq!(config.log, Log { json: false, filter: "info".to_owned() });
}

/// The lines of the reference that belong to a section, by its heading, commented out or not.
fn reference_lines(section: &str) -> Vec<&'static str> {
    let mut here = "";
    let mut lines = Vec::new();
    for line in REFERENCE.lines().map(|line| line.strip_prefix("# ").unwrap_or(line)) {
        if line.starts_with('[') && line.ends_with(']') {
            here = line.trim_matches(['[', ']']);
        } else if here == section {
            lines.push(line);
        }
    }
    lines
}

#[test]
fn the_reference_names_every_key() {
    for (section, keys) in SECTIONS {
        let lines = reference_lines(section);
        for key in *keys {
            if SECTIONS.iter().any(|(name, _)| *name == path(section, key)) {
                assert!(!reference_lines(&path(section, key)).is_empty(), "[{}]", path(section, key));
            } else {
                assert!(lines.iter().any(|l| l.starts_with(&format!("{key} = "))), "{section}: {key}");
            }
        }
    }
}

#[test]
fn what_the_reference_shows_commented_out_can_be_used() {
    let mut text = String::new();
    for line in REFERENCE.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let used = bare.starts_with('[') && bare.ends_with(']')
            || bare.split_once(" = ").is_some_and(|(k, _)| !k.contains(' '));
        text.push_str(if used { bare } else { line });
        text.push('\n');
    }
    let errors = with(&text, &[]).expect_err("keys that exclude each other");
    for error in errors.errors() {
        let excluded = ["is not used with", "names the identity a second time"];
        assert!(excluded.iter().any(|e| error.problem.contains(e)), "{error}");
    }
}

#[test]
fn every_key_is_read() {
    let contexts = [
        "cloud = 'custom'\n[azure.credential]\n",
        "[azure.credential]\nkind = 'workload-identity'\n",
        "[azure.credential]\nkind = 'client-secret'\n",
        "[azure.credential]\nkind = 'client-certificate'\n",
    ];
    let types = [
        "type = 'hosts'",
        "type = 'zone-file'",
        "type = 'rpz-file'",
        "type = 'rfc2136'",
        "type = 'rfc2136'\nkeytab = '/k'",
    ];
    for (section, keys) in SECTIONS.iter().skip(1) {
        let contexts = if *section == "target" { &types[..] } else { &contexts };
        for key in *keys {
            let key = path(section, key);
            if SECTIONS.iter().any(|(name, _)| *name == key) {
                continue;
            }
            // A date fits nowhere; a key that nobody reads would not mind it.
            let read = contexts.iter().any(|context| {
                let repeated = REPEATED.iter().any(|section| key.starts_with(section));
                let (section, name) = key.rsplit_once('.').expect("a section");
                let line = format!("{name} = 2024-01-01\n");
                let text = match section {
                    "azure" => {
                        format!("[azure]\n{line}{}", context.replace(&format!("{name} = 'custom'\n"), ""))
                    }
                    "azure.credential" => {
                        format!(
                            "[azure]\n{}{line}",
                            context.replace("kind", if name == "kind" { "#" } else { "kind" })
                        )
                    }
                    "target" if name != "type" => format!("[[target]]\n{context}\n{line}"),
                    _ if repeated => format!("[[{section}]]\n{line}"),
                    _ => format!("[{section}]\n{line}"),
                };
                let errors = with(&format!("version = 1\n{text}"), &[]).expect_err("a date fits nowhere");
                errors.errors().iter().any(|e| e.key == key && e.problem.contains("found the date"))
            });
            assert!(read, "{key}");
        }
    }
}

#[test]
fn defaults_never_contradict_what_is_set() {
    let config = config(
        "azure.poll_interval = '1h'\nguard.removal_polls = 20\nguard.removal_period = '1h'\n\
         dns.tcp_connections = 10",
    );
    assert_eq!(config.guard.bulk_polls, 20);
    assert_eq!(config.guard.bulk_period, Duration::from_secs(3600));
    assert_eq!(config.dns.tcp_connections_per_client, 10);
    assert_eq!(config.dns.stale_after, Duration::from_secs(3 * 3600));
}

#[test]
fn targets_are_read() {
    let text = "[[target]]\nname = 'h'\ntype = 'hosts'\npath = '/etc//hosts'\ndry_run = true\n\
                [[target]]\nname = 'z'\ntype = 'zone-file'\ndirectory = '/z/'\nreload = ['rndc', 'reload']\n\
                [[target]]\nname = 'r'\ntype = 'rpz-file'\npath = '/z/r.zone'\norigin = 'rpz.example'\n";
    let config = config(text);
    let reload = TargetReload {
        command: vec!["rndc".to_owned(), "reload".to_owned()],
        timeout: Duration::from_secs(10),
    };
    let kinds = [
        TargetKind::Hosts { path: "/etc/hosts".into(), in_place: false },
        TargetKind::ZoneFiles { directory: "/z".into(), reload: Some(reload) },
        TargetKind::RpzFile {
            path: "/z/r.zone".into(),
            origin: "rpz.example".parse().expect("a name"),
            reload: None,
        },
    ];
    let read: Vec<_> = config.targets.iter().map(|t| (t.name.as_str(), t.dry_run, t.kind.clone())).collect();
    let [hosts, zones, policy] = kinds;
    assert_eq!(read, [("h", true, hosts), ("z", false, zones), ("r", false, policy)]);
    // The policy zone of a target is made like one for secondaries.
    assert_eq!(config.publication.rpz, Some("rpz.example".parse().expect("a name")));
}

#[test]
fn secondaries_are_read() {
    let config = config(
        "[transfer]\nkey_files = ['/k']\ncatalog = 'catalog.example'\ncatalog_group = 'iot'\n\
         rpz = 'rpz.example'\nserial_at_least = 4294967295\nlag_limit = '5m'\n\
         [[secondary]]\nname = 'a'\naddress = '10.0.0.1'\nsource = '10.0.0.9'\nkey = 'A-key'\n\
         [[secondary]]\nname = 'b'\naddress = '[fd00::1]:5353'\ntransfer_by = 'address'\n\
         [[secondary]]\nname = 'c'\naddress = '10.0.0.3'\nkey = 'c'\ntransfer_by = 'key-or-address'\nnotify = 'off'",
    );
    let name = |text: &str| text.parse::<DnsName>().expect("a name");
    assert_eq!(config.transfer.key_files, [PathBuf::from("/k")]);
    assert_eq!(config.transfer.lag_limit, Duration::from_secs(300));
    let catalog = Catalog { origin: name("catalog.example"), group: Some("iot".to_owned()) };
    assert_eq!(config.publication.catalog, Some(catalog));
    assert_eq!(config.publication.rpz, Some(name("rpz.example")));
    assert_eq!(config.publication.serial_at_least, Some(u32::MAX));
    assert_eq!(config.transfer.secondaries[0].source, Some([10, 0, 0, 9].into()));
    let read: Vec<_> = config
        .transfer
        .secondaries
        .iter()
        .map(|s| (s.name.as_str(), s.address.to_string(), s.key.clone(), s.access, s.notification))
        .collect();
    assert_eq!(
        read,
        [
            ("a", "10.0.0.1:53".to_owned(), Some(name("a-key")), Access::Key, Notification::Signed),
            ("b", "[fd00::1]:5353".to_owned(), None, Access::Address, Notification::Unsigned),
            ("c", "10.0.0.3:53".to_owned(), Some(name("c")), Access::KeyOrAddress, Notification::Off),
        ]
    );
}

#[test]
fn every_credential_is_read() {
    let credential = |keys: &str| config(&format!("[azure.credential]\n{keys}\n")).azure.credential;
    let managed = |identity| Credential::ManagedIdentity { identity };
    assert_eq!(
        credential("object_id = '00000000-0000-0000-0000-00000000000b'"),
        managed(Some(UserAssigned::ObjectId("00000000-0000-0000-0000-00000000000b".to_owned())))
    );
    let id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/r/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i";
    assert_eq!(
        credential(&format!("resource_id = '{id}'")),
        managed(Some(UserAssigned::ResourceId(id.to_owned())))
    );
    assert_eq!(credential("kind = 'arc'"), Credential::Arc);
    assert_eq!(credential("kind = 'azure-cli'"), Credential::AzureCli);
    assert_eq!(
        credential("kind = 'workload-identity'\ntoken_file = '/t'"),
        Credential::WorkloadIdentity { tenant_id: None, client_id: None, token_file: Some("/t".into()) }
    );
    assert_eq!(
        credential(
            "kind = 'client-certificate'\ntenant_id = 'a.b'\nclient_id = '00000000-0000-0000-0000-00000000000c'\ncertificate_file = '/p'"
        ),
        Credential::ClientCertificate {
            tenant_id: "a.b".to_owned(),
            client_id: "00000000-0000-0000-0000-00000000000c".to_owned(),
            certificate_file: "/p".into(),
            key_file: "/p".into(),
        }
    );
}

#[test]
fn the_credentials_directory_is_expanded() {
    let text = format!(
        "version = 1\n[azure.credential]\nkind = 'client-secret'\ntenant_id = 'a.b'\nclient_id = '00000000-0000-0000-0000-00000000000c'\n\
         secret_file = '$CREDENTIALS_DIRECTORY/s'\n{APPLICATION}"
    );
    let config = with(&text, &[("CREDENTIALS_DIRECTORY", "/run/credentials/x")]).expect("a configuration");
    let Credential::ClientSecret { secret_file, .. } = config.azure.credential else { panic!("the kind") };
    assert_eq!(secret_file.to_str(), Some("/run/credentials/x/s"));
}

#[test]
fn custom_clouds_are_read() {
    let cloud = |manager: &str| {
        let text = format!(
            "[azure]\ncloud = 'custom'\nresource_manager = '{manager}'\nauthority = 'https://login.example.net/'"
        );
        config(&text).azure.cloud
    };
    let expected = Cloud {
        resource_manager: "https://arm.example.net".to_owned(),
        authority: "https://login.example.net".to_owned(),
        audience: "https://arm.example.net".to_owned(),
    };
    assert_eq!(cloud("https://arm.example.net/"), expected);
    for loopback in ["http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost:8080"] {
        assert_eq!(cloud(loopback).resource_manager, loopback);
    }
}

#[test]
fn addresses_are_read_in_every_form() {
    let config = config("dns.listen = ['10.0.0.4', '10.0.0.4:5353', '::1', '[::1]:5353', '[fd00::1]']");
    let listen: Vec<String> = config.dns.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["10.0.0.4:53", "10.0.0.4:5353", "[::1]:53", "[::1]:5353", "[fd00::1]:53"]);
    let config =
        self::config("dns.listen = ['0.0.0.0:53', '[::]:53']\ndns.allow_query = ['any', '10.0.0.0/8']");
    assert_eq!(config.dns.listen.len(), 2);
    assert_eq!(config.dns.allow_query.len(), 3);
}

#[test]
fn variables_replace_and_add_values() {
    let text = format!("version = 1\n[dns]\nlisten = ['10.0.0.1']\n[log]\nlevel = 'debug'\n{APPLICATION}");
    let config = with(
        &text,
        &[
            ("PRIVATELINK_DNS__DNS__LISTEN", "127.0.0.1:53, [::1]:53"),
            ("PRIVATELINK_DNS__DNS__RATE_LIMIT__SLIP", "2"),
            ("PRIVATELINK_DNS__AZURE__POLL_INTERVAL", "10s"),
            ("PRIVATELINK_DNS__PUBLISH__PER_NAME_ZONES", "true"),
            ("PRIVATELINK_DNS__AZURE__CREDENTIAL__CLIENT_ID", "00000000-0000-0000-0000-00000000000c"),
            (
                "PRIVATELINK_DNS__APPLICATION",
                "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/r/providers/Microsoft.IoTCentral/iotApps/b,\
              /subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/r/providers/Microsoft.IoTCentral/iotApps/c",
            ),
            ("PRIVATELINK_DNS__LOG__LEVEL", ""),
            ("PRIVATELINK_DNS_OTHER", "not ours"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(config.dns.listen.len(), 2);
    assert_eq!(config.dns.rate_limit.slip, 2);
    assert_eq!(config.azure.poll_interval, Duration::from_secs(10));
    assert!(config.publication.per_name_zones);
    let identity = Some(UserAssigned::ClientId("00000000-0000-0000-0000-00000000000c".to_owned()));
    assert_eq!(config.azure.credential, Credential::ManagedIdentity { identity });
    assert_eq!(config.applications.iter().map(ResourceId::name).collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(config.log.filter, "debug", "an empty variable counts as unset");
}

#[test]
fn tags_have_a_name_and_perhaps_a_value() {
    let discovery = |tag: &str| {
        let text = format!(
            "version = 1\n[[discovery]]\nsubscription = '00000000-0000-0000-0000-000000000001'\ntag = '{tag}'\n"
        );
        with(&text, &[]).expect("a configuration").discoveries.remove(0).tag
    };
    assert_eq!(discovery("dns"), Some(("dns".to_owned(), None)));
    assert_eq!(discovery("dns=on=off"), Some(("dns".to_owned(), Some("on=off".to_owned()))));
    assert_eq!(discovery("dns="), Some(("dns".to_owned(), Some(String::new()))));
}

#[test]
fn each_application_has_its_policy_for_endpoints() {
    let application =
        |name: &str, keys: &str| format!("{}{keys}\n", APPLICATION.replace("/a'", &format!("/{name}'")));
    let pe = |name: &str| {
        format!("/subscriptions/s/resourceGroups/r/providers/Microsoft.Network/privateEndpoints/{name}")
    };
    let id = |text: String| text.parse::<ResourceId>().expect("an id");
    let (one, two) = (pe("one"), pe("two"));
    let text = [
        "version = 1\n".to_owned(),
        application("all", "endpoints = 'all'"),
        application("default", ""),
        application("prefer", &format!("endpoints = 'prefer'\nprefer = ['{two}', '{one}']")),
        application(
            "by",
            &format!("endpoints = 'by-subnet'\nby_subnet = ['10.1.0.0/16={one}', 'fd00::1 = {two}']"),
        ),
    ];
    let config = with(&text.concat(), &[]).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(config.applications.len(), 4);
    let policies: Vec<_> =
        config.publication.endpoints.into_iter().map(|(id, policy)| (id.name().to_owned(), policy)).collect();
    let networks = [("10.1.0.0/16", one.clone()), ("fd00::1/128", two.clone())]
        .map(|(prefix, endpoint)| (prefix.parse().expect("a prefix"), id(endpoint)));
    let by = EndpointPolicy::BySubnet(networks.into());
    let prefer = EndpointPolicy::Prefer(vec![id(two), id(one)]);
    assert_eq!(policies, [("by".to_owned(), by), ("prefer".to_owned(), prefer)]);
}

#[test]
fn client_prefixes_of_all_applications_are_counted() {
    let application = |name: &str, count: u32| {
        let pe = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Network/privateEndpoints/e";
        let items: Vec<String> =
            (0..count).map(|i| format!("'{}={pe}'", std::net::Ipv4Addr::from(0x0a00_0000 + i))).collect();
        let id = APPLICATION.replace("/a'", &format!("/{name}'"));
        format!("{id}endpoints = 'by-subnet'\nby_subnet = [{}]\n", items.join(", "))
    };
    let read = |counts: [u32; 2]| {
        with(&format!("version = 1\n{}{}", application("a", counts[0]), application("b", counts[1])), &[])
    };
    assert!(read([1000, 24]).is_ok());
    let told = read([1000, 25]).expect_err("one too many").to_string();
    assert!(
        told.contains("there are 1025 client prefixes in all applications; write at most 1024"),
        "{told}"
    );
    let told = read([1025, 1]).expect_err("one too many").to_string();
    assert!(told.contains("has 1025 items; write at most 1024"), "{told}");
}

#[test]
fn covers_what_is_named_or_in_scope() {
    let config =
        config("[[discovery]]\nsubscription = '00000000-0000-0000-0000-000000000002'\nresource_group = 'rg'");
    let covers = |id: &str| config.covers(&id.parse().expect("an id"));
    assert!(covers(
        "/subscriptions/00000000-0000-0000-0000-000000000001/resourcegroups/R/providers/microsoft.iotcentral/iotapps/A"
    ));
    assert!(!covers(
        "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/r/providers/Microsoft.IoTCentral/iotApps/b"
    ));
    assert!(covers(
        "/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/RG/providers/Microsoft.IoTCentral/iotApps/b"
    ));
    assert!(!covers(
        "/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/other/providers/Microsoft.IoTCentral/iotApps/b"
    ));
}

#[test]
fn a_resource_group_may_have_letters_of_any_script() {
    let covered = config(
        "[[discovery]]\nsubscription = 'AAAAAAAA-2222-3333-4444-555555555555'\nresource_group = 'grün'",
    );
    let id = "/subscriptions/aaaaaaaa-2222-3333-4444-555555555555/resourceGroups/GRÜN/providers/Microsoft.IoTCentral/iotApps/b";
    assert!(covered.covers(&id.parse().expect("an id")));
    let scope = "[[discovery]]\nsubscription = '11111111-2222-3333-4444-555555555555'\nresource_group = ";
    let twice = format!("version = 1\n{scope}'grün'\n{scope}'GRÜN'\n");
    assert!(with(&twice, &[]).expect_err("twice").to_string().contains("same scope"));
}

#[test]
fn faults_are_data_too() {
    let errors = with("version = 1\n[dns]\n  listen = 5\n", &[]).expect_err("faults");
    let [first, second] = errors.errors() else { panic!("{errors}") };
    assert_eq!(first.place, Place::Line { line: 3, column: 12 });
    assert_eq!((first.file.as_str(), first.key.as_str()), ("test.toml", "dns.listen"));
    assert_eq!((&second.place, second.key.as_str()), (&Place::File, "application"));
}

#[test]
fn loading_names_the_file_that_is_not_there() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("config.toml");
    let told = Config::load(&path).expect_err("no file").to_string();
    assert!(told.starts_with(&format!("{}: cannot read", path.display())), "{told}");
    fs::write(&path, b"version = 1\n# \xff\n").expect("written");
    let told = Config::load(&path).expect_err("no text").to_string();
    assert!(told.contains("no valid UTF-8 in line 2"), "{told}");
    fs::write(&path, vec![b'#'; (1 << 20) + 1]).expect("written");
    let told = Config::load(&path).expect_err("too much").to_string();
    assert!(told.contains("larger than 1 MiB"), "{told}");
}

#[cfg(unix)]
#[test]
fn loading_looks_at_the_files_that_are_named() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("config.toml");
    let secret = directory.path().join("secret");
    let text = format!(
        "version = 1\nazure.ca_file = '{}'\n[azure.credential]\nkind = 'client-secret'\ntenant_id = 'a.b'\n\
         client_id = '00000000-0000-0000-0000-00000000000c'\nsecret_file = '{}'\n{APPLICATION}",
        directory.path().display(),
        secret.display()
    );
    fs::write(&path, text).expect("written");
    let told = |path| Config::load(path).expect_err("faults").to_string();
    assert!(
        told(&path).contains("azure.ca_file") && told(&path).contains("no regular file"),
        "{}",
        told(&path)
    );
    assert!(told(&path).contains(":7: azure.credential.secret_file: cannot read"), "{}", told(&path));

    // Beside what is wrong with the text.
    let text = fs::read_to_string(&path).expect("read");
    fs::write(&path, format!("{text}[dns]\nudp_threads = 'x'\n")).expect("written");
    assert_eq!(Config::load(&path).expect_err("faults").errors().len(), 3);

    fs::write(&path, text.replace("azure.ca_file", "#")).expect("written");
    fs::write(&secret, "hunter2").expect("written");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).expect("a mode");
    assert!(told(&path).contains("open to every user (mode 0644)"), "{}", told(&path));
    assert!(!told(&path).contains("hunter2"));

    fs::set_permissions(&secret, fs::Permissions::from_mode(0o640)).expect("a mode");
    let loaded = Config::load(&path).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.path, path);
    assert_eq!(loaded.config.applications.len(), 1);
    assert_eq!(loaded.credential, None);

    // An empty secret is a fault, but none that keeps stored records from being served.
    fs::write(&secret, "").expect("written");
    let loaded = Config::load(&path).unwrap_or_else(|e| panic!("{e}"));
    assert!(loaded.credential.expect("a fault").to_string().contains("is empty"));
}

#[test]
fn a_half_edited_file_still_tells_where_the_daemon_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("config.toml");
    let contact = |text: &str| {
        fs::write(&path, text).expect("written");
        Contact::load(&path)
    };
    let expected = Contact {
        admin_listen: "127.0.0.1:9".parse().expect("an address"),
        state_directory: "/srv/state".into(),
    };
    let keys = "[admin]\nlisten = '127.0.0.1:9'\n[state]\ndirectory = '/srv/state'\n";
    for rest in ["version = 7", "[azure.credential]\nkind = 'client-secret'", "nonsense", "[dns\nlisten = [5"]
    {
        assert_eq!(contact(&format!("{keys}{rest}\n")).as_ref(), Ok(&expected), "{rest}");
    }
    assert_eq!(contact("nonsense").expect("defaults").admin_listen.port(), 9853);
    let told = contact("[admin]\nlisten = 'nowhere'\n").expect_err("a wrong address").to_string();
    assert!(told.contains(":2: admin.listen: \"nowhere\" is no IP address"), "{told}");
    fs::remove_file(&path).expect("removed");
    assert!(Contact::load(&path).expect_err("no file").to_string().contains("cannot read the configuration"));
}

proptest! {
    #[test]
    fn any_text_is_survived(text in ".*", name in "[A-Za-z_.]{0,20}", value in ".*") {
        let variable = format!("PRIVATELINK_DNS__{name}");
        let _ = with(&text, &[(variable.as_str(), value.as_str())]);
        tree::recover(&text);
    }

    #[test]
    fn any_damage_to_the_reference_is_survived(
        at in 0..REFERENCE.len(),
        length in 0..40_usize,
        inserted in "[ -~\n\u{e9}]{0,8}",
    ) {
        let end = (at + length).min(REFERENCE.len());
        let mut text = String::from_utf8_lossy(&REFERENCE.as_bytes()[..at]).into_owned();
        text.push_str(&inserted);
        text.push_str(&String::from_utf8_lossy(&REFERENCE.as_bytes()[end..]));
        if let Err(errors) = with(&text, &[]) {
            prop_assert!(!errors.errors().is_empty());
        }
    }

    #[test]
    fn any_value_of_any_key_is_survived(
        section in 1..SECTIONS.len(),
        key in any::<prop::sample::Index>(),
        value in prop_oneof!["'[^']{0,12}'", "-?[0-9]{1,25}", "\\[('[a-z0-9.:/]{0,12}',? ?){0,3}\\]", "true", "\\{a = 1\\}"],
    ) {
        let (section, keys) = SECTIONS[section];
        let text = format!("version = 1\n[{section}]\n{} = {value}\n{APPLICATION}", keys[key.index(keys.len())]);
        let _ = with(&text, &[]);
    }
}
