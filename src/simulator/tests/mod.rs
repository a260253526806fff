//! The simulator as a client sees it, over real HTTP.

mod faults;
mod golden;
mod http;
mod verbs;

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::zones::ResourceId;

const IOT: &str = "api-version=2021-11-01-preview";
const NETWORK: &str = "api-version=2024-05-01";

/// A simulator with one application and one settled endpoint, and a client with a valid token.
struct Bench {
    simulator: Simulator,
    client: reqwest::Client,
    app: ResourceId,
    endpoint: ResourceId,
}

impl Bench {
    async fn new() -> Self {
        let simulator = Simulator::start((Ipv4Addr::LOCALHOST, 0).into()).await.expect("a simulator");
        let (app, endpoint) = simulator.world().with(|world| {
            world.tokens.accept("good");
            let app = world.add_application(&ApplicationOptions::default()).expect("an application");
            let endpoint = world.add_endpoint(&app, &EndpointOptions::default()).expect("an endpoint");
            world.settle(&endpoint).expect("settled");
            (app, endpoint)
        });
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(20))
            .build()
            .expect("a client");
        Self { simulator, client, app, endpoint }
    }

    /// GET with a valid token; `path` with or without the host.
    fn get(&self, path: &str) -> reqwest::RequestBuilder {
        let base = if path.starts_with("http") { "" } else { self.simulator.base_url() };
        self.client.get(format!("{base}{path}")).bearer_auth("good")
    }

    /// Status and JSON of a GET.
    async fn json(&self, path: &str) -> (u16, Value) {
        let response = self.get(path).send().await.expect("an answer");
        (response.status().as_u16(), response.json().await.expect("JSON"))
    }

    fn interface(&self) -> ResourceId {
        self.world(|world| world.endpoints[&self.endpoint].interface.id.clone())
    }

    fn world<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        self.simulator.world().with(act)
    }

    /// Path and query of a read of each kind.
    fn path(&self, operation: Operation) -> String {
        match operation {
            Operation::ApplicationGet => format!("{}?{IOT}", self.app),
            Operation::ApplicationList => {
                format!(
                    "/subscriptions/{}/providers/Microsoft.IoTCentral/iotApps?{IOT}",
                    self.app.subscription()
                )
            }
            Operation::PrivateLinkResources => format!("{}/privateLinkResources?{IOT}", self.app),
            Operation::Connections => format!("{}/privateEndpointConnections?{IOT}", self.app),
            Operation::Endpoint => format!("{}?{NETWORK}", self.endpoint),
            Operation::Interface => format!("{}?{NETWORK}", self.interface()),
            Operation::ZoneGroup => format!("{}/privateDnsZoneGroups?{NETWORK}", self.endpoint),
            Operation::Token => {
                format!("{}?api-version=2019-08-01&resource=https%3A%2F%2Fmanagement.azure.com", token::PATH)
            }
        }
    }
}
