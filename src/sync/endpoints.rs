//! What the choice among several endpoints changes in what a person should know.

use std::collections::BTreeMap;

use crate::zones::{EndpointPolicy, Finding, FindingKind, ResourceId, Shares};

/// Which endpoints count, by application; all of them where there is nothing.
type Policies = BTreeMap<ResourceId, EndpointPolicy>;

/// Whether a poll's finding still tells something. That endpoints lie in several networks is no
/// surprise to whoever has chosen among them.
pub(super) fn concerns(finding: &Finding, policies: &Policies) -> bool {
    finding.kind != FindingKind::EndpointsInSeveralNetworks
        || finding.application.as_ref().is_none_or(|id| !policies.contains_key(id))
}

/// The endpoints of the policies that give no name: misspelled, perhaps, or not approved yet. An
/// application that was never read says nothing about its endpoints.
pub(super) fn unknown(policies: &Policies, shares: &Shares) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (application, policy) in policies {
        let Some(share) = shares.get(application) else { continue };
        let listed: Vec<&ResourceId> = match policy {
            EndpointPolicy::Prefer(endpoints) => endpoints.iter().collect(),
            EndpointPolicy::BySubnet(endpoints) => endpoints.values().collect(),
        };
        for endpoint in listed {
            if share.endpoints.get(endpoint).is_none_or(|given| given.names.is_empty()) {
                findings.push(Finding::of(
                    application,
                    FindingKind::ChosenEndpointUnknown,
                    endpoint.as_str(),
                    format!(
                        "The configuration chooses private endpoint {endpoint}, which gives no name of the \
                         application; its clients get the addresses of others. Correct its id in [[application]], \
                         or approve the endpoint."
                    ),
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::zones::{EndpointShare, Placement, Share, Source};

    fn id(text: &str) -> ResourceId {
        format!("/subscriptions/s/resourceGroups/r/providers/{text}").parse().expect("an id")
    }

    fn endpoint(name: &str) -> ResourceId {
        id(&format!("Microsoft.Network/privateEndpoints/{name}"))
    }

    fn application() -> ResourceId {
        id("Microsoft.IoTCentral/iotApps/a")
    }

    /// The endpoint `known` gives a name, the endpoint `empty` none.
    fn shares() -> Shares {
        let placement = Placement {
            zone: "privatelink.azure-devices.net".parse().expect("a name"),
            member: None,
            interface: None,
            source: Source::Interface,
            own_name: false,
            addresses: BTreeSet::from([[10, 0, 0, 4].into()]),
            since: Timestamp::UNIX_EPOCH,
        };
        let names = BTreeMap::from([("hub.azure-devices.net".parse().expect("a name"), placement)]);
        let mut share = Share::empty(application());
        share.endpoints.insert(endpoint("known"), EndpointShare { subnet: None, names });
        share.endpoints.insert(endpoint("empty"), EndpointShare::default());
        Shares::from([(application(), Arc::new(share))])
    }

    fn unknown_of(policy: EndpointPolicy, shares: &Shares) -> Vec<String> {
        let findings = unknown(&BTreeMap::from([(application(), policy)]), shares);
        findings.into_iter().map(|finding| finding.subject).collect()
    }

    #[test]
    fn chosen_endpoints_without_names_are_found_once_the_application_was_read() {
        let listed = ["known", "empty", "other"].map(endpoint);
        let expected: Vec<String> = listed[1..].iter().map(ToString::to_string).collect();
        let prefer = EndpointPolicy::Prefer(listed.to_vec());
        let prefixes = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"].map(|p| p.parse().expect("a prefix"));
        let networks = EndpointPolicy::BySubnet(prefixes.into_iter().zip(listed.clone()).collect());
        for policy in [prefer, networks] {
            assert_eq!(unknown_of(policy.clone(), &shares()), expected);
            assert!(unknown_of(policy, &Shares::new()).is_empty());
        }
        assert!(unknown_of(EndpointPolicy::Prefer(vec![endpoint("KNOWN")]), &shares()).is_empty());
    }

    #[test]
    fn several_networks_are_told_only_where_all_endpoints_count() {
        let of = |kind| Finding::of(&application(), kind, "subject", "message");
        let several = of(FindingKind::EndpointsInSeveralNetworks);
        let policies = BTreeMap::from([(application(), EndpointPolicy::Prefer(vec![endpoint("known")]))]);
        assert!(!concerns(&several, &policies));
        assert!(concerns(&several, &BTreeMap::new()));
        assert!(concerns(&of(FindingKind::EndpointPending), &policies));
    }
}
