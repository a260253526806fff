//! The page as text.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::*;
use crate::admin::status::{
    FindingStatus, HoldStatus, PropagationStatus, TargetProblem, TargetStatus, VerifyStatus,
};
use crate::targets::tests::generation;
use crate::verify::Problem;
use crate::zones::{Absence, EndpointShare, FindingKind, Needs, Share};

const EVIL: &str = "<script>alert(1)</script>\"'&";

fn text(status: &Status, view: &View, message: Option<&Message>) -> String {
    page(status, view, message, "server1")
}

fn shown(view: &View) -> Status {
    Status::of(view, &[], &[])
}

/// A view with a generation; time stands still.
fn view() -> View {
    let mut view = View::empty(Timestamp::UNIX_EPOCH);
    view.generation = Some(Arc::new(generation()));
    view
}

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

#[test]
fn what_others_say_is_text() {
    let view = view();
    let mut status = shown(&view);
    let share = view.generation.as_ref().and_then(|g| g.shares.values().next()).expect("a share");
    let (endpoint, name, _) = share.placements().next().expect("a name");
    status.findings.push(FindingStatus {
        severity: Severity::Error,
        kind: FindingKind::PollFailed,
        application: None,
        subject: EVIL.to_owned(),
        message: EVIL.to_owned(),
    });
    status.holds.push(HoldStatus {
        name: name.clone(),
        application: share.application.clone(),
        endpoint: endpoint.clone(),
        absence: Absence::Unsettled(EVIL.to_owned()),
        reason: EVIL.to_owned(),
        since: Timestamp::UNIX_EPOCH,
        polls: 1,
        needs: Needs::Operator,
        rejected: false,
    });
    status.targets.push(TargetStatus {
        name: EVIL.to_owned(),
        kind: EVIL.to_owned(),
        place: EVIL.to_owned(),
        dry_run: false,
        generation: None,
        pending: true,
        records: 0,
        last_success: None,
        planned: None,
        error: Some(TargetProblem { since: Timestamp::UNIX_EPOCH, message: EVIL.to_owned() }),
    });
    status.propagation.push(PropagationStatus {
        to: EVIL.to_owned(),
        generation: 7,
        seen: Timestamp::UNIX_EPOCH,
        seconds: None,
    });
    status.verify = Some(VerifyStatus {
        at: Timestamp::UNIX_EPOCH,
        seconds: 1.0,
        servers: Vec::new(),
        problems: vec![Problem {
            severity: Severity::Error,
            check: EVIL.to_owned(),
            subject: EVIL.to_owned(),
            server: Some(EVIL.to_owned()),
            application: None,
            seen: EVIL.to_owned(),
            expected: EVIL.to_owned(),
            remedy: EVIL.to_owned(),
        }],
    });
    let page = page(&status, &view, None, EVIL);
    assert_eq!(count(&page, "<script"), 1, "only our own");
    assert!(count(&page, "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;") > 13, "{page}");
    for (section, words) in [("propagation", "under way"), ("verify", "What is wrong")] {
        assert!(page.contains(&format!("<section id=\"{section}\"")) && page.contains(words), "{page}");
    }
    assert!(page.contains("<title>NOT READY · ") || page.contains("<title>1 error · "), "{page}");
    assert!(page.contains("docs/runbook.md#poll-failed"), "{page}");
}

#[test]
fn a_large_page_is_cut_and_says_where_the_rest_is() {
    let mut view = view();
    let mut generation = generation();
    let (application, share) = generation.shares.iter().next().expect("a share");
    let (endpoint, _, placement) = share.placements().next().expect("a name");
    let names =
        (0..5000).map(|n| (format!("n{n}.azure-devices.net").parse().expect("a name"), placement.clone()));
    let endpoints =
        BTreeMap::from([(endpoint.clone(), EndpointShare { subnet: None, names: names.collect() })]);
    let share = Share { endpoints, ..Share::clone(share) };
    generation.shares = BTreeMap::from([(application.clone(), Arc::new(share))]);
    view.generation = Some(Arc::new(generation));
    let page = text(&shown(&view), &view, None);
    assert_eq!(count(&page, "id=\"record:"), ROWS);
    assert!(page.contains("Records <span class=\"count\">5000<"), "the count is of all");
    assert!(page.contains("The first 500 of 5000 are shown. <a href=\"/api/v1/records\">"));
    assert!(page.len() < 500_000, "{}", page.len());
}

#[test]
fn findings_of_a_kind_are_told_together() {
    let view = view();
    let mut status = shown(&view);
    let finding = |n: usize| FindingStatus {
        severity: Severity::Warning,
        kind: FindingKind::RemovalHeld,
        application: None,
        subject: format!("subject {n}"),
        message: String::new(),
    };
    let folded = |status: &Status| {
        let page = text(status, &view, None);
        assert_eq!(count(&page, "id=\"finding:removal-held\""), 1);
        page.contains("<details id=\"more:removal-held\"><summary>2 more</summary>")
    };
    status.findings = (0..2).map(finding).collect();
    assert!(!folded(&status), "two are shown");
    status.findings.push(finding(3));
    assert!(folded(&status));
}

#[test]
fn an_empty_page_is_a_page() {
    let view = View::empty(Timestamp::UNIX_EPOCH);
    let page = text(&shown(&view), &view, None);
    for part in [
        "NOT READY",
        "not ready",
        "no complete poll yet",
        "Nothing to tell.",
        "None: every name",
        "Nothing has changed",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    assert!(!page.contains("Targets") && !page.contains("Secondaries"), "nothing that is not configured");
}

#[test]
fn a_message_is_a_word_and_a_number() {
    let view = view();
    let say = |query: &str| {
        let message = Message::of_query(query);
        text(&shown(&view), &view, message.as_ref())
    };
    for (query, said) in [
        ("done=approved-1", "1 name was removed."),
        ("done=approved-7", "7 names were removed."),
        ("done=rejected-2", "2 names are kept until Azure shows them again."),
        ("done=polled-1", "1 application is being polled."),
        ("done=approved-0", "Nothing was held"),
    ] {
        assert!(say(query).contains(said), "{query}");
    }
    for query in
        ["", "done=", "done=approved", "done=approved--1", "done=approved-%3Cb%3E", "done=<b>-1", "x=1"]
    {
        assert!(!say(query).contains("class=\"message"), "{query}");
    }
}
