//! The names and addresses of one endpoint, from the best source that tells them.
//!
//! The network interface carries them in every DNS mode; `customDnsConfigs` is empty while the
//! endpoint is updating and while a zone group is attached that fits; the zone group names
//! privatelink names of the zones that it covers, no others.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::net::Ipv4Addr;

use super::{
    Application, DnsName, EndpointFacts, Finding, FindingKind, FqdnAddresses, InterfaceRead, Observation,
    Placement, ResourceId, Source, ZoneGroupRead, public_suffix,
};

/// What one endpoint's best source gave.
pub(super) struct Placed {
    /// The source; nothing when none told anything.
    pub(super) source: Option<Source>,
    /// The names that have a zone, with their addresses.
    pub(super) names: BTreeMap<DnsName, Placement>,
    /// Every name that any source shows.
    pub(super) shown: BTreeSet<DnsName>,
    /// The zones outside of which the source tells nothing.
    pub(super) only_zones: Option<BTreeSet<DnsName>>,
    /// What could not be used, and what does not fit.
    pub(super) findings: Vec<Finding>,
}

/// A name with one address, as a source tells it.
struct Entry<'a> {
    fqdn: &'a str,
    address: &'a str,
    member: Option<&'a str>,
    interface: Option<&'a ResourceId>,
}

/// Reads the names of an approved endpoint and places them in the required zones.
pub(super) fn place(
    observation: &Observation,
    application: &Application,
    endpoint: &ResourceId,
    facts: &EndpointFacts,
    zones: &BTreeSet<DnsName>,
    members: &BTreeSet<String>,
) -> Placed {
    let mut placing = Placing { observation, application, endpoint, zones, members, findings: Vec::new() };
    placing.zone_group_findings(facts);
    let (source, entries) = placing.choose(facts);
    let only_zones = match (source, &facts.zone_group) {
        (Some(Source::ZoneGroup), ZoneGroupRead::Read(group)) => {
            Some(group.iter().filter(|z| !z.records.is_empty()).filter_map(|z| z.zone.parse().ok()).collect())
        }
        _ => None,
    };
    let (names, mut shown) = placing.names(source.unwrap_or(Source::Interface), &entries);
    if source == Some(Source::Interface) && facts.settled {
        placing.compare(&names, &shown, &facts.custom_dns);
    }
    // A name is gone from the endpoint only when none of its sources has it.
    let group = match &facts.zone_group {
        ZoneGroupRead::Read(group) => group.as_slice(),
        _ => &[],
    };
    let others = facts.custom_dns.iter().chain(group.iter().flat_map(|zone| &zone.records));
    shown.extend(others.filter(|o| !o.addresses.is_empty()).filter_map(|o| o.fqdn.parse().ok()));
    Placed { source, names, shown, only_zones, findings: placing.findings }
}

struct Placing<'a> {
    observation: &'a Observation,
    application: &'a Application,
    endpoint: &'a ResourceId,
    zones: &'a BTreeSet<DnsName>,
    members: &'a BTreeSet<String>,
    findings: Vec<Finding>,
}

impl<'a> Placing<'a> {
    fn find(&mut self, kind: FindingKind, subject: impl Into<String>, message: impl Into<String>) {
        self.findings.push(Finding::of(&self.observation.application, kind, subject, message));
    }

    /// The best source and what it tells.
    fn choose(&mut self, facts: &'a EndpointFacts) -> (Option<Source>, Vec<Entry<'a>>) {
        let read = match &facts.interfaces {
            InterfaceRead::Read(addresses) => {
                let entries: Vec<Entry<'_>> = addresses
                    .iter()
                    .flat_map(|a| {
                        a.fqdns.iter().map(move |fqdn| Entry {
                            fqdn,
                            address: &a.address,
                            member: a.member.as_deref(),
                            interface: Some(&a.interface),
                        })
                    })
                    .collect();
                if !entries.is_empty() {
                    return (Some(Source::Interface), entries);
                }
                true
            }
            InterfaceRead::Refused(reason) => {
                self.find(
                    FindingKind::InterfaceReadRefused,
                    self.endpoint.as_str(),
                    format!(
                        "The network interface may not be read, so addresses come from customDnsConfigs, which is \
                         empty at times: assign Microsoft.Network/networkInterfaces/read. ARM said: {reason}"
                    ),
                );
                false
            }
        };
        if !facts.custom_dns.is_empty() {
            return (Some(Source::CustomDns), entries(&facts.custom_dns));
        }
        if let ZoneGroupRead::Read(group) = &facts.zone_group {
            let entries: Vec<Entry<'_>> = group.iter().flat_map(|zone| entries(&zone.records)).collect();
            if !entries.is_empty() {
                return (Some(Source::ZoneGroup), entries);
            }
        }
        if !read && facts.settled {
            self.find(
                FindingKind::NoAddressSource,
                self.endpoint.as_str(),
                "Neither customDnsConfigs nor a zone group tells addresses, and the network interface may not be \
                 read: assign Microsoft.Network/networkInterfaces/read. Known records are kept.",
            );
        }
        (read.then_some(Source::Interface), Vec::new())
    }

    /// Places the entries; also returns every name shown, placed or not.
    fn names(
        &mut self,
        source: Source,
        entries: &[Entry<'_>],
    ) -> (BTreeMap<DnsName, Placement>, BTreeSet<DnsName>) {
        let mut names = BTreeMap::<DnsName, Placement>::new();
        let mut shown = BTreeSet::new();
        for entry in entries {
            let Some(fqdn) = self.name(entry.fqdn) else { continue };
            let Some((public, zone)) = into_zone(&fqdn, self.zones) else {
                self.find(
                    FindingKind::FqdnOutsideZones,
                    entry.fqdn,
                    format!(
                        "Private endpoint {} has this name, but none of the required zones takes it; it is not \
                         published.",
                        self.endpoint
                    ),
                );
                shown.insert(fqdn);
                continue;
            };
            shown.insert(public.clone());
            let Some(address) = self.address(entry) else { continue };
            let placement = names.entry(public.clone()).or_insert_with(|| Placement {
                zone,
                member: self.member(entry, &public),
                interface: entry.interface.cloned(),
                source,
                own_name: self.is_own(entry, &public),
                addresses: BTreeSet::new(),
                since: self.observation.at,
            });
            placement.addresses.insert(address);
        }
        (names, shown)
    }

    fn name(&mut self, text: &str) -> Option<DnsName> {
        if text.starts_with("*.") {
            self.find(
                FindingKind::WildcardFqdn,
                text,
                "A wildcard would capture names of other tenants in a shared zone; it is not published.",
            );
            return None;
        }
        match text.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                self.find(
                    FindingKind::InvalidFqdn,
                    text,
                    format!(
                        "Private endpoint {} has a name that cannot be published: {error}.",
                        self.endpoint
                    ),
                );
                None
            }
        }
    }

    fn address(&mut self, entry: &Entry<'_>) -> Option<Ipv4Addr> {
        let usable =
            |a: &Ipv4Addr| !(a.is_unspecified() || a.is_loopback() || a.is_multicast() || a.is_broadcast());
        let address = entry.address.parse().ok().filter(usable);
        if address.is_none() {
            self.find(
                FindingKind::InvalidAddress,
                entry.fqdn,
                format!(
                    "Private endpoint {} gives the address {:?}, which no A record can hold; it is not published.",
                    self.endpoint, entry.address
                ),
            );
        }
        address
    }

    /// The member behind a name, lower case: told by the source, or shown by the name's first label.
    fn member(&self, entry: &Entry<'_>, public: &DnsName) -> Option<String> {
        if let Some(member) = entry.member {
            return Some(member.to_ascii_lowercase());
        }
        let first = public.labels().next()?.to_owned();
        let own = if self.is_own(entry, public) { self.own().collect() } else { Vec::new() };
        iter::once(first).chain(own).find(|member| self.members.contains(member))
    }

    /// The application's own label, lower case.
    ///
    /// Whether member and label are the subdomain or the resource's name is not documented; in every
    /// recording the two were equal.
    fn own(&self) -> impl Iterator<Item = String> {
        let names = [self.application.subdomain.as_deref(), Some(self.observation.application.name())];
        names.into_iter().flatten().map(str::to_ascii_lowercase)
    }

    fn is_own(&self, entry: &Entry<'_>, public: &DnsName) -> bool {
        let is = |text: &str| self.own().any(|own| own.eq_ignore_ascii_case(text));
        public.labels().next().is_some_and(is) || entry.member.is_some_and(is)
    }

    fn compare(
        &mut self,
        names: &BTreeMap<DnsName, Placement>,
        shown: &BTreeSet<DnsName>,
        custom_dns: &[FqdnAddresses],
    ) {
        if custom_dns.is_empty() {
            return;
        }
        let mut told = BTreeMap::<DnsName, BTreeSet<Ipv4Addr>>::new();
        for entry in entries(custom_dns) {
            if let (Ok(name), Ok(address)) = (entry.fqdn.parse(), entry.address.parse()) {
                told.entry(name).or_default().insert(address);
            }
        }
        let none = BTreeSet::new();
        let published = names.iter().map(|(name, placement)| (name, &placement.addresses));
        let missing = told.keys().filter(|name| !shown.contains(*name)).map(|name| (name, &none));
        for (name, addresses) in published.chain(missing) {
            let told = told.get(name).unwrap_or(&none);
            if told != addresses {
                self.find(
                    FindingKind::SourcesDisagree,
                    name.as_str(),
                    format!(
                        "The network interface of {} says {addresses:?}, customDnsConfigs says {told:?}; the network \
                         interface's is published.",
                        self.endpoint
                    ),
                );
            }
        }
    }

    fn zone_group_findings(&mut self, facts: &EndpointFacts) {
        match &facts.zone_group {
            ZoneGroupRead::NotNeeded => {}
            ZoneGroupRead::Refused(reason) => self.find(
                FindingKind::ZoneGroupReadRefused,
                self.endpoint.as_str(),
                format!(
                    "The private DNS zone group may not be read, so it is not checked; records do not depend on it. \
                     ARM said: {reason}"
                ),
            ),
            ZoneGroupRead::Read(group) if group.is_empty() => {}
            ZoneGroupRead::Read(group) => {
                let has = |zone: &DnsName| {
                    group.iter().any(|g| g.zone.parse::<DnsName>().is_ok_and(|name| name == *zone))
                };
                let missing: Vec<&str> = self.zones.iter().filter(|z| !has(z)).map(DnsName::as_str).collect();
                if !missing.is_empty() {
                    self.find(
                        FindingKind::ZoneGroupPartial,
                        self.endpoint.as_str(),
                        format!(
                            "The endpoint's private DNS zone group covers {} of {} required zones, {} are missing: \
                             Azure's own private zones lack those records.",
                            self.zones.len() - missing.len(),
                            self.zones.len(),
                            missing.join(", ")
                        ),
                    );
                }
            }
        }
    }
}

fn entries(list: &[FqdnAddresses]) -> Vec<Entry<'_>> {
    list.iter()
        .flat_map(|item| {
            item.addresses.iter().map(|address| Entry {
                fqdn: &item.fqdn,
                address,
                member: None,
                interface: None,
            })
        })
        .collect()
}

/// The public name and the zone of a public or privatelink name: the longest match decides.
fn into_zone(fqdn: &DnsName, zones: &BTreeSet<DnsName>) -> Option<(DnsName, DnsName)> {
    // A required zone's own name is nobody's host.
    if zones.contains(fqdn) {
        return None;
    }
    zones
        .iter()
        .filter_map(|zone| {
            let suffix = public_suffix(zone)?;
            let (public, length) = match fqdn.below(zone) {
                Some(rest) => (suffix.prepend(rest).ok()?, zone.as_str().len()),
                None => {
                    fqdn.below(&suffix)?;
                    (fqdn.clone(), suffix.as_str().len())
                }
            };
            // The privatelink owner name has to fit as well.
            zone.prepend(public.below(&suffix)?).ok()?;
            Some((length, public, zone.clone()))
        })
        .max_by_key(|(length, _, _)| *length)
        .map(|(_, public, zone)| (public, zone))
}
