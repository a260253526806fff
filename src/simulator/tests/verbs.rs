//! What each verb changes, on the bare world.

use super::*;

struct Stage {
    world: World,
    app: ResourceId,
    endpoint: ResourceId,
}

impl Stage {
    fn new() -> Self {
        let mut world = World::new(7);
        let app = world.add_application(&ApplicationOptions::default()).expect("an application");
        let endpoint = world.add_endpoint(&app, &EndpointOptions::default()).expect("an endpoint");
        Self { world, app, endpoint }
    }

    fn settled() -> Self {
        let mut stage = Self::new();
        stage.world.settle(&stage.endpoint.clone()).expect("settled");
        stage
    }

    fn required(&self) -> Vec<&str> {
        self.world.applications[&self.app].required.iter().map(|member| member.name.as_str()).collect()
    }

    fn endpoint(&self) -> &Endpoint {
        &self.world.endpoints[&self.endpoint]
    }

    fn addressed(&self) -> Vec<(&str, u8)> {
        let configurations = self.endpoint().interface.configurations.iter();
        configurations.map(|c| (c.member.as_str(), c.address.octets()[3])).collect()
    }

    fn custom_dns(&self) -> usize {
        let payload = payloads::endpoint(self.endpoint());
        payload["properties"]["customDnsConfigs"].as_array().expect("an array").len()
    }

    fn first_hub(&self) -> String {
        self.required()[1].to_owned()
    }
}

#[test]
fn names_look_live_and_follow_from_the_seed() {
    let stage = Stage::new();
    assert_eq!(stage.required(), Stage::new().required());
    let names = stage.required();
    assert_eq!(names.len(), 6);
    assert_eq!(names[0], "contoso-iot");
    assert!(names[1].starts_with("iotc-") && names[1].len() == 41, "{names:?}");
    let parts: Vec<&str> = names[2].split('-').collect();
    assert_eq!(format!("{}-{}", parts[2], parts[3]), &names[1][..10]);
    assert_eq!((parts[4].len(), parts[5].len()), (8, 10));
    assert!(names[5].starts_with("saas-dps-"));
    let name = &stage.endpoint().connection_name;
    assert!(name.starts_with("contoso-iot.") && name.len() == 12 + 36);
}

#[test]
fn a_new_endpoint_has_addresses_once_it_settles() {
    let mut stage = Stage::new();
    assert_eq!(stage.endpoint().provisioning, ProvisioningState::Updating);
    assert!(stage.addressed().is_empty());
    assert!(stage.world.expected().is_empty());
    let before = stage.endpoint().etag.clone();
    stage.world.settle(&stage.endpoint.clone()).expect("settled");
    assert_ne!(stage.endpoint().etag, before);
    let hosts: Vec<u8> = stage.addressed().iter().map(|(_, host)| *host).collect();
    assert_eq!(hosts, [4, 5, 6, 7, 8, 9]);
    assert_eq!(stage.custom_dns(), 6);
    assert_eq!(stage.world.expected().len(), 6);
}

#[test]
fn scaling_out_shows_in_the_required_members_first() {
    let mut stage = Stage::settled();
    let hub = stage.world.scale_out(&stage.app.clone()).expect("scaled");
    assert_eq!(stage.required().len(), 8);
    assert_eq!(stage.required()[5], hub);
    assert_eq!(stage.endpoint().provisioning, ProvisioningState::Updating);
    assert_eq!((stage.addressed().len(), stage.custom_dns()), (6, 0), "old addresses stay on the interface");
    assert_eq!(stage.world.expected().len(), 6);
    stage.world.settle_all(&stage.app.clone()).expect("settled");
    assert_eq!((stage.addressed().len(), stage.custom_dns()), (8, 8));
    assert_eq!(stage.addressed()[6], (hub.as_str(), 10));
    assert_eq!(stage.world.expected().len(), 8);
}

#[test]
fn scaling_in_goes_in_either_order() {
    for required_first in [true, false] {
        let mut stage = Stage::settled();
        let (app, hub) = (stage.app.clone(), stage.first_hub());
        if required_first {
            stage.world.stop_requiring(&app, &hub).expect("no longer required");
            assert_eq!((stage.required().len(), stage.addressed().len()), (4, 6));
        } else {
            stage.world.release_addresses(&app, &hub).expect("released");
            assert_eq!((stage.required().len(), stage.addressed().len()), (6, 4));
            stage.world.settle_all(&app).expect("settled");
            assert_eq!(stage.addressed().len(), 4, "what was taken away does not come back");
        }
        assert_eq!(stage.world.expected().len(), 6, "one side alone proves nothing");
        if required_first {
            stage.world.release_addresses(&app, &hub).expect("released");
        } else {
            stage.world.stop_requiring(&app, &hub).expect("no longer required");
        }
        assert_eq!((stage.required().len(), stage.addressed().len()), (4, 4));
        assert_eq!(stage.world.expected().len(), 4);
    }
    let mut stage = Stage::settled();
    let (app, hub) = (stage.app.clone(), stage.first_hub());
    stage.world.scale_in(&app, &hub).expect("scaled");
    assert_eq!((stage.required().len(), stage.addressed().len(), stage.custom_dns()), (4, 4, 4));
    let gone = VerbError::NoMember { application: app.clone(), member: hub.clone() };
    assert_eq!(stage.world.scale_in(&app, &hub), Err(gone));
}

#[test]
fn a_manual_endpoint_waits_and_can_be_refused_or_cut_off() {
    let mut stage = Stage::new();
    let options = EndpointOptions {
        name: "manual".to_owned(),
        approval: Approval::Manual,
        network: Ipv4Addr::new(10, 9, 0, 77),
        ..EndpointOptions::default()
    };
    let manual = stage.world.add_endpoint(&stage.app.clone(), &options).expect("an endpoint");
    stage.world.settle(&manual).expect("settled");
    let payload = payloads::endpoint(&stage.world.endpoints[&manual]);
    let link = &payload["properties"]["manualPrivateLinkServiceConnections"][0]["properties"];
    assert_eq!(link["privateLinkServiceConnectionState"]["status"], "Pending");
    assert_eq!(payload["properties"]["privateLinkServiceConnections"].as_array().map(Vec::len), Some(0));
    assert_eq!(stage.world.endpoints[&manual].interface.configurations.len(), 6);
    let mut expected = |status| {
        stage.world.set_connection_state(&manual, status).expect("set");
        stage.world.expected().len()
    };
    assert_eq!(expected(ConnectionStatus::Pending), 0);
    assert_eq!(expected(ConnectionStatus::Approved), 6);
    assert_eq!(expected(ConnectionStatus::Rejected), 0);
    assert_eq!(expected(ConnectionStatus::Disconnected), 0);
    let listed: Vec<_> = stage.world.endpoints_of(&stage.app).collect();
    assert_eq!((listed.len(), payloads::listed(&listed).count()), (2, 1), "the owner no longer lists it");
}

#[test]
fn a_recreated_endpoint_keeps_its_id_alone() {
    let mut stage = Stage::settled();
    let id = stage.endpoint.clone();
    let before = stage.endpoint().clone();
    stage.world.recreate_endpoint(&id).expect("recreated");
    let after = stage.endpoint();
    assert_eq!((after.provisioning, after.interface.configurations.len()), (ProvisioningState::Updating, 0));
    assert_ne!(after.interface.id, before.interface.id);
    assert_ne!(after.connection_name, before.connection_name);
    assert_ne!(after.resource_guid, before.resource_guid);
    let expected = stage.world.expected();
    stage.world.settle(&id).expect("settled");
    assert_eq!(stage.addressed()[0].1, 10);
    assert!(stage.world.expected().is_disjoint(&expected), "all addresses are new");
}

#[test]
fn deleting() {
    let mut stage = Stage::settled();
    let (app, endpoint) = (stage.app.clone(), stage.endpoint.clone());
    stage.world.delete_application(&app).expect("deleted");
    assert_eq!(stage.endpoint().status, ConnectionStatus::Disconnected);
    assert!(stage.world.expected().is_empty());
    assert_eq!(stage.world.delete_application(&app), Err(VerbError::NoApplication(app.clone())));
    stage.world.delete_endpoint(&endpoint).expect("deleted");
    assert_eq!(stage.world.settle(&endpoint), Err(VerbError::NoEndpoint(endpoint.clone())));
    assert!(matches!(
        stage.world.add_endpoint(&app, &EndpointOptions::default()),
        Err(VerbError::NoApplication(_))
    ));
}

#[test]
fn refuses_what_cannot_be() {
    let mut stage = Stage::settled();
    let taken = Err(VerbError::Exists(stage.app.clone()));
    assert_eq!(stage.world.add_application(&ApplicationOptions::default()), taken);
    let odd = ApplicationOptions { name: "a/b".to_owned(), ..ApplicationOptions::default() };
    assert!(matches!(stage.world.add_application(&odd), Err(VerbError::Id(_))));
    let app = stage.app.clone();
    for _ in 0..130 {
        stage.world.scale_out(&app).expect("scaled");
    }
    let full = VerbError::NetworkFull(Ipv4Addr::new(10, 0, 0, 0));
    assert_eq!(stage.world.settle_all(&app), Err(full));
    assert_eq!(stage.addressed().len(), 6);
}
