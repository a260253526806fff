//! A target that is written with Kerberos: BIND, and Samba, whose replies prove nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use jiff::Timestamp;
use privatelink_dns::config::Config;
use privatelink_dns::targets::{Apply, OperatorError, Surroundings, retire};
use privatelink_dns::zones::{
    EndpointShare, Generation, Placement, Publication, ResourceId, Share, Source, generation,
};

use crate::support::{REALM, ZONE, alone};
use crate::{bind, samba};

const APPLICATION: &str = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/r/providers/\
                           Microsoft.IoTCentral/iotApps/contoso";
const ENDPOINT: &str = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/r/providers/\
                        Microsoft.Network/privateEndpoints/pe";

/// A generation of hubs with one address each.
fn hubs(hubs: &[(&str, u8)]) -> Generation {
    let id = |text: &str| text.parse::<ResourceId>().expect("a resource id");
    let names = hubs.iter().map(|(hub, last)| {
        let placement = Placement {
            zone: ZONE.parse().expect("a zone"),
            member: None,
            interface: None,
            source: Source::CustomDns,
            own_name: false,
            addresses: BTreeSet::from([[10, 1, 0, *last].into()]),
            since: Timestamp::UNIX_EPOCH,
        };
        (format!("{hub}.azure-devices.net").parse().expect("a name"), placement)
    });
    let mut share = Share::empty(id(APPLICATION));
    share.zones.insert(ZONE.parse().expect("a zone"));
    share.endpoints.insert(id(ENDPOINT), EndpointShare { subnet: None, names: names.collect() });
    let publication = Publication {
        privatelink_zones: true,
        per_name_zones: false,
        application_name: false,
        ttl: 10,
        negative_ttl: 10,
        name_servers: vec!["ns.example.net".parse().expect("a name")],
        hostmaster: "hostmaster.example.net".parse().expect("a name"),
        endpoints: BTreeMap::new(),
        catalog: None,
        rpz: None,
        serial_at_least: None,
    };
    let shares = BTreeMap::from([(id(APPLICATION), share.into())]);
    generation::succeed(None, shares, &publication, "a test", Timestamp::UNIX_EPOCH).expect("a change").0
}

/// The configuration, with or without the target.
fn config_of(directory: &Path, server: SocketAddr, with_target: bool) -> Config {
    let path = directory.display();
    fs::create_dir_all(directory.join("daemon")).expect("made");
    let target = format!(
        "[[target]]\nname = \"dc\"\ntype = \"rfc2136\"\nservers = [\"{server}\"]\nkeytab = \"{path}/sync.keytab\"\n\
         principal = \"sync@{REALM}\"\n"
    );
    let text = format!(
        "version = 1\n[[application]]\nid = \"{APPLICATION}\"\n[state]\ndirectory = \"{path}/daemon\"\n{}",
        if with_target { &target } else { "" }
    );
    let file = directory.join("config.toml");
    fs::write(&file, text).expect("written");
    Config::load(&file).expect("a configuration").config
}

/// Plans and applies as an operator does.
async fn bring(config: &Config, generation: &Generation) -> Result<String, OperatorError> {
    let around = Surroundings::new(config).expect("nothing is missing");
    let mut target = Apply::new(&config.targets, "dc", &around)?;
    let plan = target.plan(generation).await?;
    target.apply(generation, &plan.hash).await
}

async fn comes_and_goes(directory: &Path, server: SocketAddr, addresses: impl Fn(&str) -> Vec<String>) {
    let config = config_of(directory, server, true);
    let done = bring(&config, &hubs(&[("h1", 1), ("h2", 2), ("h3", 3)])).await.expect("done");
    assert_eq!(done, "3 records added, 0 removed, 0 adopted");
    assert_eq!(
        (addresses("h1"), addresses("h3")),
        (vec!["10.1.0.1".to_owned()], vec!["10.1.0.3".to_owned()])
    );
    let next = hubs(&[("h2", 9), ("h3", 3), ("h4", 4)]);
    let done = bring(&config, &next).await.expect("done");
    assert_eq!(done, "2 records added, 2 removed, 0 adopted");
    assert_eq!((addresses("h1").len(), addresses("h2")), (0, vec!["10.1.0.9".to_owned()]));
    let around = Surroundings::new(&config).expect("nothing is missing");
    let again = Apply::new(&config.targets, "dc", &around).expect("it").plan(&next).await.expect("a plan");
    assert!(!again.changes && again.missing.is_empty(), "{again:?}");

    let config = config_of(directory, server, false);
    let done = retire(&config.targets, "dc", &around).await.expect("done");
    assert_eq!(done, "3 records removed; dc is retired");
    for name in ["h2", "h3", "h4"] {
        assert!(addresses(name).is_empty(), "{name}");
    }
}

#[test]
fn bind_takes_updates_that_are_signed_with_a_keytab() {
    alone("target::bind_takes_updates_that_are_signed_with_a_keytab", async |directory| {
        let site = bind::Site::start(directory);
        site.secret("sync.keytab");
        comes_and_goes(&site.directory, site.dns, |name| site.addresses(name)).await;
    });
}

#[test]
fn an_account_that_may_not_is_told_so() {
    alone("target::an_account_that_may_not_is_told_so", async |directory| {
        let site = bind::Site::start(directory);
        fs::copy(site.secret("nobody.keytab"), site.directory.join("sync.keytab")).expect("copied");
        site.secret("sync.keytab");
        let mut config = config_of(&site.directory, site.dns, true);
        let error = bring(&config, &hubs(&[("h1", 1)])).await.expect_err("no such account").to_string();
        assert!(error.contains("no usable key of sync@"), "{error}");
        for target in &mut config.targets {
            if let privatelink_dns::config::TargetKind::Rfc2136(settings) = &mut target.kind
                && let Some(kerberos) = &mut settings.kerberos
                && let privatelink_dns::config::KerberosIdentity::Keytab { principal, .. } =
                    &mut kerberos.identity
            {
                *principal = format!("nobody@{REALM}");
            }
        }
        let error = bring(&config, &hubs(&[("h1", 1)])).await.expect_err("it may not").to_string();
        assert!(error.contains("REFUSED") && error.contains("update-policy"), "{error}");
        assert!(site.addresses("h1").is_empty());
    });
}

#[test]
fn what_replies_leave_open_is_asked_of_samba() {
    alone("target::what_replies_leave_open_is_asked_of_samba", async |directory| {
        let site = samba::Site::start(directory, samba::Backend::Internal);
        comes_and_goes(&site.directory, site.dns, |name| site.addresses(name)).await;
    });
}
