//! Which questions are answered from our data and which are left to public DNS.

use super::super::{Asker, Context, Image, Outcome, answer};
use super::build::*;
use super::summary::summary;

const CNAME: u16 = 5;
const HUB: &str = "iotc-1.azure-devices.net";
const RECURSIVE: Asker = Asker { recursion: true, ..UDP };

/// The sample, as a resolver has it.
fn image(context: Context) -> Image {
    compile_with(&generation(&privatelink(), sample_shares()), context)
}

fn resolver() -> Context {
    Context { complete: true, resolver: true, fallback: true, ..Context::default() }
}

fn outcome(image: &Image, name: &str, kind: u16, asker: Asker) -> Outcome {
    answer(image, &query(name, kind), asker, &mut Vec::new())
}

fn is_forwarded(image: &Image, name: &str, kind: u16) -> bool {
    matches!(outcome(image, name, kind, RECURSIVE), Outcome::Forward { .. })
}

#[test]
fn a_public_name_that_we_hold_is_answered_as_public_dns_would() {
    let image = image(resolver());
    let ask =
        |kind| summary(&respond(&image, &edns("IotC-2.azure-devices.net", kind), RECURSIVE).expect("ours"));
    let alias = "IotC-2.azure-devices.net CNAME 10 iotc-2.privatelink.azure-devices.net";
    let a = ask(A);
    assert_eq!((a.rcode, a.flags.as_str()), (0, "rd ra"));
    assert_eq!(
        a.answers,
        [
            alias,
            "iotc-2.privatelink.azure-devices.net A 10 10.0.0.5",
            "iotc-2.privatelink.azure-devices.net A 10 10.0.1.5"
        ]
    );
    // The private zone has no AAAA: its SOA says so, and public DNS is not asked.
    let aaaa = ask(AAAA);
    assert_eq!((aaaa.rcode, &aaaa.answers[..]), (0, &[alias.to_owned()][..]));
    assert!(aaaa.authority[0].starts_with("privatelink.azure-devices.net SOA 5 "), "{aaaa:?}");
    for kind in [CNAME, ANY] {
        let alone = ask(kind);
        assert_eq!((&alone.answers[..], alone.authority.len()), (&[alias.to_owned()][..], 0));
    }
}

#[test]
fn other_names_are_left_to_public_dns() {
    let image = image(resolver());
    for name in
        ["example.com", "azure-devices.net", "other.azure-devices.net", "x.iotc-1.azure-devices.net", ""]
    {
        assert!(is_forwarded(&image, name, A), "{name}");
    }
    // Another tenant's name in a zone of ours.
    assert!(is_forwarded(&image, "other.privatelink.azure-devices.net", A));
    for kind in [A, AAAA, SOA] {
        assert!(!is_forwarded(&image, "iotc-1.privatelink.azure-devices.net", kind), "ours");
        assert!(!is_forwarded(&image, "privatelink.azure-devices.net", kind), "ours");
    }
    let mut transfer = query("example.com", 252);
    assert_eq!(answer(&image, &transfer, RECURSIVE, &mut Vec::new()), Outcome::Transfer);
    // Without RD nobody else is asked, but a name that is missing in a zone of ours still is.
    transfer = query("example.com", A);
    transfer[2] = 0;
    assert!(matches!(
        answer(&image, &transfer, RECURSIVE, &mut Vec::new()),
        Outcome::Answered { rcode: 5, .. }
    ));
    let mut missing = query("other.privatelink.azure-devices.net", A);
    missing[2] = 0;
    assert!(matches!(answer(&image, &missing, RECURSIVE, &mut Vec::new()), Outcome::Forward { .. }));
}

#[test]
fn without_a_fallback_a_missing_name_is_denied() {
    let image = image(Context { fallback: false, ..resolver() });
    let denied = outcome(&image, "other.privatelink.azure-devices.net", A, RECURSIVE);
    assert!(matches!(denied, Outcome::Answered { rcode: 3, .. }), "{denied:?}");
    assert!(is_forwarded(&image, "other.azure-devices.net", A));
}

#[test]
fn who_may_not_recurse_gets_our_zones_only() {
    let image = image(resolver());
    for name in ["example.com", HUB, "other.privatelink.azure-devices.net"] {
        let refused = outcome(&image, name, A, UDP);
        assert!(matches!(refused, Outcome::Answered { rcode: 5, .. }), "{name}: {refused:?}");
    }
    let ours = outcome(&image, "iotc-1.privatelink.azure-devices.net", A, UDP);
    assert!(matches!(ours, Outcome::Answered { rcode: 0, .. }));
    let neither = Asker { allowed: false, ..UDP };
    let refused = outcome(&image, "iotc-1.privatelink.azure-devices.net", A, neither);
    assert!(matches!(refused, Outcome::Answered { rcode: 5, .. }));
    // Who may recurse may ask for everything.
    let only = Asker { allowed: false, ..RECURSIVE };
    let ours = outcome(&image, "iotc-1.privatelink.azure-devices.net", A, only);
    assert!(matches!(ours, Outcome::Answered { rcode: 0, .. }));
}

#[test]
fn the_applications_own_name_is_left_to_its_public_chain() {
    let zone = "privatelink.azureiotcentral.com";
    let mut own = share(1, &[zone], &[("app.azureiotcentral.com", zone, vec![[10, 0, 0, 9].into()])]);
    for placement in own.endpoints.values_mut().flat_map(|endpoint| endpoint.names.values_mut()) {
        placement.own_name = true;
    }
    let image = |publication| compile_with(&generation(&publication, vec![own.clone()]), resolver());
    assert!(is_forwarded(&image(privatelink()), "app.azureiotcentral.com", A));
    let switched = crate::zones::Publication { application_name: true, ..privatelink() };
    assert!(!is_forwarded(&image(switched), "app.azureiotcentral.com", A));
}

#[test]
fn before_everything_is_known_nothing_of_ours_is_asked_elsewhere() {
    let incomplete = image(Context { complete: false, ..resolver() });
    let servfail = |image: &Image, name| {
        matches!(outcome(image, name, A, RECURSIVE), Outcome::Answered { rcode: 2, .. })
    };
    assert!(servfail(&incomplete, "other.privatelink.azure-devices.net"));
    assert!(is_forwarded(&incomplete, "example.com", A));
    assert!(!is_forwarded(&incomplete, HUB, A), "known already");
    let empty = Image::default();
    assert!(servfail(&empty, "x.privatelink.azure-devices.net"));
    assert!(is_forwarded(&empty, "management.azure.com", A), "the daemon's own way to Azure");
}

#[test]
fn a_member_without_an_address_that_leaves_is_counted() {
    let expected = ["iotc-new".to_owned()].into();
    let image = image(Context { expected, ..resolver() });
    assert!(image.leaks().is_empty());
    for name in
        ["iotc-new.azure-devices.net", "iotc-new.privatelink.azure-devices.net", "other.azure-devices.net"]
    {
        image.count_leak(&wire(name));
    }
    assert_eq!(image.leaks(), [("iotc-new".to_owned(), 2)].into());
    let next = self::image(Context { expected: ["iotc-new".to_owned()].into(), ..resolver() });
    next.carry_leaks(&image.leaks());
    assert_eq!(next.leaks(), image.leaks());
}
