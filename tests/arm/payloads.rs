//! Recorded and documented payloads, byte by byte, and the exact records and findings that they
//! lead to.

use std::collections::BTreeSet;

use privatelink_dns::simulator::Operation;

use crate::bench::PROVEN;
use crate::identity::with_identity;
use crate::served::*;

#[test]
fn the_recording_of_one_hub() {
    with_identity(async || polled(&Payloads::one_hub()).await.check(&ONE_HUB, &[PUBLIC]));
}

#[test]
fn the_recording_of_two_hubs() {
    with_identity(async || polled(&Payloads::two_hubs()).await.check(&TWO_HUBS, &[PUBLIC]));
}

#[test]
fn tags_may_be_missing_or_null() {
    with_identity(async || {
        let plain = Payloads::one_hub();
        for tags in ["", "\"tags\": null,", "\"tags\": {\"dns\": \"on\"},"] {
            let application = swap(&plain.application, "\"tags\": {},", tags);
            polled(&Payloads { application, ..plain.clone() }).await.check(&ONE_HUB, &[PUBLIC]);
        }
    });
}

#[test]
fn the_documentation_sample_with_its_order_casing_and_further_fields() {
    with_identity(async || {
        let plain = Payloads::two_hubs();
        let odd = |text: &str| {
            let text = swap(text, "resourceGroups", "resourcegroups");
            text.replace("iotApps", "IoTApps")
                .replace("privateEndpointConnections/", "PrivateEndpointConnections/")
        };
        let payloads = Payloads {
            application: odd(&plain.application),
            link: fixture!("link-documentation"),
            endpoint: odd(&plain.endpoint),
            ..plain
        };
        polled(&payloads).await.check(&TWO_HUBS, &[PUBLIC]);
    });
}

#[test]
fn connections_from_their_own_list_where_the_application_lacks_them() {
    with_identity(async || {
        let plain = Payloads::one_hub();
        let application = swap(&plain.application, "privateEndpointConnections\": [", "elsewhere\": [");
        let payloads = Payloads { application, connections: Some(fixture!("connections")), ..plain };
        polled(&payloads).await.check(&ONE_HUB, &[PUBLIC]);
    });
}

#[test]
fn zone_names_come_from_the_data() {
    with_identity(async || {
        // Microsoft's test ring, as in the specification's example.
        let plain = Payloads::one_hub();
        let ring = |text: &str| swap(text, "azureiotcentral.com", "azureiotcentral-test.com");
        let payloads = Payloads {
            link: ring(&plain.link),
            endpoint: ring(&plain.endpoint),
            interface: ring(&plain.interface),
            ..plain
        };
        let own = "privatelink.azureiotcentral-test.com iotc-cli-test000002 10.0.0.4";
        polled(&payloads).await.check(&[own, ONE_HUB[1], ONE_HUB[2], ONE_HUB[3]], &[PUBLIC]);
    });
}

#[test]
fn updating_right_after_creation_publishes_nothing_and_names_every_member() {
    with_identity(async || {
        let payloads = Payloads {
            endpoint: fixture!("endpoint-updating"),
            interface: fixture!("interface-empty"),
            ..Payloads::one_hub()
        };
        let without = |member| ("member-without-address", member);
        let findings =
            [PUBLIC, ("endpoint-updating", PE), without(OWN), without(HUB), without(EVENTS), without(DPS)];
        let mut served = polled(&payloads).await;
        served.check(&[], &findings);
        served.poll(&Payloads::one_hub()).await;
        served.check(&ONE_HUB, &[PUBLIC]);
    });
}

#[test]
fn updating_with_empty_custom_dns_configs_removes_nothing() {
    with_identity(async || {
        let endpoint = fixture!("endpoint-updating");
        let updating = Payloads { endpoint: endpoint.clone(), ..Payloads::one_hub() };
        let mut served = polled_after_one_hub(&updating).await;
        served.check(&ONE_HUB, &[PUBLIC, ("endpoint-updating", PE)]);

        let empty = Payloads { endpoint, interface: fixture!("interface-empty"), ..Payloads::one_hub() };
        for _ in 0..=PROVEN {
            served.poll(&empty).await;
        }
        let kinds: BTreeSet<_> = served.bench.findings().into_iter().map(|(kind, _)| kind).collect();
        let expected =
            ["endpoint-updating", "member-without-address", "public-access-enabled", "removal-held"];
        assert_eq!(kinds, expected.into());
        assert_eq!(served.bench.records(), ONE_HUB.map(str::to_owned).into());
        served.poll(&Payloads::one_hub()).await;
        served.check(&ONE_HUB, &[PUBLIC]);
    });
}

#[test]
fn several_names_of_one_interface_address() {
    with_identity(async || {
        let plain = Payloads::one_hub();
        let hub = format!("\"{HUB}.azure-devices.net\"");
        let second = format!("{hub}, \"cert.{HUB}.azure-devices.net\"");
        let interface = swap(&plain.interface, &format!("[{hub}]"), &format!("[{second}]"));
        let record = format!("privatelink.azure-devices.net cert.{HUB} 10.0.0.5");
        let records = [ONE_HUB[0], ONE_HUB[1], ONE_HUB[2], ONE_HUB[3], &record];

        // customDnsConfigs that lacks the second name is told of.
        let second = format!("cert.{HUB}.azure-devices.net");
        let payloads = Payloads { interface, ..plain };
        let mut served = polled(&payloads).await;
        served.check(&records, &[PUBLIC, ("sources-disagree", &second)]);

        let told = format!("{{\"fqdn\": \"{second}\", \"ipAddresses\": [\"10.0.0.5\"]}}");
        let list = "\"customDnsConfigs\": [";
        let endpoint = swap(&payloads.endpoint, list, &format!("{list}{told}, "));
        served.poll(&Payloads { endpoint, ..payloads }).await;
        served.check(&records, &[PUBLIC]);
    });
}

#[test]
fn a_wildcard_and_a_name_of_another_service_are_told_of_and_not_published() {
    with_identity(async || {
        let plain = Payloads::one_hub();
        let hub = format!("\"{HUB}.azure-devices.net\"");
        let names =
            format!("[{hub}, \"*.eastus.inference.ml.azure.com\", \"x.workspace.eastus.api.azureml.ms\"]");
        let interface = swap(&plain.interface, &format!("[{hub}]"), &names);
        let findings = [
            PUBLIC,
            ("wildcard-fqdn", "*.eastus.inference.ml.azure.com"),
            ("fqdn-outside-zones", "x.workspace.eastus.api.azureml.ms"),
        ];
        polled(&Payloads { interface, ..plain }).await.check(&ONE_HUB, &findings);
    });
}

#[test]
fn a_manual_connection_counts_once_it_is_approved() {
    with_identity(async || {
        let payloads = Payloads { endpoint: fixture!("endpoint-manual"), ..Payloads::one_hub() };
        let mut served = polled(&payloads.in_state("Pending", "Pending")).await;
        served.check(&[], &[PUBLIC, ("endpoint-pending", PE), ("no-approved-endpoint", APP)]);
        served.poll(&payloads).await;
        served.check(&ONE_HUB, &[PUBLIC]);
    });
}

#[test]
fn only_approved_connections_count() {
    with_identity(async || {
        for (state, kind) in [
            ("Pending", "endpoint-pending"),
            ("Rejected", "endpoint-rejected"),
            ("Disconnected", "endpoint-disconnected"),
            ("Frozen", "endpoint-state-unknown"),
        ] {
            let served = polled(&Payloads::one_hub().in_state(state, state)).await;
            served.check(&[], &[PUBLIC, (kind, PE), ("no-approved-endpoint", APP)]);
            let requests = served.bench.simulator.requests();
            assert_eq!(requests.count(Operation::Endpoint), 0, "{state}: an address proves nothing");

            let served = polled_after_one_hub(&Payloads::one_hub().in_state(state, state)).await;
            let held = ONE_HUB.map(public_name);
            let held = held.each_ref().map(|name| ("removal-held", name.as_str()));
            let mut findings = vec![PUBLIC, (kind, PE), ("no-approved-endpoint", APP)];
            findings.extend(held);
            served.check(&ONE_HUB, &findings);
        }
    });
}

#[test]
fn sides_that_tell_different_states_remove_nothing() {
    with_identity(async || {
        for (listed, at_endpoint, kind) in [
            ("Approved", "Pending", "endpoint-pending"),
            ("Approved", "Disconnected", "endpoint-disconnected"),
            ("Rejected", "Approved", "endpoint-rejected"),
        ] {
            let mut served = polled(&Payloads::one_hub()).await;
            for _ in 0..=PROVEN {
                served.poll(&Payloads::one_hub().in_state(listed, at_endpoint)).await;
            }
            let mut findings =
                vec![PUBLIC, ("connection-converging", PE), (kind, PE), ("no-approved-endpoint", APP)];
            let held = ONE_HUB.map(public_name);
            findings.extend(held.iter().map(|name| ("removal-held", name.as_str())));
            served.check(&ONE_HUB, &findings);
        }
    });
}

#[test]
fn a_connection_to_another_resource_publishes_nothing() {
    with_identity(async || {
        let plain = Payloads::one_hub();
        let elsewhere = APP.replace("000002", "000009");
        let endpoint = swap(&plain.endpoint, APP, &elsewhere);
        let served = polled(&Payloads { endpoint, ..plain }).await;
        served.check(&[], &[PUBLIC, ("endpoint-foreign", PE), ("no-approved-endpoint", APP)]);
    });
}

#[test]
fn a_complete_zone_group() {
    with_identity(async || {
        let payloads = Payloads::zone_group(fixture!("zone-group-complete"));
        let mut served = polled(&payloads).await;
        served.check(&ONE_HUB, &[PUBLIC]);
        served.refuse_interfaces();
        served.poll(&payloads).await;
        served.check(&ONE_HUB, &[PUBLIC, ("interface-read-refused", PE)]);
    });
}

#[test]
fn a_partial_zone_group() {
    with_identity(async || {
        let payloads = Payloads::zone_group(fixture!("zone-group-partial"));
        let mut served = polled(&payloads).await;
        let partial = ("zone-group-partial", PE);
        served.check(&ONE_HUB, &[PUBLIC, partial]);

        // Without the interface it tells one zone only; of the others nothing is concluded.
        served.refuse_interfaces();
        for _ in 0..=PROVEN {
            served.poll(&payloads).await;
        }
        let refused = ("interface-read-refused", PE);
        let without = [HUB, EVENTS, DPS].map(|member| ("member-without-address", member));
        let held: Vec<String> = ONE_HUB[1..].iter().map(|record| public_name(record)).collect();
        let mut findings = vec![PUBLIC, partial, refused];
        findings.extend(without);
        findings.extend(held.iter().map(|name| ("removal-held", name.as_str())));
        served.check(&ONE_HUB, &findings);
    });
}

#[test]
fn a_zone_group_that_does_not_match_has_no_records() {
    with_identity(async || {
        let payloads = Payloads::zone_group(fixture!("zone-group-mismatch"));
        let mut served = polled(&payloads).await;
        let told = [PUBLIC, ("zone-group-partial", PE)];
        served.check(&ONE_HUB, &told);

        served.refuse_interfaces();
        served.poll(&payloads).await;
        let mut findings = told.to_vec();
        findings.extend([("interface-read-refused", PE), ("no-address-source", PE)]);
        findings.extend([OWN, HUB, EVENTS, DPS].map(|member| ("member-without-address", member)));
        let held = ONE_HUB.map(public_name);
        findings.extend(held.iter().map(|name| ("removal-held", name.as_str())));
        served.check(&ONE_HUB, &findings);
    });
}

/// What cannot be believed although it is JSON: a body about something else, ids that are none.
#[test]
fn bodies_that_cannot_be_believed_change_nothing_and_are_named() {
    with_identity(async || {
        let plain = Payloads::one_hub();
        let mut served = polled(&plain).await;
        let other = plain.application.replacen(APP, &APP.replace("000002", "000009"), 1);
        let hostile = [
            (Payloads { application: other, ..plain.clone() }, Operation::ApplicationGet),
            (
                Payloads { application: swap(&plain.application, PE, "../evil"), ..plain.clone() },
                Operation::ApplicationGet,
            ),
            (
                Payloads { application: swap(&plain.application, PE, NIC), ..plain.clone() },
                Operation::ApplicationGet,
            ),
            (Payloads { endpoint: swap(&plain.endpoint, NIC, PE), ..plain.clone() }, Operation::Endpoint),
            (Payloads { endpoint: swap(&plain.endpoint, APP, "/x"), ..plain.clone() }, Operation::Endpoint),
            (Payloads { interface: swap(&plain.interface, NIC, PE), ..plain.clone() }, Operation::Interface),
            (
                Payloads { link: swap(&plain.link, "requiredMembers", "members"), ..plain.clone() },
                Operation::PrivateLinkResources,
            ),
        ];
        for (payloads, operation) in hostile {
            served.serve(&payloads);
            let error = served.bench.poll(&served.app).await.expect_err("refused").to_string();
            let all = served.bench.simulator.requests().all();
            let asked = all.iter().rfind(|r| r.operation == Some(operation)).expect("a request");
            assert!(error.contains(&asked.path) && error.contains(&asked.correlation_id), "{error}");
            served.check(&ONE_HUB, &[PUBLIC, ("poll-failed", APP)]);
        }
        served.poll(&plain).await;
        served.check(&ONE_HUB, &[PUBLIC]);
    });
}
