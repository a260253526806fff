//! Azure in the simulation: the simulator's world, read by the real poll.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use tokio::runtime::{Builder, Runtime};

use super::event::{APPLICATIONS, Event};
use crate::azure::inside::Pollable;
use crate::simulator::{
    ApplicationOptions, Approval, ConnectionStatus, EndpointOptions, FaultRule, MemberKind, World,
    WorldHandle,
};
use crate::zones::{DnsName, Observation, ResourceId};

/// Azure.
pub(super) struct Azure {
    pub(super) world: WorldHandle,
    pub(super) applications: Vec<ResourceId>,
    /// Endpoints made so far; each has a network of its own.
    endpoints: u8,
}

/// What is true of an application at a moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Truth {
    /// Public name → addresses that approved endpoints give it.
    pub(super) given: BTreeMap<DnsName, BTreeSet<Ipv4Addr>>,
    /// Names whose members are required.
    pub(super) required: BTreeSet<DnsName>,
    /// Approved endpoints.
    pub(super) approved: BTreeSet<ResourceId>,
}

impl Truth {
    pub(super) fn of(world: &World, application: &ResourceId) -> Self {
        let Some(found) = world.applications.get(application) else { return Self::default() };
        let name = |text: &String| text.parse::<DnsName>().expect("a name");
        let required = found.required.iter().flat_map(|member| &member.fqdns).map(name).collect();
        let mut truth = Self { required, ..Self::default() };
        for endpoint in world.endpoints_of(application) {
            if endpoint.status != ConnectionStatus::Approved {
                continue;
            }
            truth.approved.insert(endpoint.id.clone());
            for configuration in &endpoint.interface.configurations {
                for fqdn in &configuration.fqdns {
                    truth.given.entry(name(fqdn)).or_default().insert(configuration.address);
                }
            }
        }
        truth
    }
}

/// Polls of the real kind, whose pauses take no time.
pub(super) struct Polls {
    pollable: Pollable,
    runtime: Runtime,
    now: Arc<AtomicI64>,
}

impl Polls {
    pub(super) fn of(azure: &Azure) -> Self {
        let now = Arc::new(AtomicI64::new(0));
        let (world, time) = (azure.world.clone(), now.clone());
        let pollable = Pollable::new(move |request| {
            let now = Timestamp::from_second(time.load(Ordering::Relaxed)).expect("a time");
            world.read(request.url(), request.headers(), now)
        });
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        Self { pollable, runtime: runtime.expect("a runtime"), now }
    }

    pub(super) fn poll(
        &self,
        application: &ResourceId,
        known: &BTreeSet<ResourceId>,
        now: Timestamp,
    ) -> Result<Observation, String> {
        self.now.store(now.as_second(), Ordering::Relaxed);
        let poll = self.pollable.poll(application, known, now);
        self.runtime.block_on(poll).map_err(|error| error.to_string())
    }
}

fn options(index: u8) -> ApplicationOptions {
    ApplicationOptions { name: format!("app-{index}"), hubs: 1 + usize::from(index), ..Default::default() }
}

impl Azure {
    pub(super) fn new() -> Self {
        let mut world = World::new(7);
        world.tokens.required = false;
        let mut applications = Vec::new();
        for index in 0..APPLICATIONS {
            applications.push(world.add_application(&options(index)).expect("an application"));
        }
        let world = WorldHandle::detached(world);
        let mut azure = Self { world, applications, endpoints: 0 };
        for index in 0..APPLICATIONS {
            azure.happen(Event::AddEndpoint(index, false));
            azure.happen(Event::Settle(index));
        }
        azure
    }

    fn endpoint(&self, app: u8, index: u8) -> Option<ResourceId> {
        let application = &self.applications[usize::from(app)];
        self.world.with(|world| {
            let ids: Vec<ResourceId> = world.endpoints_of(application).map(|e| e.id.clone()).collect();
            ids.get(usize::from(index) % ids.len().max(1)).cloned()
        })
    }

    /// A hub of the application: the last one that is required.
    fn hub(&self, app: u8) -> Option<String> {
        let application = &self.applications[usize::from(app)];
        self.world.with(|world| {
            let required = &world.applications.get(application)?.required;
            required.iter().rfind(|member| member.kind == MemberKind::Hub).map(|hub| hub.name.clone())
        })
    }

    /// Lets something happen in Azure; what cannot happen does not.
    pub(super) fn happen(&mut self, event: Event) {
        let of = |azure: &Self, app: u8| azure.applications[usize::from(app)].clone();
        // A verb that does not fit the state of things is refused, as in Azure.
        match event {
            Event::ScaleOut(app) => {
                let id = of(self, app);
                let _ = self.world.with(|world| world.scale_out(&id));
            }
            Event::Settle(app) => {
                let id = of(self, app);
                let _ = self.world.with(|world| world.settle_all(&id));
            }
            Event::StopRequiring(app) | Event::ReleaseAddresses(app) | Event::ScaleIn(app) => {
                let (id, Some(hub)) = (of(self, app), self.hub(app)) else { return };
                let _ = self.world.with(|world| match event {
                    Event::StopRequiring(_) => world.stop_requiring(&id, &hub),
                    Event::ReleaseAddresses(_) => world.release_addresses(&id, &hub),
                    _ => world.scale_in(&id, &hub),
                });
            }
            Event::AddEndpoint(app, manual) => {
                // As many as have a network.
                if self.endpoints == 200 {
                    return;
                }
                self.endpoints += 1;
                let options = EndpointOptions {
                    name: format!("pe-{}", self.endpoints),
                    approval: if manual { Approval::Manual } else { Approval::Automatic },
                    network: Ipv4Addr::new(10, 0, self.endpoints, 0),
                    ..Default::default()
                };
                let id = of(self, app);
                let _ = self.world.with(|world| world.add_endpoint(&id, &options));
            }
            Event::DeleteEndpoint(app, index) => {
                let Some(endpoint) = self.endpoint(app, index) else { return };
                let _ = self.world.with(|world| world.delete_endpoint(&endpoint));
            }
            Event::RecreateEndpoint(app, index) => {
                let Some(endpoint) = self.endpoint(app, index) else { return };
                let _ = self.world.with(|world| world.recreate_endpoint(&endpoint));
            }
            Event::Connection(app, index, status) => {
                let Some(endpoint) = self.endpoint(app, index) else { return };
                let _ = self.world.with(|world| world.set_connection_state(&endpoint, status));
            }
            Event::Create(app) => {
                let _ = self.world.with(|world| world.add_application(&options(app)));
            }
            Event::Delete(app) => {
                let id = of(self, app);
                let _ = self.world.with(|world| world.delete_application(&id));
            }
            Event::Fault(fault, operation, times) => {
                let rule = FaultRule::new(fault).times(u32::from(times)).retry_after(1);
                let rule = operation.into_iter().fold(rule, FaultRule::on);
                self.world.with(|world| world.faults.add(rule));
            }
            Event::FaultsEnd => self.world.with(|world| world.faults.clear()),
            _ => {}
        }
    }

    /// Whether a read may fail.
    pub(super) fn is_faulty(&self) -> bool {
        self.world.with(|world| world.faults.any())
    }

    pub(super) fn truth(&self, application: &ResourceId) -> Truth {
        self.world.with(|world| Truth::of(world, application))
    }

    /// Ends all that is half done: faults, updates, and members of which one side has let go.
    pub(super) fn calm(&mut self) {
        self.happen(Event::FaultsEnd);
        for app in 0..APPLICATIONS {
            let id = self.applications[usize::from(app)].clone();
            self.happen(Event::Settle(app));
            let bare: Vec<String> = self.world.with(|world| {
                let Some(found) = world.applications.get(&id) else { return Vec::new() };
                let has = |name: &str| {
                    let mut endpoints = world.endpoints.values().filter(|e| e.application == id);
                    endpoints.all(|e| e.interface.configurations.iter().any(|c| c.member == name))
                };
                let hubs = found.required.iter().filter(|member| member.kind == MemberKind::Hub);
                hubs.filter(|hub| !has(&hub.name)).map(|hub| hub.name.clone()).collect()
            });
            for hub in bare {
                let _ = self.world.with(|world| world.scale_in(&id, &hub));
            }
            let left: Vec<String> = self.world.with(|world| {
                let required: BTreeSet<String> = world
                    .applications
                    .get(&id)
                    .map(|found| found.required.iter().map(|member| member.name.clone()).collect())
                    .unwrap_or_default();
                let endpoints = world.endpoints.values().filter(|e| e.application == id);
                let members = endpoints.flat_map(|e| &e.interface.configurations).map(|c| c.member.clone());
                members.filter(|member| !required.contains(member)).collect()
            });
            for member in left {
                let _ = self.world.with(|world| world.release_addresses(&id, &member));
            }
            self.happen(Event::Settle(app));
        }
    }
}
