//! SIGHUP: a wrong file changes nothing, a right one changes what it says, and nothing else stops.

use std::fs;
use std::net::UdpSocket;

use privatelink_dns::zones::FindingKind;
use rustix::process::Signal;

use crate::support::azure::Azure;
use crate::support::daemon::Daemon;
use crate::support::dns::{dig, dig_with, not_before, serial};
use crate::support::eventually;
use crate::support::home::Home;

const ZONE: &str = "privatelink.azure-devices.net";
const SUCCESSFUL: &str = "privatelink_dns_config_last_reload_successful";
const UDP: &str = "privatelink_dns_dns_requests_total{family=\"4\",proto=\"udp\",type=\"A\"}";

/// Reloads a right configuration; returns when it is in force.
pub(crate) async fn reload(daemon: &Daemon, home: &Home) {
    home.write();
    let reloaded =
        |daemon: &Daemon| daemon.log().iter().filter(|l| l["message"] == "configuration reloaded").count();
    let before = reloaded(daemon);
    daemon.signal(Signal::HUP);
    eventually("the reload", async || {
        if reloaded(daemon) > before { Ok(()) } else { Err(format!("{:?}", daemon.log().last())) }
    })
    .await;
}

#[tokio::test]
async fn a_wrong_file_is_refused_as_a_whole() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let before = serial(daemon.dns(), ZONE).await;
    assert_eq!(daemon.metric(SUCCESSFUL).await, 1.0);

    // Right but for one value: nothing of it may come into force.
    home.settings.publish = "ttl = \"33s\"";
    home.settings.dns = "allow_query = [\"nonsense\"]";
    home.write();
    daemon.signal(Signal::HUP);
    // Answers go on meanwhile, over both transports.
    for option in ["+tcp", "+notcp"].into_iter().cycle().take(20) {
        assert_eq!(dig_with(daemon.dns(), &azure.hub(), "A", &[option]).await.status, "NOERROR");
    }
    let message = daemon.finding(FindingKind::ReloadRefused).await;
    assert!(message.contains("nonsense"), "{message}");
    assert_eq!(daemon.metric(SUCCESSFUL).await, 0.0);
    let answer = dig(daemon.dns(), &azure.hub(), "A").await;
    assert_eq!((answer.answers[0][1].as_str(), serial(daemon.dns(), ZONE).await), ("10", before));

    // What cannot be listened on is refused too.
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a port");
    home.settings.dns = "";
    home.settings.listen.push(taken.local_addr().expect("an address").to_string());
    home.write();
    daemon.signal(Signal::HUP);
    eventually("the other refusal", async || {
        let message = daemon.finding(FindingKind::ReloadRefused).await;
        if message.contains("cannot listen on UDP") { Ok(()) } else { Err(message) }
    })
    .await;

    // And what is not there.
    fs::remove_file(home.config()).expect("a file");
    daemon.signal(Signal::HUP);
    eventually("the third refusal", async || {
        let message = daemon.finding(FindingKind::ReloadRefused).await;
        if message.contains("config.toml") { Ok(()) } else { Err(message) }
    })
    .await;
    let answer = dig(daemon.dns(), &azure.hub(), "A").await;
    assert_eq!((answer.answers[0][1].as_str(), serial(daemon.dns(), ZONE).await), ("10", before));

    // What is fixed at the start.
    home.settings.listen.pop();
    home.settings.dns = "udp_threads = 7";
    home.write();
    daemon.signal(Signal::HUP);
    eventually("the fourth refusal", async || {
        let message = daemon.finding(FindingKind::ReloadRefused).await;
        if message.contains("udp_threads") { Ok(()) } else { Err(message) }
    })
    .await;

    home.settings.dns = "";
    reload(&daemon, &home).await;
    daemon.no_finding(FindingKind::ReloadRefused).await;
    assert_eq!(daemon.metric(SUCCESSFUL).await, 1.0);
    assert_eq!(dig(daemon.dns(), &azure.hub(), "A").await.answers[0][1], "33");
}

#[tokio::test]
async fn a_right_file_changes_what_it_says() {
    let azure = Azure::start().await;
    let other = azure.second_application();
    let mut home = Home::new(&azure);
    home.settings.applications.push(other.clone());
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let before = serial(daemon.dns(), ZONE).await;
    let counted = daemon.metric(UDP).await;
    assert!(counted > 0.0, "UDP questions are counted");

    home.settings.publish = "ttl = \"33s\"\nnegative_ttl = \"7s\"";
    reload(&daemon, &home).await;
    assert_eq!(dig(daemon.dns(), &azure.hub(), "A").await.answers[0][1], "33");
    let after = serial(daemon.dns(), ZONE).await;
    assert!(after != before && not_before(after, before));

    // A listener more, then the first one less.
    let second = free_address();
    home.settings.listen.push(second.clone());
    reload(&daemon, &home).await;
    let address = second.parse().expect("an address");
    for (server, option) in [(daemon.dns(), "+notcp"), (address, "+notcp"), (address, "+tcp")] {
        assert_eq!(dig_with(server, &azure.hub(), "A", &[option]).await.status, "NOERROR");
    }
    home.settings.listen.remove(0);
    reload(&daemon, &home).await;
    assert_eq!(dig(address, &azure.hub(), "A").await.status, "NOERROR");
    for option in ["+tcp", "+notcp"] {
        eventually("nobody answers at the old address", async || {
            let answer = dig_with(daemon.dns(), &azure.hub(), "A", &[option]).await;
            if answer.status.is_empty() { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
    }

    // An application taken out takes its names along, held by nobody.
    let (gone, kept) = (azure.hub_of(&other), azure.hub());
    assert_eq!(dig(address, &gone, "A").await.status, "NOERROR");
    home.settings.applications.pop();
    reload(&daemon, &home).await;
    assert_eq!(dig(address, &gone, "A").await.status, "NXDOMAIN");
    assert_eq!(dig(address, &kept, "A").await.status, "NOERROR");
    assert!(daemon.status().await.holds.is_empty());
    assert!(daemon.metric(UDP).await >= counted + 4.0, "counters go on");

    home.settings.dns = "allow_query = [\"192.0.2.0/24\"]";
    reload(&daemon, &home).await;
    let refused = dig(address, &kept, "A").await;
    assert_eq!((refused.status.as_str(), refused.ede.as_slice()), ("REFUSED", &[18][..]));
}

#[tokio::test]
async fn who_may_ask_can_change_before_the_first_poll() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    home.settings.arm = "http://127.0.0.1:1".to_owned();
    let daemon = home.start().await;
    assert_eq!(dig(daemon.dns(), &azure.hub(), "A").await.status, "SERVFAIL");
    home.settings.dns = "allow_query = [\"192.0.2.0/24\"]";
    reload(&daemon, &home).await;
    assert_eq!(dig(daemon.dns(), &azure.hub(), "A").await.status, "REFUSED");
}

#[tokio::test]
async fn what_needs_a_restart_is_refused() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    let daemon = home.start().await;
    let right = fs::read_to_string(home.config()).expect("the configuration");
    for (from, to, named) in [
        ("[admin]\nlisten = \"127.0.0.1:0\"", "[admin]\nlisten = \"127.0.0.1:9\"", "admin.listen"),
        ("/state\"", "/elsewhere\"", "state.directory"),
        ("format = \"json\"", "format = \"text\"", "log.format"),
    ] {
        let wrong = right.replace(from, to);
        assert_ne!(wrong, right);
        fs::write(home.config(), wrong).expect("written");
        daemon.signal(Signal::HUP);
        eventually(named, async || {
            let message = daemon.finding(FindingKind::ReloadRefused).await;
            if message.contains(named) { Ok(()) } else { Err(message) }
        })
        .await;
    }
}

/// An address that is free now, for UDP and TCP.
pub(crate) fn free_address() -> String {
    loop {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = tcp.local_addr().expect("an address");
        if UdpSocket::bind(address).is_ok() {
            return address.to_string();
        }
    }
}
