//! Secondaries are told of what there is and of what changes, and it shows when they do not take it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use domain::base::iana::{Opcode, Rcode};
use domain::base::{Message, MessageBuilder, Serial, Ttl};
use domain::rdata::Soa;
use privatelink_dns::admin::status::SecondaryStatus;
use privatelink_dns::zones::FindingKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use crate::reload::reload;
use crate::support::azure::Azure;
use crate::support::daemon::Daemon;
use crate::support::dns::dig_with;
use crate::support::eventually;
use crate::support::home::Home;
use crate::support::server::Server;

const ZONE: &str = "privatelink.azure-devices.net";
const CATALOG: &str = "catalog.example.net";

/// A secondary that has every zone as soon as it is notified of it.
pub(crate) struct Quick {
    pub(crate) address: SocketAddr,
    zones: Arc<Mutex<BTreeMap<String, u32>>>,
    _tasks: JoinSet<()>,
}

impl Quick {
    pub(crate) async fn start() -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = tcp.local_addr().expect("an address");
        let udp = UdpSocket::bind(address).await.expect("the port is free for UDP");
        let zones = Arc::new(Mutex::default());
        let mut tasks = JoinSet::new();
        let known = Arc::clone(&zones);
        tasks.spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                let Ok((length, client)) = udp.recv_from(&mut buffer).await else { continue };
                let answer = answer(&buffer[..length], &known);
                udp.send_to(&answer, client).await.expect("sent");
            }
        });
        let known = Arc::clone(&zones);
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let Ok(length) = stream.read_u16().await else { continue };
                let mut query = vec![0; usize::from(length)];
                if stream.read_exact(&mut query).await.is_ok() {
                    let answer = answer(&query, &known);
                    let length = u16::try_from(answer.len()).expect("short").to_be_bytes();
                    let _ = stream.write_all(&[&length[..], &answer].concat()).await;
                }
            }
        });
        Self { address, zones, _tasks: tasks }
    }

    fn zones(&self) -> BTreeMap<String, u32> {
        self.zones.lock().expect("no panic").clone()
    }

    /// Waits until it was notified of everything as it is.
    pub(crate) async fn has_everything(&self, daemon: &Daemon) -> BTreeMap<String, u32> {
        eventually("every zone", async || {
            let zones = daemon.status().await.zones;
            let expected: BTreeMap<_, _> =
                zones.into_iter().map(|zone| (zone.origin.to_string(), zone.serial)).collect();
            if !expected.is_empty() && self.zones() == expected {
                Ok(expected)
            } else {
                Err(format!("{:?}, not {expected:?}", self.zones()))
            }
        })
        .await
    }
}

fn answer(octets: &[u8], zones: &Mutex<BTreeMap<String, u32>>) -> Vec<u8> {
    let message = Message::from_octets(octets).expect("a message");
    let mut answer = MessageBuilder::new_vec().start_answer(&message, Rcode::NOERROR).expect("room");
    let opcode = message.header().opcode();
    answer.header_mut().set_opcode(opcode);
    let zone = message.sole_question().expect("a question").into_qname();
    let mut zones = zones.lock().expect("no panic");
    if opcode == Opcode::NOTIFY {
        let soa = message.answer().expect("a section").limit_to::<Soa<_>>().next().expect("one");
        let serial = soa.expect("a SOA").data().serial();
        // As secondaries do, it takes nothing older.
        let held = zones.entry(zone.to_string()).or_insert_with(|| serial.into_int());
        if Serial(*held) < serial {
            *held = serial.into_int();
        }
    } else if let Some(serial) = zones.get(&zone.to_string()) {
        answer.header_mut().set_aa(true);
        let time = Ttl::from_secs(1);
        answer
            .push((&zone, 1, Soa::new(&zone, &zone, Serial(*serial), time, time, time, time)))
            .expect("room");
    }
    answer.finish()
}

pub(crate) fn section(name: &str, address: SocketAddr) -> String {
    format!("[[secondary]]\nname = \"{name}\"\naddress = \"{address}\"\ntransfer_by = \"address\"\n")
}

async fn secondary(daemon: &Daemon, name: &str) -> SecondaryStatus {
    let all = daemon.status().await.secondaries;
    all.into_iter().find(|secondary| secondary.name == name).expect("a secondary")
}

#[tokio::test]
async fn they_are_told_of_every_zone_and_of_every_change_and_those_that_do_not_answer_are_found() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    let quick = Quick::start().await;
    let silent = UdpSocket::bind("127.0.0.2:0").await.expect("a socket");
    home.settings.publish = "per_name_zones = true";
    home.settings.transfer = format!(
        "[transfer]\nlag_limit = \"1s\"\ncatalog = \"{CATALOG}\"\n{}{}",
        section("quick", quick.address),
        section("silent", silent.local_addr().expect("an address"))
    );
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let before = quick.has_everything(&daemon).await;
    assert!(before.contains_key(CATALOG) && before.contains_key(ZONE) && before.len() > 6, "{before:?}");

    azure.scale_out();
    daemon.shows(&azure).await;
    let after = quick.has_everything(&daemon).await;
    assert!(after[ZONE] > before[ZONE] && after[CATALOG] > before[CATALOG], "{after:?}");

    eventually("it is known to have everything", async || {
        let quick = secondary(&daemon, "quick").await;
        let is_well = quick.behind == 0 && quick.current == after.len() && quick.error.is_none();
        if is_well { Ok(()) } else { Err(format!("{quick:?}")) }
    })
    .await;
    // It was late itself until it was asked, which is longer than the limit here.
    let message = eventually("a finding of the silent one alone", async || {
        let findings = daemon.status().await.findings;
        let mut lagging = findings.iter().filter(|f| f.kind == FindingKind::SecondaryLagging);
        match (lagging.next(), lagging.next()) {
            (Some(finding), None) if finding.subject == "silent" => Ok(finding.message.clone()),
            _ => Err(format!("{findings:?}")),
        }
    })
    .await;
    assert!(message.contains(&format!(" and {} more zones since ", after.len() - 5)), "{message}");
    assert!(message.contains("It never acknowledged a NOTIFY."), "{message}");
    let behind = secondary(&daemon, "silent").await;
    assert_eq!((behind.current, behind.behind), (0, after.len()));
    assert!(behind.zones.iter().all(|zone| !zone.current && zone.acknowledged.is_none()));

    let metric = async |line: &str| daemon.metric(&format!("privatelink_dns_secondary_{line}")).await;
    let acknowledged = "notifies_total{result=\"acknowledged\",secondary=\"quick\"}";
    assert!(metric(acknowledged).await > after.len() as f64);
    assert_eq!(metric("zones_behind{secondary=\"quick\"}").await, 0.0);
    assert_eq!(metric("lag_seconds{secondary=\"quick\"}").await, 0.0);
    assert_eq!(metric("zones_behind{secondary=\"silent\"}").await, after.len() as f64);
    assert!(metric("lag_seconds{secondary=\"silent\"}").await > 1.0);

    // A transfer from its address is its own.
    assert!(secondary(&daemon, "silent").await.last_transfer.is_none());
    dig_with(daemon.dns(), ZONE, "AXFR", &["-b", "127.0.0.2"]).await;
    eventually("the transfer is noted", async || {
        let silent = secondary(&daemon, "silent").await;
        let is_noted = silent.last_transfer.is_some() && silent.current == 1;
        if is_noted { Ok(()) } else { Err(format!("{silent:?}")) }
    })
    .await;
    let zone = secondary(&daemon, "silent").await.zones.into_iter().find(|zone| zone.origin.as_str() == ZONE);
    assert_eq!(zone.expect("the zone").transferred, Some(after[ZONE]));
    assert_eq!(metric("transfers_total{kind=\"axfr\",result=\"complete\",secondary=\"silent\"}").await, 1.0);

    let said = home.run(&daemon, &["status"]).await;
    for (name, current) in [("quick", after.len()), ("silent", 1)] {
        let line = said.out.lines().find(|line| line.starts_with(name)).expect("a line");
        assert_eq!(line.split_whitespace().nth(2), Some(&*current.to_string()), "{}", said.out);
    }

    // Taken out, it is gone with all that was said of it.
    home.settings.transfer = format!(
        "[transfer]\nlag_limit = \"1s\"\ncatalog = \"{CATALOG}\"\n{}",
        section("quick", quick.address)
    );
    reload(&daemon, &home).await;
    daemon.no_finding(FindingKind::SecondaryLagging).await;
    assert!(!daemon.get("/metrics").await.1.contains("secondary=\"silent\""));
}

#[tokio::test]
async fn a_serial_that_a_secondary_is_ahead_with_is_overtaken() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    let quick = Quick::start().await;
    home.settings.transfer = section("quick", quick.address);
    // It has the zone of an earlier primary, whose clock was ahead.
    let ahead = 3_000_000_000_u32;
    quick.zones.lock().expect("no panic").insert(ZONE.to_owned(), ahead);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    eventually("a greater serial", async || {
        let zones = daemon.status().await.zones;
        let serial = zones.iter().find(|zone| zone.origin.as_str() == ZONE).expect("the zone").serial;
        if serial == ahead + 1 { Ok(()) } else { Err(format!("{serial}")) }
    })
    .await;
    quick.has_everything(&daemon).await;
    let log = daemon.log();
    let raised: Vec<_> = log.iter().filter(|line| line["seen"] == ahead).collect();
    assert_eq!(raised.len(), 1, "{raised:?}");
    assert_eq!((&raised[0]["secondary"], &raised[0]["level"]), (&"quick".into(), &"WARN".into()));
}

const KEY: &str =
    "key \"peer-key\" { algorithm hmac-sha256; secret \"bXkgc2VjcmV0IG9mIHRoaXJ0eS10d28gb2N0ZXRzLi4=\"; };\n";

/// An address that is free for UDP and TCP.
async fn free() -> SocketAddr {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = tcp.local_addr().expect("an address");
        if UdpSocket::bind(address).await.is_ok() {
            return address;
        }
    }
}

/// A daemon with a signed secondary there, and a configuration with the key.
async fn signed(azure: &Azure, address: SocketAddr, more: &str) -> (Home, Daemon) {
    let mut home = Home::new(azure);
    let keys = home.path("keys.conf");
    home.secret(&keys, KEY);
    home.settings.publish = "per_name_zones = true";
    home.settings.transfer = format!(
        "[transfer]\nkey_files = [\"{}\"]\ncatalog = \"{CATALOG}\"\n[[secondary]]\nname = \"peer\"\n\
         address = \"{address}\"\nkey = \"peer-key\"\n{more}",
        keys.display()
    );
    let daemon = home.start().await;
    daemon.shows(azure).await;
    (home, daemon)
}

#[tokio::test]
async fn bind_learns_of_zones_and_changes_by_signed_notifies() {
    let azure = Azure::start().await;
    let address = free().await;
    // BIND comes later: what it was not told then is told it now.
    let (_home, daemon) = signed(&azure, address, "").await;
    let primary = format!("127.0.0.1 port {} key peer-key", daemon.dns().port());
    let bind = Server::named(address, |directory| {
        let path = directory.display();
        format!(
            "{KEY}options {{ directory \"{path}\"; listen-on port {} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n\
             pid-file none; session-keyfile \"{path}/session.key\"; lock-file none;\n\
             recursion no; notify no; allow-notify {{ key peer-key; }}; serial-query-rate 1000;\n\
             allow-query {{ any; }}; catalog-zones {{ zone \"{CATALOG}\" default-primaries {{ {primary}; }}\n\
             in-memory yes min-update-interval 0; }}; }};\ncontrols {{ }};\n\
             zone \"{CATALOG}\" {{ type secondary; file \"{path}/catalog\"; primaries {{ {primary}; }}; }};\n",
            address.port()
        )
    })
    .await;
    let is_current = async || {
        eventually("BIND has everything, and acknowledged it", async || {
            let zones = daemon.status().await.zones.len();
            let peer = secondary(&daemon, "peer").await;
            let told = peer.zones.iter().all(|zone| zone.acknowledged == Some(zone.serial));
            if told && peer.current == zones && zones > 6 { Ok(()) } else { Err(format!("{peer:?}")) }
        })
        .await;
    };
    is_current().await;
    let hub = azure.scale_out();
    daemon.shows(&azure).await;
    is_current().await;
    let answer = bind.ask(&hub, "A").await;
    assert_eq!((answer.status.as_str(), answer.answers.len()), ("NOERROR", 1), "{answer:?}");
    assert!(daemon.metric("privatelink_dns_secondary_transfers_total{kind=\"ixfr\",result=\"complete\",secondary=\"peer\"}").await > 0.0);
    assert_eq!(secondary(&daemon, "peer").await.error.map(|error| error.message), None);
}

#[tokio::test]
async fn unbound_takes_unsigned_notifies_and_a_signed_one_is_refused_with_a_hint() {
    let azure = Azure::start().await;
    let address = free().await;
    let (mut home, daemon) = signed(&azure, address, "transfer_by = \"address\"\n").await;
    let unbound = Server::unbound(address, |directory| {
        let path = directory.display();
        format!(
            "server:\n interface: 127.0.0.1\n port: {}\n do-daemonize: no\n chroot: \"\"\n username: \"\"\n\
             directory: \"{path}\"\n pidfile: \"\"\n use-syslog: no\n module-config: \"iterator\"\n\
             do-not-query-localhost: no\nremote-control:\n control-enable: no\n\
             auth-zone:\n name: \"{ZONE}\"\n primary: 127.0.0.1@{}\n allow-notify: 127.0.0.1\n\
             fallback-enabled: no\n for-downstream: yes\n for-upstream: yes\n",
            address.port(),
            daemon.dns().port()
        )
    })
    .await;
    let problem = async |text: &str| {
        eventually("an error", async || {
            let error = secondary(&daemon, "peer").await.error.map(|error| error.message).unwrap_or_default();
            if error.contains(text) { Ok(()) } else { Err(error) }
        })
        .await;
    };
    problem("set notify = \"unsigned\"").await;
    home.settings.transfer = home.settings.transfer.replace("key = \"peer-key\"\n", "");
    reload(&daemon, &home).await;
    let hub = azure.scale_out();
    daemon.shows(&azure).await;
    eventually("the zone at Unbound", async || {
        let peer = secondary(&daemon, "peer").await;
        let zone = peer.zones.iter().find(|zone| zone.origin.as_str() == ZONE);
        match zone {
            Some(zone) if zone.current && zone.acknowledged == Some(zone.serial) => Ok(()),
            _ => Err(format!("{peer:?}")),
        }
    })
    .await;
    assert_eq!(unbound.ask(&hub, "A").await.answers.len(), 1);
}
