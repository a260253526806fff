//! Zones inside zones: each name belongs to the closest zone above it, and what leads to a zone
//! inside another exists.

use super::build::*;
use super::summary::summary;

/// RCODE, and owner and type of the first record.
fn line(names: &[Name<'_>], zones: &[&str], name: &str, kind: u16) -> String {
    let image = compile(&generation(&publication(), vec![share(1, zones, names)]), true);
    let summary = summary(&respond(&image, &query(name, kind), UDP).expect("a response"));
    let owner = |records: &[String]| {
        records.first().map_or_else(String::new, |r| r.split(' ').take(2).collect::<Vec<_>>().join(" "))
    };
    format!("{} {}{}", summary.rcode, owner(&summary.answers), owner(&summary.authority))
}

#[test]
fn what_leads_to_a_zone_inside_exists() {
    // The per-name zone c.b.privatelink.x lies two labels below the zone privatelink.x.
    let names = [("c.b.privatelink.x", "privatelink.privatelink.x", vec![[10, 0, 0, 1].into()])];
    let line = |name, kind| line(&names, &["privatelink.x"], name, kind);
    assert_eq!(line("c.b.privatelink.x", A), "0 c.b.privatelink.x A");
    assert_eq!(line("c.b.privatelink.x", AAAA), "0 c.b.privatelink.x SOA");
    assert_eq!(line("z.c.b.privatelink.x", A), "3 c.b.privatelink.x SOA");
    // NXDOMAIN here would take the zone below away (RFC 8020).
    assert_eq!(line("b.privatelink.x", A), "0 privatelink.x SOA");
    assert_eq!(line("z.privatelink.x", A), "3 privatelink.x SOA");
}

#[test]
fn the_closest_zone_answers() {
    // The inner zone comes before the outer one in the alphabet, or behind it.
    for inner in ["privatelink.a.privatelink.m", "privatelink.z.privatelink.m"] {
        let suffix = inner.strip_prefix("privatelink.").expect("a privatelink zone");
        // `h.privatelink.<suffix>` in the zone privatelink.m is owned by a name of the inner zone.
        let label = suffix.split('.').next().expect("a label");
        let public_outer = format!("o.privatelink.{label}.m");
        let public_inner = format!("i.{suffix}");
        let names = [
            (public_outer.as_str(), "privatelink.m", vec![[10, 0, 0, 1].into()]),
            (public_inner.as_str(), inner, vec![[10, 0, 0, 2].into()]),
        ];
        let line = |name: &str, kind| line(&names, &[], name, kind);
        let at = |first: &str| format!("{first}.{inner}");
        // The record exists in both zones' data; the inner zone is the one that is asked.
        assert_eq!(line(&at("i"), A), format!("0 i.{inner} A"));
        assert_eq!(line(&at("o"), A), format!("3 {inner} SOA"), "only the outer zone has it");
        assert_eq!(line(&at("n"), A), format!("3 {inner} SOA"));
        assert_eq!(line(inner, SOA), format!("0 {inner} SOA"));
        assert_eq!(line(&format!("{label}.privatelink.m"), A), "0 privatelink.m SOA");
    }
}
