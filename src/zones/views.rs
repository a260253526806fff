//! Several endpoints for one name: which of them count, and for whom.
//!
//! A policy is an order of endpoints. Those of `prefer` have one order for everybody, those of
//! `by-subnet` one per client prefix, so the same few lines make the zones that everybody sees and
//! the views that differ from them. Views are made with the zones, never while a query waits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::generation::{Addresses, Form, Shares, Zone};
use super::{DnsName, EndpointPolicy, Placement, Prefix, Publication, ResourceId, Share};

/// Client networks that see the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientView<'a> {
    /// The networks, at least one. A client belongs to the longest prefix of all views that holds
    /// its address.
    pub prefixes: Vec<Prefix>,
    /// The endpoint that comes first, by application; never empty.
    pub preferred: BTreeMap<&'a ResourceId, &'a ResourceId>,
}

/// The addresses that an endpoint contributes to a name in a zone.
pub(super) struct Record<'a> {
    pub(super) form: Form,
    pub(super) origin: &'a DnsName,
    pub(super) owner: DnsName,
    pub(super) addresses: &'a BTreeSet<Ipv4Addr>,
}

impl Publication {
    /// The endpoints that come before an application's others; see
    /// [`EndpointPolicy::preferred`].
    pub(super) fn preferred(&self, application: &ResourceId, clients: Option<&Prefix>) -> &[ResourceId] {
        self.endpoints.get(application).map_or(&[], |policy| policy.preferred(clients))
    }

    /// The views of the client prefixes of all `by-subnet` policies. In a prefix that lies in one
    /// of another application both choices hold.
    #[must_use]
    pub fn views(&self) -> Vec<ClientView<'_>> {
        let policies: Vec<_> =
            self.endpoints.iter().filter(|(_, p)| matches!(p, EndpointPolicy::BySubnet(_))).collect();
        let mut views = BTreeMap::<BTreeMap<_, _>, Vec<Prefix>>::new();
        for prefix in self.client_prefixes() {
            let preferred = policies
                .iter()
                .filter_map(|(application, policy)| {
                    Some((*application, policy.preferred(Some(&prefix)).first()?))
                })
                .collect();
            views.entry(preferred).or_default().push(prefix);
        }
        views.into_iter().map(|(preferred, prefixes)| ClientView { prefixes, preferred }).collect()
    }

    fn client_prefixes(&self) -> BTreeSet<Prefix> {
        let prefixes = self.endpoints.values().filter_map(|policy| match policy {
            EndpointPolicy::BySubnet(endpoints) => Some(endpoints.keys().copied()),
            EndpointPolicy::Prefer(_) => None,
        });
        prefixes.flatten().collect()
    }

    /// The zones that a placement's name is published in.
    fn origins<'a>(
        &'a self,
        public: &'a DnsName,
        placement: &'a Placement,
    ) -> impl Iterator<Item = (Form, &'a DnsName)> {
        let privatelink = self.privatelink_zones.then_some((Form::Privatelink, &placement.zone));
        let overrides = self.application_name || !placement.own_name;
        let per_name = (self.per_name_zones && overrides).then_some((Form::PerName, public));
        let rpz = self.rpz.as_ref().filter(|_| overrides).map(|rpz| (Form::Rpz, rpz));
        privatelink.into_iter().chain(per_name).chain(rpz)
    }
}

impl Zone {
    /// The names whose addresses are others for the clients of a network.
    #[must_use]
    pub fn view(&self, clients: &Prefix) -> Option<&Addresses> {
        let around = self.views.iter().filter(|(prefix, _)| prefix.covers(clients));
        around.max_by_key(|(prefix, _)| prefix.length).map(|(_, addresses)| &**addresses)
    }
}

/// What an endpoint contributes to the zones under a public name: nothing where another endpoint
/// of the share comes before it.
pub(super) fn records<'a>(
    publication: &'a Publication,
    share: &'a Share,
    preferred: &'a [ResourceId],
    endpoint: &'a ResourceId,
    public: &'a DnsName,
    placement: &'a Placement,
) -> impl Iterator<Item = Record<'a>> {
    publication.origins(public, placement).filter_map(move |(form, origin)| {
        let mut before = preferred.iter().take_while(|other| *other != endpoint);
        let gives = |p: &Placement| publication.origins(public, p).any(|place| place == (form, origin));
        if before.any(|other| share.placement(other, public).is_some_and(gives)) {
            return None;
        }
        let owner = match form {
            Form::Privatelink => placement.owner(public)?,
            Form::PerName => public.clone(),
            // A trigger (draft-vixie-dnsop-dns-rpz section 4.1): the name with the zone's behind it.
            Form::Rpz => origin.prepend(public.as_str()).ok()?,
            Form::Catalog => return None,
        };
        Some(Record { form, origin, owner, addresses: &placement.addresses })
    })
}

/// Adds the views to zones that hold what clients outside all prefixes see.
pub(super) fn add(zones: &mut BTreeMap<DnsName, Zone>, shares: &Shares, publication: &Publication) {
    let views = publication.views();
    if views.is_empty() {
        return;
    }
    let mut givers = HashMap::<&DnsName, Vec<&Share>>::new();
    for share in shares.values() {
        for name in share.names() {
            givers.entry(name).or_default().push(share);
        }
    }
    let mut changed = BTreeSet::new();
    for view in &views {
        for (origin, addresses) in differences(zones, shares, &givers, publication, view) {
            let Some(zone) = zones.get_mut(&origin) else { continue };
            let addresses = Arc::new(addresses);
            zone.views.extend(view.prefixes.iter().map(|prefix| (*prefix, addresses.clone())));
            changed.insert(origin);
        }
    }
    let around = surroundings(publication.client_prefixes());
    for origin in changed {
        if let Some(zone) = zones.get_mut(&origin) {
            zone.views = without_repetition(&zone.views, &around);
        }
    }
}

/// By zone, the names that the clients of a view see with other addresses.
fn differences(
    zones: &BTreeMap<DnsName, Zone>,
    shares: &Shares,
    givers: &HashMap<&DnsName, Vec<&Share>>,
    publication: &Publication,
    view: &ClientView<'_>,
) -> BTreeMap<DnsName, Addresses> {
    // No other name can differ than those which a preferred endpoint gives.
    let given = view.preferred.iter().filter_map(|(id, endpoint)| shares.get(*id)?.endpoints.get(*endpoint));
    let names: BTreeSet<&DnsName> = given.flat_map(|endpoint| endpoint.names.keys()).collect();
    let clients = view.prefixes.first();
    let mut seen = BTreeMap::<DnsName, Addresses>::new();
    for public in names {
        for share in givers.get(public).into_iter().flatten() {
            let preferred = publication.preferred(&share.application, clients);
            for (endpoint, given) in &share.endpoints {
                let Some(placement) = given.names.get(public) else { continue };
                let records = records(publication, share, preferred, endpoint, public, placement);
                // Who gets the policy zone is a resolver, not one of its clients.
                for record in records.filter(|record| record.form.is_answered()) {
                    let zone = seen.entry(record.origin.clone()).or_default();
                    zone.entry(record.owner).or_default().extend(record.addresses);
                }
            }
        }
    }
    for (origin, addresses) in &mut seen {
        let everybody = zones.get(origin).map(|zone| &zone.addresses);
        addresses.retain(|owner, addresses| everybody.and_then(|all| all.get(owner)) != Some(addresses));
    }
    seen.retain(|_, addresses| !addresses.is_empty());
    seen
}

/// Every prefix with the longest of the others that it lies in.
fn surroundings(prefixes: BTreeSet<Prefix>) -> Vec<(Prefix, Option<Prefix>)> {
    let around = |inner: &Prefix| {
        let others = prefixes.iter().filter(|outer| *outer != inner && outer.covers(inner));
        others.max_by_key(|outer| outer.length).copied()
    };
    prefixes.iter().map(|prefix| (*prefix, around(prefix))).collect()
}

/// Leaves out prefixes whose clients see what those around them see, and adds those whose clients
/// see the zone as it is while those around them do not; so that views are equal exactly when all
/// clients see the same.
fn without_repetition(
    views: &BTreeMap<Prefix, Arc<Addresses>>,
    around: &[(Prefix, Option<Prefix>)],
) -> BTreeMap<Prefix, Arc<Addresses>> {
    let kept = around.iter().filter_map(|(prefix, outer)| {
        let own = views.get(prefix);
        let outer = outer.as_ref().and_then(|outer| views.get(outer));
        (own != outer).then(|| (*prefix, own.cloned().unwrap_or_default()))
    });
    kept.collect()
}
