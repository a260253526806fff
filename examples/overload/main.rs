//! Floods the daemon while a client asks for its own names, and compares with the quiet before:
//! `scripts/overload` tells more. Runs in a network of its own, where every address of 10.0.0.0/8 is local.
//!
//! `overload DAEMON DIRECTORY SECONDS RATE`: so many seconds for each quiet and each flood, so many datagrams
//! a second.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use privatelink_dns::simulator::{ApplicationOptions, EndpointOptions, Simulator, VerbError};
use privatelink_dns::zones::ResourceId;
use tokio::net::UdpSocket;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use client::Times;
use flood::Flood;

mod client;
mod flood;
mod message;
#[path = "../support/query.rs"]
mod query;

const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 53, 0, 1)), 53);
const ADMIN: &str = "127.0.0.1:9853";

/// A secondary, which has nothing but an ear for NOTIFY.
const SECONDARY: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 1);

/// Queries of the client a second, over UDP and over connections.
const UDP: u32 = 200;
const TCP: u32 = 20;

/// What counts as in time.
const LIMIT: Duration = Duration::from_millis(10);

/// What the daemon and the Azure that it reads are.
struct Site {
    simulator: Simulator,
    application: ResourceId,
    daemon: Child,
    http: reqwest::Client,
    notified: Arc<AtomicU64>,
    /// The hub that came last, and is the next to go.
    hub: Option<String>,
}

/// What one phase has shown.
#[derive(Default)]
struct Phase {
    udp: Times,
    tcp: Times,
    /// Datagrams or connections a second.
    offered: f64,
    /// Polls a second; one is wanted.
    polls: f64,
    /// The slowest of some reads of `/livez`, and of some changes on their way to the secondary.
    health: Duration,
    notify: Duration,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [daemon, directory, seconds, rate] = arguments.as_slice() else {
        eprintln!("usage: overload DAEMON DIRECTORY SECONDS RATE");
        return ExitCode::from(2);
    };
    let length = Duration::from_secs(seconds.parse().expect("a number of seconds"));
    let rate: u32 = rate.parse().expect("a number of datagrams");
    let mut site = Site::start(Path::new(daemon), Path::new(directory)).await;
    let names = site.names();
    let before = site.needs();
    println!(
        "| | offered/s | UDP ≤ 10 ms | p50 | p99 | p99.9 ms | TCP ≤ 10 ms | p99 ms | polls/s | NOTIFY | health |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    let (mut quiet, mut flooded) = (Times::default(), Times::default());
    let mut peak = before;
    let mut faults = Vec::new();
    for flood in Flood::ALL {
        let phase = site.phase(&names, length, None, rate).await;
        phase.tell("quiet");
        quiet.extend(&phase.udp);
        let phase = site.phase(&names, length, Some(flood), rate).await;
        phase.tell(flood.name());
        flooded.extend(&phase.udp);
        if phase.polls < 0.5 {
            faults.push(format!("{}: {:.2} polls a second", flood.name(), phase.polls));
        }
        if phase.notify.is_zero() {
            faults.push(format!("{}: no NOTIFY", flood.name()));
        }
        let now = site.needs();
        peak = [peak[0].max(now[0]), peak[1].max(now[1])];
        // Until connections that say nothing are cut.
        sleep(Duration::from_secs(12)).await;
    }
    let after = site.needs();
    let [calm, loud] = [quiet.within(LIMIT), flooded.within(LIMIT)];
    println!(
        "\nown names within 10 ms: quiet {:.3} %, flooded {:.3} %, ratio {:.5}; {} and {} queries",
        calm * 100.0,
        loud * 100.0,
        loud / calm,
        quiet.asked(),
        flooded.asked()
    );
    println!(
        "resident: {} KiB before, {} after floods at most, {} at rest; descriptors: {}, {}, {}",
        before[0], peak[0], after[0], before[1], peak[1], after[1]
    );
    if loud / calm < 0.999 {
        faults.push("fewer than 99.9 % of what the quiet has within 10 ms".to_owned());
    }
    if after[1] > before[1] + 8 {
        faults.push("descriptors stay behind".to_owned());
    }
    if !site.daemon.try_wait().is_ok_and(|status| status.is_none()) {
        faults.push("the daemon has ended".to_owned());
    }
    let _ = site.daemon.kill().await;
    for fault in &faults {
        println!("FAILED: {fault}");
    }
    ExitCode::from(u8::from(!faults.is_empty()))
}

impl Phase {
    fn tell(&self, name: &str) {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        println!(
            "| {name} | {:.0} | {:.2} % | {:.2} | {:.2} | {:.2} | {:.1} % | {:.2} | {:.2} | {:.0} ms | {:.1} ms |",
            self.offered,
            self.udp.within(LIMIT) * 100.0,
            self.udp.quantile(0.5),
            self.udp.quantile(0.99),
            self.udp.quantile(0.999),
            self.tcp.within(LIMIT) * 100.0,
            self.tcp.quantile(0.99),
            self.polls,
            ms(self.notify),
            ms(self.health)
        );
    }
}

impl Site {
    async fn start(daemon: &Path, directory: &Path) -> Self {
        fs::create_dir_all(directory).expect("a directory");
        let directory = directory.canonicalize().expect("a directory");
        let simulator = Simulator::start((Ipv4Addr::LOCALHOST, 0).into()).await.expect("a simulator");
        let application = simulator.world().with(|world| {
            let application = world.add_application(&ApplicationOptions::default()).expect("an application");
            world.add_endpoint(&application, &EndpointOptions::default()).expect("an endpoint");
            world.settle_all(&application).expect("settled");
            application
        });
        let notified = Arc::new(AtomicU64::new(0));
        tokio::spawn(listen(notified.clone()));
        let at = directory.display();
        let configuration = format!(
            "version = 1\n\
             [azure]\ncloud = \"custom\"\nresource_manager = \"{}\"\nauthority = \"https://login.microsoftonline.com\"\n\
             audience = \"https://management.azure.com\"\npoll_interval = \"1s\"\n\
             [azure.credential]\nkind = \"managed-identity\"\n\
             [[application]]\nid = \"{application}\"\n\
             [dns]\nlisten = [\"{SERVER}\"]\nallow_query = [\"10.0.0.0/9\"]\n\
             [[secondary]]\nname = \"ear\"\naddress = \"{SECONDARY}\"\ntransfer_by = \"address\"\n\
             [admin]\nlisten = \"{ADMIN}\"\n[state]\ndirectory = \"{at}/state\"\n[log]\nformat = \"json\"\n",
            simulator.base_url()
        );
        fs::write(directory.join("config.toml"), configuration).expect("written");
        let header = simulator.world().with(|world| world.tokens.identity_header.clone());
        let daemon = Command::new(daemon)
            .args(["run", "--config"])
            .arg(directory.join("config.toml"))
            .env_clear()
            .env("IDENTITY_ENDPOINT", simulator.identity_endpoint())
            .env("IDENTITY_HEADER", header)
            .stdin(Stdio::null())
            .stderr(fs::File::create(directory.join("daemon.log")).expect("a log"))
            .kill_on_drop(true)
            .spawn()
            .expect("the daemon starts");
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10));
        let http = http.build().expect("a client");
        let site = Self { simulator, application, daemon, http, notified, hub: None };
        timeout(Duration::from_secs(60), async {
            while site.metric("privatelink_dns_complete").await != 1.0 {
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("not complete; see {at}/daemon.log"));
        site
    }

    /// The names that the client asks for: those that were there from the start.
    fn names(&self) -> Vec<String> {
        let expected = self.simulator.world().with(|world| world.expected());
        expected.into_iter().filter_map(|record| record.privatelink).collect()
    }

    async fn metric(&self, name: &str) -> f64 {
        let Ok(response) = self.http.get(format!("http://{ADMIN}/metrics")).send().await else {
            return f64::NAN;
        };
        let text = response.text().await.unwrap_or_default();
        let values = text.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
        values.filter_map(|(_, value)| value.parse::<f64>().ok()).sum()
    }

    /// Resident memory in KiB, and descriptors.
    fn needs(&self) -> [u64; 2] {
        let process = self.daemon.id().expect("it runs");
        let text = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
        let rss = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let rss = rss.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default();
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).expect("it runs").count();
        [rss, descriptors as u64]
    }

    /// Looks for so long at everything, with or without a flood.
    async fn phase(&mut self, names: &[String], length: Duration, flood: Option<Flood>, rate: u32) -> Phase {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let flooder = flood.map(|flood| {
            let (name, stop, sent) = (names[0].clone(), stop.clone(), sent.clone());
            thread::spawn(move || flood.run(SERVER, &name, rate, &stop, &sent))
        });
        // Until it has what it can get.
        sleep(Duration::from_secs(1)).await;
        let ask =
            |ask: fn(SocketAddr, &[String], u32, &AtomicBool) -> Times, rate: u32| -> JoinHandle<Times> {
                let (names, stop) = (names.to_vec(), stop.clone());
                thread::spawn(move || ask(SERVER, &names, rate, &stop))
            };
        let (udp, tcp) = (ask(client::udp, UDP), ask(client::tcp, TCP));
        let (start, polls, before) =
            (Instant::now(), self.metric("privatelink_dns_poll_total").await, sent.load(Ordering::Relaxed));
        let mut phase = Phase::default();
        while start.elapsed() < length {
            let asked = Instant::now();
            let answered = self.http.get(format!("http://{ADMIN}/livez")).send().await;
            assert!(answered.is_ok_and(|response| response.status() == 200), "/livez");
            phase.health = phase.health.max(asked.elapsed());
            phase.notify = phase.notify.max(self.change().await);
        }
        let (seconds, sent) = (start.elapsed().as_secs_f64(), sent.load(Ordering::Relaxed) - before);
        phase.polls = (self.metric("privatelink_dns_poll_total").await - polls) / seconds;
        phase.offered = sent as f64 / seconds;
        stop.store(true, Ordering::Relaxed);
        [phase.udp, phase.tcp] = [udp, tcp].map(|thread| thread.join().expect("no panic"));
        if let Some(flooder) = flooder {
            flooder.join().expect("no panic");
        }
        phase
    }

    /// A hub comes, and the one before it goes: the time until the secondary is told of it; nothing when it
    /// is not told.
    async fn change(&mut self) -> Duration {
        let (start, before) = (Instant::now(), self.notified.load(Ordering::Relaxed));
        let old = self.hub.take();
        let hub = self.simulator.world().with(|world| {
            for endpoint in world.endpoints.values_mut() {
                // Never without an address left.
                endpoint.network = Ipv4Addr::new(10, fastrand::u8(..), fastrand::u8(..), 0);
            }
            let hub = world.scale_out(&self.application)?;
            world.settle_all(&self.application)?;
            old.map_or(Ok(()), |old| world.scale_in(&self.application, &old))?;
            Ok::<_, VerbError>(hub)
        });
        self.hub = Some(hub.expect("scaled"));
        let told = timeout(Duration::from_secs(10), async {
            while self.notified.load(Ordering::Relaxed) == before {
                sleep(Duration::from_millis(5)).await;
            }
        });
        told.await.map_or(Duration::ZERO, |()| start.elapsed())
    }
}

/// Acknowledges every NOTIFY.
async fn listen(notified: Arc<AtomicU64>) {
    let socket = UdpSocket::bind((SECONDARY, 53)).await.expect("an address of this network");
    let mut buffer = [0; 1500];
    loop {
        let Ok((length @ 12.., from)) = socket.recv_from(&mut buffer).await else { continue };
        // Opcode NOTIFY (RFC 1996).
        if buffer[2] & 0x78 == 0x20 {
            notified.fetch_add(1, Ordering::Relaxed);
            buffer[2] |= 0x80;
            let _ = socket.send_to(&buffer[..length], from).await;
        }
    }
}
