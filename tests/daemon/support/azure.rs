//! A simulated Azure with one application, and a memory of every name that it ever showed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Mutex;

use privatelink_dns::simulator::{
    ApplicationOptions, EndpointOptions, MemberKind, Simulator, VerbError, World,
};
use privatelink_dns::zones::ResourceId;

pub(crate) struct Azure {
    pub(crate) simulator: Simulator,
    pub(crate) application: ResourceId,
    pub(crate) endpoint: ResourceId,
    seen: Mutex<BTreeSet<String>>,
}

impl Azure {
    /// An application with two hubs behind one settled endpoint: six names.
    pub(crate) async fn start() -> Self {
        let simulator = Simulator::start((Ipv4Addr::LOCALHOST, 0).into()).await.expect("a simulator");
        let (application, endpoint) = simulator.world().with(|world| {
            let application = world.add_application(&ApplicationOptions::default()).expect("an application");
            let options = EndpointOptions { network: [10, 1, 0, 0].into(), ..EndpointOptions::default() };
            let endpoint = world.add_endpoint(&application, &options).expect("an endpoint");
            world.settle(&endpoint).expect("settled");
            (application, endpoint)
        });
        Self { simulator, application, endpoint, seen: Mutex::default() }
    }

    /// Adds another application with an endpoint of its own.
    pub(crate) fn second_application(&self) -> ResourceId {
        self.with(|world| {
            let options = ApplicationOptions { name: "fabrikam-iot".to_owned(), ..Default::default() };
            let application = world.add_application(&options)?;
            let options = EndpointOptions {
                name: "pe-fabrikam".to_owned(),
                network: [10, 7, 0, 0].into(),
                ..EndpointOptions::default()
            };
            let endpoint = world.add_endpoint(&application, &options)?;
            world.settle(&endpoint)?;
            Ok(application)
        })
    }

    /// Changes the world, which has to work.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut World) -> Result<T, VerbError>) -> T {
        self.simulator.world().with(act).expect("the world allows it")
    }

    /// Adds a hub with addresses; gives its privatelink name.
    pub(crate) fn scale_out(&self) -> String {
        let hub = self.with(|world| {
            let hub = world.scale_out(&self.application)?;
            world.settle_all(&self.application)?;
            Ok(hub)
        });
        format!("{hub}.privatelink.azure-devices.net")
    }

    /// Takes away the hub of a privatelink name.
    pub(crate) fn scale_in(&self, name: &str) {
        let hub = name.split('.').next().expect("a label");
        self.with(|world| world.scale_in(&self.application, hub));
    }

    /// All members and addresses are gone and a hub without an address is there: what a mistake in
    /// Azure could look like.
    pub(crate) fn lose_everything(&self) {
        self.with(|world| {
            for application in world.applications.values_mut() {
                application.required.truncate(1);
                for member in &mut application.required {
                    member.name = "iotc-new".to_owned();
                    member.fqdns = vec!["iotc-new.azure-devices.net".to_owned()];
                }
            }
            for endpoint in world.endpoints.values_mut() {
                endpoint.interface.configurations.clear();
            }
            Ok(())
        });
    }

    /// The privatelink names that DNS has to show, with their addresses, and without any the names
    /// that it showed before.
    pub(crate) fn names(&self) -> BTreeMap<String, BTreeSet<Ipv4Addr>> {
        let mut names = BTreeMap::<String, BTreeSet<Ipv4Addr>>::new();
        for record in self.simulator.world().with(|world| world.expected()) {
            let name = record.privatelink.expect("every name has a zone");
            names.entry(name).or_default().insert(record.address);
        }
        let mut seen = self.seen.lock().expect("no test panicked");
        seen.extend(names.keys().cloned());
        for name in seen.iter() {
            names.entry(name.clone()).or_default();
        }
        names
    }

    /// The privatelink name of the first hub.
    pub(crate) fn hub(&self) -> String {
        self.hub_of(&self.application)
    }

    /// The privatelink name of an application's first hub.
    pub(crate) fn hub_of(&self, application: &ResourceId) -> String {
        self.with(|world| {
            let required = &world.applications[application].required;
            let hub = required.iter().find(|member| member.kind == MemberKind::Hub).expect("a hub");
            Ok(format!("{}.privatelink.azure-devices.net", hub.name))
        })
    }
}

/// The public name behind a privatelink name.
pub(crate) fn public(name: &str) -> String {
    name.replace(".privatelink.", ".")
}
