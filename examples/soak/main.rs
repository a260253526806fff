//! Lets the daemon run against everything that befalls it, for as long as one likes, and judges what it has
//! needed: `scripts/soak` tells more.
//!
//! `soak DAEMON DIRECTORY MINUTES` runs that binary in that directory, where logs, samples and the picture
//! are left.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use azure::Azure;
use load::Tally;
use sample::{Observer, Sample};
use servers::{Program, Site};
use verdict::Trend;

mod azure;
mod load;
mod plot;
#[path = "../support/query.rs"]
mod query;
mod sample;
mod servers;
mod verdict;

/// Slopes of less time than this say nothing.
const LEAST: Duration = Duration::from_secs(600);

/// How long everybody has in the end to agree.
const AGREEMENT: Duration = Duration::from_secs(180);

/// The time between two polls of an application where nobody says otherwise, in seconds.
const ORDINARY: f64 = 30.0;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [daemon, directory, minutes] = arguments.as_slice() else {
        eprintln!("usage: soak DAEMON DIRECTORY MINUTES");
        return ExitCode::from(2);
    };
    let minutes: f64 = minutes.parse().expect("a number of minutes");
    let directory = PathBuf::from(directory);
    fs::create_dir_all(&directory).expect("a directory");
    let directory = directory.canonicalize().expect("a directory");
    let length = Duration::from_secs_f64(minutes * 60.0);
    let faults = soak(&fs::canonicalize(daemon).expect("the daemon"), &directory, length).await;
    for fault in &faults {
        println!("FAILED: {fault}");
    }
    if faults.is_empty() {
        println!("all well");
    }
    ExitCode::from(u8::from(!faults.is_empty()))
}

/// Runs it all; gives what was not as it should be.
async fn soak(daemon: &Path, directory: &Path, length: Duration) -> Vec<String> {
    let long = length >= LEAST;
    // 72 applications, or few where only the function is looked at.
    let mut azure = Azure::start(if long { 18 } else { 3 }).await;
    let mut site = Site::new(directory, daemon, &azure);
    let (at, tally) = (site.addresses, Arc::new(Tally::default()));
    let lasting = Arc::new(azure.lasting());
    let certificate = fs::read(directory.join("certificate.pem")).expect("a certificate");
    let mut load = JoinSet::new();
    load.spawn(load::public(at.public));
    site.bind.start();
    site.knot.start();
    site.daemon.start();
    until_ready(&mut site).await;
    for _ in 0..4 {
        load.spawn(load::udp(at, lasting.clone(), tally.clone()));
    }
    load.spawn(load::tcp(at, lasting.clone(), tally.clone()));
    load.spawn(load::tls(at, certificate.clone(), lasting.clone(), tally.clone()));
    load.spawn(load::https(at, certificate, lasting, tally.clone()));
    load.spawn(load::watch(at, tally.clone()));
    load.spawn(load::rude(at, tally.clone()));

    let start = Instant::now();
    let mut observer = Observer::new(at.admin);
    let mut samples: Vec<Sample> = Vec::new();
    let mut known = BTreeSet::new();
    let mut looks = interval(if long { Duration::from_secs(5) } else { Duration::from_secs(1) });
    let mut mischief = Mischief::default();
    let mut ticks = interval(Duration::from_millis(500));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while start.elapsed() < length {
        tokio::select! {
            _ = looks.tick() => {
                let seconds = start.elapsed().as_secs_f64();
                let sample = observer.look(seconds, site.daemon.id(), &directory.join("state")).await;
                samples.extend(sample);
                // Whoever ends this early has something, too.
                write(directory, &samples);
                if start.elapsed() < length / 5 {
                    known = observer.series();
                }
            }
            _ = ticks.tick() => mischief.tick(&mut azure, &mut site).await,
            Some(ended) = load.join_next() => panic!("a load ended: {ended:?}"),
        }
        if !site.daemon.runs() {
            return vec![format!("the daemon has ended; see {}", site.daemon.log().display())];
        }
    }
    mischief.end(&mut azure, &mut site).await;
    let ended = agree(&azure, &site).await;
    load.shutdown().await;
    site.daemon.stop(Signal::TERM).await;

    fs::write(directory.join("faults"), mischief.told.join("\n")).expect("written");
    let mut faults = observer.complaints.iter().cloned().collect::<Vec<_>>();
    faults.extend(ended);
    // A status of ARM has a series from its first time on.
    let lazy = |name: &&String| !name.starts_with("privatelink_dns_arm_requests_total{");
    let new: Vec<String> = observer.series().difference(&known).filter(lazy).cloned().collect();
    if long && !new.is_empty() {
        faults.push(format!("series came after the first fifth: {new:?}"));
    }
    let lost = tally.lost.lock().expect("no panic").clone();
    if !lost.is_empty() {
        faults.push(format!("{} answers without an address: {:?}", lost.len(), &lost[..lost.len().min(3)]));
    }
    let (levels, unexpected) = verdict::log(site.daemon.log());
    if !unexpected.is_empty() {
        faults.push(format!(
            "{} lines in the log: {:?}",
            unexpected.len(),
            &unexpected[..unexpected.len().min(3)]
        ));
    }
    faults.extend(tell(&samples, &azure, &tally, &mischief));
    println!("log lines: {levels:?}");
    if long {
        let trends = [
            ("resident memory, KiB", Trend::memory(&samples, |s| s.rss)),
            ("anonymous memory, KiB", Trend::memory(&samples, |s| s.anonymous)),
            ("descriptors", Trend::handles(&samples, |s| s.descriptors)),
            ("threads", Trend::handles(&samples, |s| s.threads)),
        ];
        for (name, trend) in trends {
            println!("{name}: {}", trend.tell());
            if !trend.is_flat() {
                faults.push(format!("{name} grows"));
            }
        }
    }
    faults
}

/// Waits until the daemon has read everything once.
async fn until_ready(site: &mut Site) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("http://{}/metrics", site.addresses.admin);
    let deadline = Instant::now() + AGREEMENT;
    loop {
        assert!(site.daemon.runs() && Instant::now() < deadline, "see {}", site.daemon.log().display());
        if let Ok(response) = client.get(&url).send().await
            && let Ok(text) = response.text().await
            && text.contains("\nprivatelink_dns_complete 1\n")
        {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Everybody has what Azure has, or who has not.
async fn agree(azure: &Azure, site: &Site) -> Vec<String> {
    let start = Instant::now();
    loop {
        let differences = verdict::differences(azure, site).await;
        if differences.is_empty() {
            println!("all have Azure's {} records after {:.0?}", azure.truth().len(), start.elapsed());
            return differences;
        }
        if start.elapsed() > AGREEMENT {
            return differences;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Leaves the samples as a table and as a picture.
fn write(directory: &Path, samples: &[Sample]) {
    let rows: Vec<String> = samples.iter().map(Sample::row).collect();
    fs::write(directory.join("samples.csv"), format!("{}\n{}\n", Sample::COLUMNS, rows.join("\n")))
        .expect("written");
    fs::write(directory.join("soak.svg"), plot::svg(samples)).expect("written");
}

/// Says what was done; gives what was not done at all.
fn tell(samples: &[Sample], azure: &Azure, tally: &Tally, mischief: &Mischief) -> Vec<String> {
    let last = samples.last().cloned().unwrap_or_default();
    println!(
        "{:.1} minutes, {} applications: {} polls, {} of them failed; as many as one application has in {:.1} days",
        last.at / 60.0,
        azure.applications(),
        last.polls,
        last.failed,
        last.polls * ORDINARY / 86_400.0
    );
    println!("generations: {}, CPU: {:.0} s, state: {:.0} KiB", last.generation, last.cpu, last.state);
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let done = [
        ("UDP answers", get(&tally.udp)),
        ("TCP connections", get(&tally.tcp)),
        ("TLS connections", get(&tally.tls)),
        ("HTTPS answers", get(&tally.https)),
        ("events", get(&tally.events)),
        ("rude clients", get(&tally.rude)),
        ("faults of Azure", mischief.faults),
        ("reloads", mischief.reloads),
        ("stops of BIND", mischief.bind.stops),
        ("stops of Knot", mischief.knot.stops),
    ];
    for (what, times) in done {
        println!("{what}: {times}");
    }
    println!("without answer: {} over UDP, {} over connections", get(&tally.silent), get(&tally.refused));
    done.iter().filter(|(_, times)| *times == 0).map(|(what, _)| format!("no {what}")).collect()
}

/// What befalls the daemon from outside. Times are in ticks of half a second.
#[derive(Default)]
struct Mischief {
    tick: u64,
    random: fastrand::Rng,
    faults: u64,
    /// Each fault with its second.
    told: Vec<String>,
    reloads: u64,
    bind: Outage,
    knot: Outage,
}

/// A server that is away now and then.
#[derive(Default)]
struct Outage {
    stops: u64,
}

impl Outage {
    /// Away for some seconds of every `period`, at first a moment after `first`; killed and ended in turn.
    async fn tick(&mut self, tick: u64, first: u64, period: u64, program: &mut Program) {
        match (tick + period - first) % period {
            0 => {
                self.stops += 1;
                let signal = if self.stops.is_multiple_of(2) { Signal::KILL } else { Signal::TERM };
                program.stop(signal).await;
            }
            14 => program.start(),
            _ => {}
        }
    }
}

impl Mischief {
    async fn tick(&mut self, azure: &mut Azure, site: &mut Site) {
        self.tick += 1;
        azure.change(&mut self.random);
        match self.tick % 14 {
            4 => {
                self.faults += 1;
                let fault = azure.fail(&mut self.random);
                self.told.push(format!("{} {fault}", self.tick / 2));
            }
            12 => azure.repair(),
            _ => {}
        }
        if self.tick % 23 == 10 {
            self.reloads += 1;
            site.configure(u32::try_from(self.reloads % 1000).expect("small"));
            site.daemon.signal(Signal::HUP);
        }
        if self.tick % 57 == 20 {
            site.daemon.signal(Signal::USR1);
        }
        self.bind.tick(self.tick, 12, 80, &mut site.bind).await;
        self.knot.tick(self.tick, 32, 110, &mut site.knot).await;
    }

    /// Everything works again, with a configuration that is right.
    async fn end(&mut self, azure: &mut Azure, site: &mut Site) {
        azure.repair();
        azure.settle();
        site.bind.start();
        site.knot.start();
        site.configure(0);
        site.daemon.signal(Signal::HUP);
    }
}
