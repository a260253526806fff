//! Scenarios that play by themselves: what happens in Azure, when, in words for a person watching,
//! and in records for a program that measures how long DNS takes to follow.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::{
    ApplicationOptions, Approval, ConnectionStatus, EndpointOptions, Fault, FaultRule, MemberKind, Record,
    VerbError, World, WorldHandle,
};
use crate::zones::ResourceId;

/// Name of the endpoint that every scenario starts with.
const FIRST: &str = "pe-hub";

/// Name of the endpoint that scenario `second-endpoint` adds.
const SECOND: &str = "pe-spoke";

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// An endpoint is created; it is `Updating`.
    AddEndpoint {
        /// Resource name.
        name: &'static str,
        /// Its /24.
        network: Ipv4Addr,
        /// Its virtual network.
        virtual_network: &'static str,
        /// How it is approved.
        approval: Approval,
    },
    /// All endpoints become `Succeeded`, with all addresses.
    Settle,
    /// A hub is added; the endpoints become `Updating`.
    ScaleOut,
    /// The newest hub is no longer required.
    StopRequiring,
    /// The addresses of that hub are gone.
    ReleaseAddresses,
    /// The endpoint is deleted and created again under its name.
    Recreate(&'static str),
    /// The endpoint is deleted.
    Delete(&'static str),
    /// The owner of the application decides on a connection.
    Decide(&'static str, ConnectionStatus),
    /// Every read fails from now on, in this way only.
    Break(Fault),
    /// Reads work again.
    Repair,
}

/// A thing that happens after a delay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Time since the step before.
    pub delay: Duration,
    /// What a person is told.
    pub says: &'static str,
    /// What happens.
    pub act: Act,
}

/// A scenario: what there is at first, and what happens then.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Name on the command line.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    /// The application it is played with.
    pub application: ApplicationOptions,
    /// Done at once, before anybody looks.
    pub setup: Vec<Act>,
    /// Done one after the other.
    pub steps: Vec<Step>,
}

/// A step that has just been done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Number of the step, from 0.
    pub step: usize,
    /// What a person is told.
    pub says: &'static str,
    /// When it was done.
    pub at: Instant,
    /// Records that DNS has to show from now on. While reads fail nobody can know them: they come
    /// with the step that repairs.
    pub appear: Vec<Record>,
    /// Records that DNS has to drop from now on, in the consumer's own time.
    pub vanish: Vec<Record>,
}

/// Why a scenario could not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// The world does not have what the step needs, for example because someone else changed it.
    #[error("scenario {scenario}: {verb}")]
    Verb {
        /// The scenario.
        scenario: &'static str,
        /// What was wrong.
        verb: VerbError,
    },
    /// The endpoint of a step does not exist.
    #[error("scenario {scenario}: there is no endpoint called {endpoint}")]
    Endpoint {
        /// The scenario.
        scenario: &'static str,
        /// Its name.
        endpoint: &'static str,
    },
}

/// A scenario that has been set up and waits to be played.
#[derive(Debug)]
pub struct Stage {
    scenario: Scenario,
    world: WorldHandle,
    application: ResourceId,
    leaving: Option<String>,
    shown: BTreeSet<Record>,
}

impl Scenario {
    /// All scenarios; the first one is the default.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let first = |approval| Act::AddEndpoint {
            name: FIRST,
            network: Ipv4Addr::new(10, 1, 0, 0),
            virtual_network: "vnet-hub",
            approval,
        };
        let second = Act::AddEndpoint {
            name: SECOND,
            network: Ipv4Addr::new(10, 2, 0, 0),
            virtual_network: "vnet-spoke",
            approval: Approval::Automatic,
        };
        let usual = vec![first(Approval::Automatic), Act::Settle];
        let scenario = |name, about, setup: &[Act], steps| Self {
            name,
            about,
            application: ApplicationOptions::default(),
            setup: setup.to_vec(),
            steps,
        };
        vec![
            scenario(
                "scale",
                "IoT Central adds an IoT hub and takes it away again",
                &usual,
                vec![
                    step(
                        10,
                        "IoT Central scales out: a new hub is required, the endpoint is updating",
                        Act::ScaleOut,
                    ),
                    step(8, "The endpoint has addresses for the new hub and its Event Hubs", Act::Settle),
                    step(15, "IoT Central scales in: the hub is no longer required", Act::StopRequiring),
                    step(5, "The endpoint has given up the hub's addresses", Act::ReleaseAddresses),
                ],
            ),
            scenario(
                "second-endpoint",
                "a second endpoint in another network comes and goes",
                &usual,
                vec![
                    step(10, "A second private endpoint is created in another network", second),
                    step(8, "The second endpoint has its addresses", Act::Settle),
                    step(15, "The second endpoint is deleted", Act::Delete(SECOND)),
                ],
            ),
            scenario(
                "recreate",
                "the endpoint is deleted and made again, with other addresses",
                &usual,
                vec![
                    step(10, "The private endpoint is deleted and created again", Act::Recreate(FIRST)),
                    step(8, "The new endpoint has its addresses", Act::Settle),
                ],
            ),
            scenario(
                "outage",
                "Azure Resource Manager fails, is throttled and recovers, while a hub is added",
                &usual,
                vec![
                    step(10, "Azure Resource Manager answers 503", Act::Break(Fault::ServiceUnavailable)),
                    step(5, "Unseen by anybody, IoT Central scales out", Act::ScaleOut),
                    step(5, "The endpoint has addresses for the new hub", Act::Settle),
                    step(
                        5,
                        "Azure Resource Manager answers 429, too many requests",
                        Act::Break(Fault::SubscriptionRequestsThrottled),
                    ),
                    step(10, "Azure Resource Manager works again", Act::Repair),
                ],
            ),
            scenario(
                "approval",
                "an endpoint waits for approval, is approved and later rejected",
                &[first(Approval::Manual), Act::Settle],
                vec![
                    step(
                        10,
                        "The owner approves the connection",
                        Act::Decide(FIRST, ConnectionStatus::Approved),
                    ),
                    step(
                        15,
                        "The owner rejects the connection",
                        Act::Decide(FIRST, ConnectionStatus::Rejected),
                    ),
                ],
            ),
        ]
    }

    /// The scenario of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|scenario| scenario.name == name)
    }

    /// Puts the application and its endpoints into the world.
    ///
    /// # Errors
    /// When the world already has an application of that id.
    pub fn prepare(self, world: &WorldHandle) -> Result<Stage, ScriptError> {
        let scenario = self.name;
        let application = world
            .with(|world| world.add_application(&self.application))
            .map_err(|verb| ScriptError::Verb { scenario, verb })?;
        let mut stage = Stage {
            application,
            world: world.clone(),
            leaving: None,
            shown: BTreeSet::new(),
            scenario: self,
        };
        for act in stage.scenario.setup.clone() {
            stage.act(&act)?;
        }
        stage.shown = world.with(|world| world.expected());
        Ok(stage)
    }
}

impl Stage {
    /// The application that it is played with.
    #[must_use]
    pub fn application(&self) -> &ResourceId {
        &self.application
    }

    /// What DNS has to show now.
    #[must_use]
    pub fn shown(&self) -> &BTreeSet<Record> {
        &self.shown
    }

    /// Plays the steps and sends an event after each. Delays are `percent` of the written ones (0
    /// plays without delay). Ends early when nobody receives any more.
    ///
    /// # Errors
    /// When the world does not have what a step needs.
    pub async fn play(mut self, percent: u32, events: mpsc::Sender<Event>) -> Result<(), ScriptError> {
        for (number, step) in self.scenario.steps.clone().into_iter().enumerate() {
            tokio::time::sleep(step.delay.saturating_mul(percent) / 100).await;
            self.act(&step.act)?;
            let at = Instant::now();
            let (mut appear, mut vanish) = (Vec::new(), Vec::new());
            if let Some(now) = self.world.with(|world| (!world.faults.any()).then(|| world.expected())) {
                appear = now.difference(&self.shown).cloned().collect();
                vanish = self.shown.difference(&now).cloned().collect();
                self.shown = now;
            }
            let event = Event { step: number, says: step.says, at, appear, vanish };
            if events.send(event).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn act(&mut self, act: &Act) -> Result<(), ScriptError> {
        let (scenario, application) = (self.scenario.name, self.application.clone());
        let leaving = &mut self.leaving;
        self.world.with(|world| {
            let endpoint = |world: &World, name: &'static str| {
                let mut endpoints = world.endpoints_of(&application);
                let found = endpoints.find(|e| e.id.name() == name).map(|e| e.id.clone());
                found.ok_or(ScriptError::Endpoint { scenario, endpoint: name })
            };
            let done = match act {
                Act::AddEndpoint { name, network, virtual_network, approval } => {
                    let options = EndpointOptions {
                        name: (*name).to_owned(),
                        network: *network,
                        virtual_network: (*virtual_network).to_owned(),
                        approval: *approval,
                        ..EndpointOptions::default()
                    };
                    world.add_endpoint(&application, &options).map(drop)
                }
                Act::Settle => world.settle_all(&application),
                Act::ScaleOut => world.scale_out(&application).map(drop),
                Act::StopRequiring => {
                    let app = world.applications.get(&application);
                    let mut hubs = app.map_or(&[][..], |app| &app.required).iter();
                    let newest = hubs.rfind(|member| member.kind == MemberKind::Hub);
                    let newest = newest.map(|hub| hub.name.clone()).unwrap_or_default();
                    world.stop_requiring(&application, leaving.insert(newest))
                }
                Act::ReleaseAddresses => {
                    world.release_addresses(&application, leaving.as_deref().unwrap_or_default())
                }
                Act::Recreate(name) => world.recreate_endpoint(&endpoint(world, name)?),
                Act::Delete(name) => world.delete_endpoint(&endpoint(world, name)?),
                Act::Decide(name, status) => world.set_connection_state(&endpoint(world, name)?, *status),
                Act::Break(fault) => {
                    world.faults.clear();
                    world.faults.add(FaultRule::new(*fault).retry_after(2));
                    Ok(())
                }
                Act::Repair => {
                    world.faults.clear();
                    Ok(())
                }
            };
            done.map_err(|verb| ScriptError::Verb { scenario, verb })
        })
    }
}

fn step(seconds: u64, says: &'static str, act: Act) -> Step {
    Step { delay: Duration::from_secs(seconds), says, act }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::Simulator;

    /// How many records come and go with each step.
    async fn played(name: &str) -> Vec<(usize, usize)> {
        let simulator = Simulator::start((Ipv4Addr::LOCALHOST, 0).into()).await.expect("a simulator");
        let stage = Scenario::named(name).expect("a scenario").prepare(simulator.world()).expect("a stage");
        let (events, mut received) = mpsc::channel(16);
        stage.play(0, events).await.expect("played");
        let mut counts = Vec::new();
        while let Some(event) = received.recv().await {
            counts.push((event.appear.len(), event.vanish.len()));
        }
        counts
    }

    #[tokio::test]
    async fn scenarios_say_what_comes_and_goes() {
        assert_eq!(played("scale").await, [(0, 0), (2, 0), (0, 0), (0, 2)]);
        assert_eq!(played("second-endpoint").await, [(0, 0), (6, 0), (0, 6)]);
        assert_eq!(played("recreate").await, [(0, 0), (6, 6)]);
        assert_eq!(played("outage").await, [(0, 0), (0, 0), (0, 0), (0, 0), (2, 0)]);
        assert_eq!(played("approval").await, [(6, 0), (0, 6)]);
        assert!(Scenario::named("none").is_none());
    }

    #[tokio::test]
    async fn a_stage_knows_what_is_shown_before_the_first_step() {
        let simulator = Simulator::start((Ipv4Addr::LOCALHOST, 0).into()).await.expect("a simulator");
        let stage = Scenario::all().remove(0).prepare(simulator.world()).expect("a stage");
        let application = stage.application().clone();
        assert_eq!(stage.shown().len(), 6);
        assert!(stage.shown().iter().all(|record| {
            record.privatelink.as_ref().is_some_and(|name| name.contains(".privatelink."))
        }));
        let again = Scenario::all().remove(0).prepare(simulator.world());
        let taken = VerbError::Exists(application);
        assert_eq!(again.err(), Some(ScriptError::Verb { scenario: "scale", verb: taken }));
    }
}
