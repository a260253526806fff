//! The simulated Azure of the soak: many applications, because one is polled once a second at most.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::num::NonZeroUsize;
use std::time::Duration;

use privatelink_dns::simulator::{
    ApplicationOptions, EndpointOptions, Fault, FaultRule, MemberKind, Operation, Record, Simulator,
    Throttle, VerbError, World, ZoneCoverage,
};
use privatelink_dns::zones::ResourceId;

/// Applications of one subscription: four reads a second each stay below the daemon's budget of 20.
const EACH: usize = 4;

/// Hubs of one application at most.
const HUBS: usize = 6;

/// An Azure and its whims.
pub(crate) struct Azure {
    pub(crate) simulator: Simulator,
    applications: Vec<ResourceId>,
    networks: u16,
    faults: usize,
}

impl Azure {
    /// So many subscriptions of four applications with one settled endpoint each.
    pub(crate) async fn start(subscriptions: usize) -> Self {
        let simulator = Simulator::start((Ipv4Addr::LOCALHOST, 0).into()).await.expect("a simulator");
        let mut azure = Self { simulator, applications: Vec::new(), networks: 0, faults: 0 };
        for subscription in 0..subscriptions {
            for number in 0..EACH {
                azure.found(subscription, number).expect("an application");
            }
        }
        azure.simulator.world().with(|world| {
            world.page_size = NonZeroUsize::new(2);
            // Tokens are renewed at half of this.
            world.tokens.lifetime = Duration::from_secs(120);
        });
        azure
    }

    fn found(&mut self, subscription: usize, number: usize) -> Result<(), VerbError> {
        let network = self.network();
        let options = ApplicationOptions {
            subscription: subscription_id(subscription),
            name: format!("app-{subscription}-{number}"),
            ..ApplicationOptions::default()
        };
        let endpoint = EndpointOptions {
            name: format!("pe-{subscription}-{number}"),
            network,
            ..EndpointOptions::default()
        };
        let application = self.simulator.world().with(|world| {
            let application = world.add_application(&options)?;
            world.add_endpoint(&application, &endpoint)?;
            world.settle_all(&application)?;
            Ok::<_, VerbError>(application)
        })?;
        self.applications.push(application);
        Ok(())
    }

    /// A /24 that was never used.
    fn network(&mut self) -> Ipv4Addr {
        self.networks += 1;
        let [high, low] = self.networks.to_be_bytes();
        Ipv4Addr::new(10, high, low, 0)
    }

    /// The applications that the configuration lists; those of the first subscription are discovered.
    pub(crate) fn listed(&self) -> &[ResourceId] {
        &self.applications[EACH..]
    }

    /// The subscription that is listened to as a whole.
    pub(crate) fn discovered() -> String {
        subscription_id(0)
    }

    /// How many applications there are.
    pub(crate) fn applications(&self) -> usize {
        self.applications.len()
    }

    /// Something happens to an application.
    pub(crate) fn change(&mut self, random: &mut fastrand::Rng) {
        let application = self.applications[random.usize(..self.applications.len())].clone();
        let network = (random.u32(..40) == 0).then(|| self.network());
        let changed = self.simulator.world().with(|world| {
            let world: &mut World = world;
            let endpoint = world.endpoints_of(&application).next().expect("an endpoint").id.clone();
            if let Some(network) = network {
                // The last one has not many addresses left.
                world.endpoints.get_mut(&endpoint).expect("an endpoint").network = network;
            }
            let hubs = hubs(world, &application);
            match random.u32(..20) {
                0 => world.recreate_endpoint(&endpoint)?,
                1 => world.attach_zone_group(&endpoint, ZoneCoverage::Complete)?,
                2 if hubs.len() > 1 => world.stop_requiring(&application, &hubs[0])?,
                3..10 if hubs.len() > 1 => {
                    world.scale_in(&application, &hubs[random.usize(..hubs.len())])?;
                }
                _ if hubs.len() < HUBS => {
                    world.scale_out(&application)?;
                }
                _ => {}
            }
            // Now and then it takes until somebody comes by again.
            if random.u32(..4) > 0 { world.settle_all(&application) } else { Ok(()) }
        });
        match changed {
            // It gets another network, some time.
            Ok(()) | Err(VerbError::NetworkFull(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Something goes wrong in Azure, until [`Azure::repair`]: each fault in its turn, so that the first
    /// hundred of them have seen them all.
    pub(crate) fn fail(&mut self, random: &mut fastrand::Rng) -> String {
        self.faults += 1;
        let fault = Fault::ALL[self.faults % Fault::ALL.len()];
        // That is ARM's plain word that something was deleted, and names would rightly go.
        if fault == Fault::ResourceNotFound || self.faults.is_multiple_of(10) {
            self.simulator.world().with(|world| world.throttle = Some(Throttle::new(20, 5)));
            return "throttled".to_owned();
        }
        if self.faults % 10 == 5 {
            self.simulator.world().with(|world| world.tokens.revoke_all());
            return "tokens revoked".to_owned();
        }
        let operations: Vec<Operation> =
            Operation::ALL.iter().copied().filter(|operation| fault.applies_to(*operation)).collect();
        let operation = operations[random.usize(..operations.len())];
        let rule = FaultRule::new(fault).on(operation);
        self.simulator.world().with(|world| world.faults.add(rule));
        format!("{fault:?} at {operation:?}")
    }

    /// Whatever went wrong is over.
    pub(crate) fn repair(&self) {
        self.simulator.world().with(|world| {
            world.faults.clear();
            world.throttle = None;
        });
    }

    /// Every update of every endpoint ends.
    pub(crate) fn settle(&mut self) {
        let networks: Vec<Ipv4Addr> = (0..self.applications.len()).map(|_| self.network()).collect();
        self.simulator.world().with(|world| {
            for (endpoint, network) in world.endpoints.values_mut().zip(networks) {
                endpoint.network = network;
            }
            for application in &self.applications {
                world.settle_all(application).expect("room in a new network");
            }
        });
    }

    /// What DNS has to show when all is settled.
    pub(crate) fn truth(&self) -> BTreeSet<Record> {
        self.simulator.world().with(|world| world.expected())
    }

    /// The privatelink zones.
    pub(crate) fn zones(&self) -> BTreeSet<String> {
        self.simulator.world().with(|world| {
            world.applications.values().flat_map(|a| a.required_zone_names.iter().cloned()).collect()
        })
    }

    /// The privatelink names that nothing ever takes away: those of sites and provisioning services.
    pub(crate) fn lasting(&self) -> Vec<String> {
        let zone = |name: &String| name.contains("provisioning") || name.contains("azureiotcentral");
        self.truth().into_iter().filter_map(|record| record.privatelink).filter(zone).collect()
    }
}

fn hubs(world: &World, application: &ResourceId) -> Vec<String> {
    let required = &world.applications[application].required;
    required.iter().filter(|member| member.kind == MemberKind::Hub).map(|hub| hub.name.clone()).collect()
}

fn subscription_id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}
