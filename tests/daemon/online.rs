//! `check-config --online`: what Azure refuses is told at once, with the command that allows it.

use jiff::SignedDuration;
use privatelink_dns::simulator::{Approval, ConnectionStatus, EndpointOptions, Fault, FaultRule, Operation};
use serde_json::Value;

use crate::support::azure::Azure;
use crate::support::home::{BINARY, Home, Said, said};

const PRINCIPAL: &str = "33333333-3333-3333-3333-333333333333";
const TENANT: &str = "22222222-2222-2222-2222-222222222222";

/// Checks the home's configuration online.
async fn check(home: &Home) -> Said {
    home.write();
    let mut command = home.environment(BINARY);
    command.args(["check-config", "--online"]).arg(home.config());
    said(command).await
}

/// The same as JSON.
async fn report(home: &Home) -> (Option<i32>, Value) {
    home.write();
    let mut command = home.environment(BINARY);
    command.args(["check-config", "--online", "--json"]).arg(home.config());
    let said = said(command).await;
    (said.code, serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}")))
}

fn refuse(azure: &Azure, fault: Fault, operations: &[Operation]) {
    azure.with(|world| {
        world.faults.clear();
        for operation in operations {
            world.faults.add(FaultRule::new(fault).on(*operation));
        }
        Ok(())
    });
}

#[tokio::test]
async fn a_right_configuration_reads_everything() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    let said = check(&home).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    for line in [
        "clock: as Azure's",
        "credential managed-identity: a token until",
        "\nEverything can be read.\n",
        TENANT,
    ] {
        assert!(said.out.contains(line), "{line}: {}", said.out);
    }
    assert_eq!(said.out.matches("\n  read    ").count(), 6, "{}", said.out);
    // It leaves nothing behind.
    assert!(!home.state().exists());
}

#[tokio::test]
async fn each_missing_action_is_named_with_the_command_that_gives_it() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    let group = azure.endpoint.as_str().split("/providers/").next().expect("a group").to_owned();
    for (operation, code, scope) in [
        (Operation::ApplicationGet, 1, azure.application.as_str()),
        (Operation::PrivateLinkResources, 1, azure.application.as_str()),
        (Operation::Connections, 2, azure.application.as_str()),
        (Operation::Endpoint, 1, &group),
        (Operation::Interface, 2, &group),
        (Operation::ZoneGroup, 2, &group),
    ] {
        refuse(&azure, Fault::AuthorizationFailed, &[operation]);
        let said = check(&home).await;
        assert_eq!(said.code, Some(code), "{operation:?}: {said:?}");
        let missing = format!("missing: {}, on {scope}\n", operation.action());
        assert!(said.out.contains(&missing), "{operation:?}: {}", said.out);
        let command = format!(
            "az role assignment create --role \"IoT Central private DNS reader\" --assignee-object-id {PRINCIPAL} \
             --assignee-principal-type ServicePrincipal --scope \"{scope}\"\n"
        );
        assert!(said.out.contains(&command), "{operation:?}: {}", said.out);
        assert_eq!(said.out.matches("REFUSED").count(), 1, "{}", said.out);
    }

    // One command for each scope, whatever is missing there.
    refuse(
        &azure,
        Fault::AuthorizationFailed,
        &[Operation::Interface, Operation::ZoneGroup, Operation::Connections],
    );
    let (code, report) = report(&home).await;
    assert_eq!((code, &report["result"]), (Some(2), &Value::from("incomplete")));
    assert_eq!(report["commands"].as_array().map(Vec::len), Some(2), "{report:#}");
    let reads = report["applications"][0]["reads"].as_array().expect("reads");
    let refused = reads.iter().filter(|read| read["result"] == "refused");
    let refused: Vec<&str> = refused.map(|read| read["action"].as_str().expect("an action")).collect();
    assert_eq!(
        refused,
        [Operation::Connections.action(), Operation::Interface.action(), Operation::ZoneGroup.action()]
    );
}

#[tokio::test]
async fn wrong_subscriptions_tenants_and_resources_are_told_apart() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    for (fault, words) in [
        (
            Fault::InvalidAuthenticationTokenTenant,
            format!("is of tenant {TENANT}: the identity has to be of it"),
        ),
        (Fault::SubscriptionNotFound, format!("is of tenant {TENANT}: the identity has to be of it")),
        (Fault::ResourceNotFound, "the resource does not exist".to_owned()),
        (Fault::ResourceGroupNotFound, "the resource group does not exist".to_owned()),
    ] {
        refuse(&azure, fault, &[Operation::ApplicationGet]);
        let said = check(&home).await;
        assert_eq!(said.code, Some(1), "{fault:?}: {said:?}");
        assert!(said.out.contains(&words), "{fault:?}: {}", said.out);
        assert!(said.out.contains("FAILED  the application /subscriptions/"), "{}", said.out);
    }
    refuse(&azure, Fault::Conflict, &[]);
    let other = azure
        .application
        .as_str()
        .replace(azure.application.subscription(), "99999999-0000-0000-0000-000000000000");
    home.settings.applications = vec![other.parse().expect("an id")];
    let said = check(&home).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("knows no such subscription: check the id, and [azure] cloud"), "{}", said.out);
}

#[tokio::test]
async fn without_a_token_or_a_way_to_azure_nothing_else_is_tried() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    refuse(&azure, Fault::ResourceNotFound, &[Operation::Token]);
    let (code, told) = report(&home).await;
    assert_eq!(code, Some(1));
    assert!(told["credential"]["error"].as_str().expect("an error").contains("token"), "{told:#}");
    assert_eq!(told["subscriptions"][0]["tenant"], TENANT);
    assert_eq!(azure.simulator.requests().count(Operation::ApplicationGet), 0);

    home.settings.arm = "http://127.0.0.1:1".to_owned();
    let said = check(&home).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("no answer from http://127.0.0.1:1: "), "{}", said.out);
    assert!(said.out.contains("not tried, because Azure cannot be reached"), "{}", said.out);
}

#[tokio::test]
async fn a_credential_whose_file_is_missing_is_an_error_of_the_file() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    home.write();
    let mut command = home.environment(BINARY);
    command.args(["check-config", "--online"]).arg(home.config());
    for (key, value) in [
        ("KIND", "client-secret"),
        ("TENANT_ID", TENANT),
        ("CLIENT_ID", PRINCIPAL),
        ("SECRET_FILE", "/nonexistent/secret"),
    ] {
        command.env(format!("PRIVATELINK_DNS__AZURE__CREDENTIAL__{key}"), value);
    }
    let said = said(command).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("/nonexistent/secret"), "{}", said.err);
    assert_eq!(azure.simulator.requests().total(), 0);
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_told_beside_what_else_works() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    for ahead in [300, -300] {
        azure.with(|world| {
            world.clock_ahead = SignedDuration::from_secs(-ahead);
            Ok(())
        });
        let said = check(&home).await;
        assert_eq!(said.code, Some(2), "{said:?}");
        let direction = if ahead > 0 { " s ahead of Azure's" } else { " s behind Azure's" };
        assert!(said.out.contains(direction), "{}", said.out);
        assert!(said.out.contains("* set this machine's clock"), "{}", said.out);
    }
}

#[tokio::test]
async fn discovered_applications_are_checked_and_endpoints_that_wait_are_told() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    home.settings.applications.clear();
    home.settings.discoveries = "[[discovery]]\nsubscription = \"00000000-0000-0000-0000-000000000000\"\n";
    let (code, told) = report(&home).await;
    assert_eq!(code, Some(0), "{told:#}");
    assert_eq!(told["discoveries"][0]["applications"], 1);
    assert_eq!(told["applications"][0]["id"], azure.application.as_str());

    azure.with(|world| world.set_connection_state(&azure.endpoint, ConnectionStatus::Rejected));
    azure.with(|world| {
        let options = EndpointOptions {
            name: "pe-late".to_owned(),
            approval: Approval::Manual,
            ..EndpointOptions::default()
        };
        world.add_endpoint(&azure.application, &options)
    });
    let said = check(&home).await;
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.out.contains("pe-late: its connection waits for approval"), "{}", said.out);
    assert!(said.out.contains("its connection was rejected"), "{}", said.out);
    assert!(
        said.out.contains("has no approved private endpoint, so the rights on endpoints were not checked")
    );

    refuse(&azure, Fault::AuthorizationFailed, &[Operation::ApplicationList]);
    let said = check(&home).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains(
        "missing: Microsoft.IoTCentral/IoTApps/read, on /subscriptions/00000000-0000-0000-0000-000000000000\n"
    ));
}
