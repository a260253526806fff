//! The response policy zone, for BIND, Unbound, Knot Resolver and PowerDNS Recursor.

use super::{RPZ, zone};
use crate::zones::{DnsName, Form, Generation, Publication, generation};

/// The policy zone as it is published. Where none is, one with a name of its own, whose serial is the
/// time of the generation.
pub(super) fn text(generation: &Generation) -> String {
    let published = generation.zones.iter().find(|(_, zone)| zone.form == Form::Rpz);
    if let Some((origin, found)) = published
        && let Some(serial) = generation.serial(origin)
    {
        return zone(&generation.publication, origin, found, serial).0;
    }
    let Ok(origin) = RPZ.parse::<DnsName>() else { return String::new() };
    let publication = Publication { rpz: Some(origin.clone()), ..generation.publication.clone() };
    let mut zones = generation::zones(&generation.shares, &publication);
    // Seconds since 1970 modulo 2^32, as RFC 1982 arithmetic wants.
    let serial = generation.created.as_second() as u32;
    zones.remove(&origin).map(|found| zone(&publication, &origin, &found, serial).0).unwrap_or_default()
}
