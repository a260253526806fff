//! Crashes of both sides at any moment, foreign writers, and two daemons.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use privatelink_dns::wire::ask;

use super::{Site, held, poll, zone_of};
use crate::support::eventually;

const ROUNDS: usize = 500;

/// Names that have to resolve at a server, whenever it answers at all.
struct Watch {
    names: Arc<Mutex<BTreeMap<String, BTreeSet<Ipv4Addr>>>>,
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<Vec<String>>,
}

impl Watch {
    fn start(server: SocketAddr) -> Self {
        let names = Arc::<Mutex<BTreeMap<String, BTreeSet<Ipv4Addr>>>>::default();
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (watched, stopped, count) = (names.clone(), stop.clone(), asked.clone());
        let task = tokio::spawn(async move {
            let mut lost = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let now: Vec<String> = watched.lock().expect("no panic").keys().cloned().collect();
                for name in now {
                    let answer =
                        ask(server, &name.parse().expect("a name"), Duration::from_millis(500)).await;
                    // No answer is a server that has crashed. It may have left the list meanwhile.
                    if let Ok(answer) = answer {
                        count.fetch_add(1, Ordering::Relaxed);
                        if answer.addresses.is_empty()
                            && watched.lock().expect("no panic").contains_key(&name)
                        {
                            lost.push(format!("{name}: {answer:?}"));
                        }
                    }
                }
                tokio::task::yield_now().await;
            }
            lost
        });
        Self { names, stop, asked, task }
    }

    /// These have to resolve from here on.
    fn expect(&self, names: BTreeMap<String, BTreeSet<Ipv4Addr>>) {
        self.names.lock().expect("no panic").extend(names);
    }

    /// All names of this hub may go.
    fn release(&self, hub: &str) {
        let label = super::label_of(hub);
        self.names.lock().expect("no panic").retain(|name, _| !name.contains(label));
    }

    async fn end(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        (self.asked.load(Ordering::Relaxed), self.task.await.expect("no panic"))
    }
}

fn living(site: &Site) -> BTreeMap<String, BTreeSet<Ipv4Addr>> {
    let mut names = site.azure.names();
    names.retain(|_, addresses| !addresses.is_empty());
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_crashes_our_names_are_azures_and_foreign_records_stay() {
    let mut site = Site::new("key = \"update-key\"\ncheck_interval = \"10s\"").await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let zone = zone_of(&site.azure.hub()).to_owned();
    let mut daemon = site.home.start().await;
    site.follows(&[]).await;
    let watch = Watch::start(site.bind.address);
    watch.expect(living(&site));
    let mut hubs: Vec<String> = living(&site).into_keys().filter(|name| zone_of(name) == zone).collect();
    let mut foreign = BTreeMap::<String, BTreeSet<Ipv4Addr>>::new();
    let mut crashes = [0, 0];
    for round in 0..ROUNDS {
        // What is new has to be there before it counts; what goes counts no more at once.
        if hubs.len() < 3 || hubs.len() < 12 && random.bool() {
            hubs.push(site.azure.scale_out());
        } else {
            let name = hubs.swap_remove(random.usize(..hubs.len()));
            watch.release(&name);
            site.azure.scale_in(&name);
        }
        poll(&daemon);
        if random.u32(..4) == 0 {
            let name = format!("other-{}.{zone}", random.u32(..40));
            let address = Ipv4Addr::new(10, 9, 9, random.u8(1..));
            site.nsupdate(&format!("update add {name} 60 A {address}")).await;
            foreign.entry(name).or_default().insert(address);
        }
        match random.u32(..25) {
            0 => {
                crashes[0] += 1;
                daemon.kill().await;
                daemon = site.home.start().await;
                poll(&daemon);
            }
            1 => {
                crashes[1] += 1;
                tokio::time::sleep(Duration::from_millis(random.u64(..20))).await;
                site.bind.crash().await;
            }
            _ => tokio::time::sleep(Duration::from_millis(random.u64(..30))).await,
        }
        if round % 50 == 49 {
            poll(&daemon);
            site.follows(&[]).await;
            watch.expect(living(&site));
            // A network has no more addresses than that.
            let octet = u8::try_from(10 + round / 50).expect("few");
            site.azure.with(|world| {
                world.endpoints.values_mut().for_each(|endpoint| endpoint.network = [10, octet, 0, 0].into());
                Ok(())
            });
        }
    }
    poll(&daemon);
    site.follows(&[]).await;
    let (asked, lost) = watch.end().await;
    println!("{crashes:?} crashes of daemon and server, {asked} answers");
    assert!(lost.is_empty(), "{} of {asked}: {:?}", lost.len(), &lost[..lost.len().min(10)]);
    assert!(crashes.iter().all(|count| *count > 3) && asked > 1000, "{crashes:?} {asked}");
    for (name, addresses) in foreign {
        assert_eq!(site.held(&name).await, addresses, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_daemons_with_the_same_configuration_do_each_other_no_harm() {
    let site = Site::new("key = \"update-key\"\ncheck_interval = \"10s\"").await;
    let mut other = crate::support::home::Home::new(&site.azure);
    other.settings.poll_interval = "1h";
    other.settings.guard = site.home.settings.guard;
    other.settings.transfer = site.home.settings.transfer.clone();
    let (first, second) = tokio::join!(site.home.start(), other.start());
    site.follows(&[]).await;
    let watch = Watch::start(site.bind.address);
    watch.expect(living(&site));
    let mut random = fastrand::Rng::new();
    let zone = zone_of(&site.azure.hub()).to_owned();
    let mut hubs: Vec<String> = living(&site).into_keys().filter(|name| zone_of(name) == zone).collect();
    for _ in 0..60 {
        let name = if hubs.len() < 3 || hubs.len() < 8 && random.bool() {
            let name = site.azure.scale_out();
            hubs.push(name.clone());
            name
        } else {
            let name = hubs.swap_remove(random.usize(..hubs.len()));
            watch.release(&name);
            site.azure.scale_in(&name);
            name
        };
        // One may know it long before the other.
        poll(&first);
        if random.bool() {
            poll(&second);
        }
        let addresses = site.azure.names().remove(&name).unwrap_or_default();
        if random.bool() {
            eventually(&name, async || {
                poll(&first);
                poll(&second);
                let held = held(site.bind.address, &name).await;
                if held == addresses { Ok(()) } else { Err(format!("{held:?} instead of {addresses:?}")) }
            })
            .await;
        }
    }
    for daemon in [&first, &second] {
        poll(daemon);
    }
    site.follows(&[]).await;
    let (asked, lost) = watch.end().await;
    assert!(lost.is_empty() && asked > 100, "{asked} {lost:?}");
    for daemon in [first, second] {
        daemon.no_finding(privatelink_dns::zones::FindingKind::TargetConflict).await;
        daemon.no_finding(privatelink_dns::zones::FindingKind::TargetFailing).await;
    }
}
