//! Zones that come, go and take names from each other.

use super::build::*;
use super::story::Story;
use crate::zones::*;

/// One poll in which these zones are required and the endpoint shows `rows`.
fn poll(story: &mut Story, seconds: i64, zones: &[&str], rows: &[Row]) -> guard::Review {
    let mut application = application(rows, vec![endpoint(1, facts(rows))]);
    application.link_resources[0].required_zone_names = zones.iter().map(|&z| z.to_owned()).collect();
    story.take(seconds, &derived(application))
}

#[test]
fn a_new_zone_is_served_at_once() {
    let mut story = Story::default();
    assert_eq!(poll(&mut story, 0, &ZONES[..3], &[OWN, HUB, EVENTS]).share.zones, names(&ZONES[..3]));
    assert_eq!(poll(&mut story, 1, &ZONES, &ONE_HUB).share.zones, names(&ZONES));
}

#[test]
fn a_zone_that_is_not_required_any_more_stays_while_it_has_names() {
    let mut story = Story::default();
    poll(&mut story, 0, &ZONES, &ONE_HUB);
    for n in 1..50 {
        let review = poll(&mut story, 60 * n, &ZONES[..3], &ONE_HUB);
        assert_eq!(review.share.zones, names(&ZONES));
        assert_eq!(records(&review.share), expected(&ONE_HUB));
        assert_eq!(review.state.holds.len(), 1);
        assert_eq!(review.state.holds[0].absence, Absence::AddressStillThere);
        assert_eq!(review.changes, []);
    }
    // The same when requiredZoneNames is empty for a while.
    for n in 50..90 {
        assert_eq!(records(&poll(&mut story, 60 * n, &[], &ONE_HUB).share), expected(&ONE_HUB));
    }
    assert!(poll(&mut story, 9000, &ZONES, &ONE_HUB).state.holds.is_empty());
}

#[test]
fn an_empty_zone_that_is_not_required_any_more_goes_after_ten_polls_and_ten_minutes() {
    let rows = &ONE_HUB[..3];
    let mut story = Story::default();
    poll(&mut story, 0, &ZONES, rows);
    for n in 1..=10 {
        assert_eq!(poll(&mut story, 60 * n, &ZONES[..3], rows).share.zones, names(&ZONES));
    }
    // Required again: the polls begin anew.
    poll(&mut story, 630, &ZONES, rows);
    for n in 11..=20 {
        assert_eq!(poll(&mut story, 60 * n, &ZONES[..3], rows).share.zones, names(&ZONES));
    }
    assert_eq!(poll(&mut story, 1260, &ZONES[..3], rows).share.zones, names(&ZONES[..3]));
}

#[test]
fn a_zone_outlives_its_last_name() {
    let mut story = Story::default();
    poll(&mut story, 0, &ZONES, &ONE_HUB);
    let rest = &ONE_HUB[..3];
    for n in 1..=3 {
        poll(&mut story, 60 * n, &ZONES[..3], rest);
    }
    // The name went at 180 s; the ten minutes of its zone count from then.
    let share = story.share.clone().expect("a share");
    assert_eq!((records(&share), share.zones), (expected(rest), names(&ZONES)));
    for n in 4..=12 {
        assert_eq!(poll(&mut story, 60 * n, &ZONES[..3], rest).share.zones, names(&ZONES));
    }
    assert_eq!(poll(&mut story, 780, &ZONES[..3], rest).share.zones, names(&ZONES[..3]));
}

#[test]
fn a_name_that_moves_to_a_longer_zone_is_a_change() {
    let row: Row = ("x", "x.eu.azure-devices.net", "10.0.0.5");
    let (short, long) = ("privatelink.azure-devices.net", "privatelink.eu.azure-devices.net");
    let mut story = Story::default();
    poll(&mut story, 0, &[short], &[row]);
    let review = poll(&mut story, 60, &[short, long], &[row]);
    assert_eq!(records(&review.share)[0].1, "x.privatelink.eu.azure-devices.net");
    assert_eq!(review.changes.len(), 1);
    assert_eq!((&review.changes[0].zone, &review.changes[0].old), (&name(long), &review.changes[0].new));
    assert_eq!(poll(&mut story, 120, &[short, long], &[row]).changes, []);
}
