//! What systemd sees: readiness, reloads, the watchdog, the end; and sockets that it passes.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::RecordType;
use privatelink_dns::simulator::{Fault, FaultRule};
use rustix::process::Signal;
use tokio::net::UnixDatagram;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::azure::Azure;
use crate::support::daemon::Daemon;
use crate::support::dns::{dig, dig_with};
use crate::support::home::{BINARY, Home};
use crate::support::{DEADLINE, eventually};

/// The receiving end of `sd_notify`.
struct Notifications {
    socket: UnixDatagram,
    all: Vec<String>,
}

impl Notifications {
    /// Reads until a notification has a line that starts like that; gives the notification.
    async fn until(&mut self, start: &str) -> String {
        let wait = async {
            loop {
                let mut buffer = [0; 4096];
                let length = self.socket.recv(&mut buffer).await.expect("a notification");
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                self.all.push(text.clone());
                if text.lines().any(|line| line.starts_with(start)) {
                    return text;
                }
            }
        };
        let found = timeout(DEADLINE, wait).await;
        found.unwrap_or_else(|_| panic!("no {start} in {:?}", self.all))
    }

    fn saw(&self, start: &str) -> bool {
        self.all.iter().any(|text| text.lines().any(|line| line.starts_with(start)))
    }
}

/// Starts a daemon that notifies, with a watchdog of 600 ms.
async fn notified(home: &Home) -> (Daemon, Notifications) {
    let path = home.path("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    let mut command = home.command();
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "600000");
    (Daemon::start(command).await, Notifications { socket, all: Vec::new() })
}

/// Waits for the first reload.
async fn reloaded(daemon: &Daemon) {
    eventually("the reload", async || {
        let log = daemon.log();
        let reloaded = log.iter().any(|line| line["message"] == "configuration reloaded");
        if reloaded { Ok(()) } else { Err(format!("{log:?}")) }
    })
    .await;
}

#[tokio::test]
async fn ready_comes_with_the_first_answer_and_stopping_with_the_end() {
    let azure = Azure::start().await;
    azure.with(|world| Ok(world.faults.add(FaultRule::new(Fault::NeverAnswers))));
    let home = Home::new(&azure);
    let (daemon, mut systemd) = notified(&home).await;
    let status = systemd.until("STATUS=").await;
    assert!(status.contains("waiting for the first complete poll"), "{status}");
    // It is alive all the while, but not ready.
    for _ in 0..3 {
        systemd.until("WATCHDOG=1").await;
    }
    assert_eq!(dig(daemon.dns(), &azure.hub(), "A").await.status, "SERVFAIL");
    assert!(!systemd.saw("READY=1"), "{:?}", systemd.all);
    // Nor does a reload make it so.
    daemon.signal(Signal::HUP);
    reloaded(&daemon).await;

    azure.with(|world| {
        world.faults.clear();
        Ok(())
    });
    systemd.until("READY=1").await;
    assert!(!systemd.saw("RELOADING=1"), "{:?}", systemd.all);
    assert_eq!(dig(daemon.dns(), &azure.hub(), "A").await.status, "NOERROR", "ready means answers");
    let status = systemd.until("STATUS=").await;
    assert!(status.contains("6 names in 4 zones"), "{status}");

    for text in [None, Some("nonsense")] {
        if let Some(text) = text {
            std::fs::write(home.config(), text).expect("written");
        }
        daemon.signal(Signal::HUP);
        let reloading = systemd.until("RELOADING=1").await;
        let at = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
        assert!(at.expect("in the same datagram").parse::<u64>().expect("a number") > 0);
        // A refused reload is over as well.
        systemd.until("READY=1").await;
    }
    assert!(!systemd.saw("STOPPING=1"));
    daemon.signal(Signal::TERM);
    systemd.until("STOPPING=1").await;
}

#[tokio::test]
async fn stored_records_are_ready_without_azure() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    daemon.end(Signal::TERM).await;
    home.settings.arm = "http://127.0.0.1:1".to_owned();
    let (_daemon, mut systemd) = notified(&home).await;
    systemd.until("READY=1").await;
}

#[tokio::test]
async fn both_signals_end_it_well() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    for signal in [Signal::TERM, Signal::INT] {
        let daemon = home.start().await;
        daemon.shows(&azure).await;
        // A read that hangs and a connection that stays open hold nothing up.
        azure.with(|world| Ok(world.faults.add(FaultRule::new(Fault::NeverAnswers))));
        let _idle = tokio::net::TcpStream::connect(daemon.dns()).await.expect("connected");
        let (status, log) = daemon.end(signal).await;
        assert_eq!(status.code(), Some(0), "{log:?}");
        assert!(
            log.iter().all(
                |line| line["level"] != "ERROR" && line["level"] != "WARN" || line["finding"].is_string()
            ),
            "{log:?}"
        );
        // What was under way may still be told between the two.
        assert!(log.iter().any(|line| line["message"] == "stopping"), "{log:?}");
        assert_eq!(log.last().expect("a line")["message"], "stopped", "{log:?}");
        azure.with(|world| {
            world.faults.clear();
            Ok(())
        });
    }
}

/// A UDP and a TCP socket on one port, as systemd binds them.
fn bound() -> (SocketAddr, [OwnedFd; 2]) {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a TCP socket");
        let address = tcp.local_addr().expect("an address");
        if let Ok(udp) = UdpSocket::bind(address) {
            return (address, [udp.into(), tcp.into()]);
        }
    }
}

/// The daemon's command line with these sockets passed to it. Descriptors cannot be passed without
/// unsafe code, but standard input and output can, and a shell moves them to where systemd would have
/// put them. The process id stays the shell's.
fn passing(home: &Home, [udp, tcp]: [OwnedFd; 2]) -> Command {
    home.write();
    let script = "LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" run --config \"$1\" 3<&0 4<&1 </dev/null >/dev/null";
    let mut shell = home.environment("sh");
    shell.args(["-c", script, BINARY]).arg(home.config()).stdin(Stdio::from(udp)).stdout(Stdio::from(tcp));
    shell
}

#[tokio::test]
async fn what_waits_in_a_passed_socket_is_answered_from_stored_records() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    daemon.end(Signal::TERM).await;
    home.settings.arm = "http://127.0.0.1:1".to_owned();

    // Asked before the daemon is there, so these are the first that it reads.
    let (address, sockets) = bound();
    let client = UdpSocket::bind("127.0.0.1:0").expect("a client");
    client.set_nonblocking(true).expect("for tokio");
    let client = tokio::net::UdpSocket::from_std(client).expect("for tokio");
    let mut query = Message::query();
    query.add_query(Query::query(azure.hub().parse().expect("a name"), RecordType::A));
    for _ in 0..100 {
        client.send_to(&query.to_vec().expect("a query"), address).await.expect("sent");
    }
    let _daemon = Daemon::start(passing(&home, sockets)).await;
    for _ in 0..100 {
        let mut buffer = [0; 512];
        let length = timeout(DEADLINE, client.recv(&mut buffer)).await.expect("an answer").expect("received");
        let answer = Message::from_vec(&buffer[..length]).expect("a message");
        assert_eq!((answer.response_code, answer.answers.len()), (ResponseCode::NoError, 1));
    }
}

#[tokio::test]
async fn passed_sockets_are_served_instead_of_configured_ones() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    // Nobody could listen there.
    home.settings.listen = vec!["192.0.2.1:53".to_owned()];
    home.settings.dns = "udp_threads = 3";
    let (address, sockets) = bound();
    let daemon = Daemon::start(passing(&home, sockets)).await;
    assert_eq!(daemon.dns, [address, address]);
    let threads = std::fs::read_dir(format!("/proc/{}/task", daemon.id())).expect("threads");
    let name = |thread: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(thread.expect("a thread").path().join("comm")).unwrap_or_default()
    };
    assert_eq!(threads.map(name).filter(|name| name == "dns-udp\n").count(), 3);
    daemon.shows(&azure).await;
    for option in ["+notcp", "+tcp"] {
        assert_eq!(dig_with(address, &azure.hub(), "A", &[option]).await.status, "NOERROR", "{option}");
    }
    // A reload opens nothing of the configuration either.
    daemon.signal(Signal::HUP);
    reloaded(&daemon).await;
    assert_eq!(dig(address, &azure.hub(), "A").await.status, "NOERROR");
    let (status, _) = daemon.end(Signal::TERM).await;
    assert!(status.success());
}
