//! Tasks: independence, recovery, reconfiguration, the end.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{ROWS, follow, generation, publication};
use crate::config::{Target, TargetKind};
use crate::propagation::Propagation;
use crate::targets::{Surroundings, TargetMetrics, TargetState, Targets};

fn hosts(name: &str, path: &Path) -> Target {
    let kind = TargetKind::Hosts { path: path.to_owned(), in_place: false };
    Target { name: name.to_owned(), dry_run: false, kind }
}

fn targets() -> (Targets, mpsc::UnboundedReceiver<String>, prometheus::Registry) {
    let (sender, deaths) = mpsc::unbounded_channel();
    let registry = prometheus::Registry::new();
    let propagation = Propagation::new(&registry).expect("metrics");
    let metrics = TargetMetrics::new(&registry).expect("metrics");
    (Targets::new(metrics, propagation, sender), deaths, registry)
}

/// Waits until a target's state is as it should be.
async fn until(targets: &Targets, name: &str, is_right: impl Fn(&TargetState) -> bool) -> TargetState {
    let look = async {
        loop {
            let state = targets.states().into_iter().find(|state| state.name == name);
            match state {
                Some(state) if is_right(&state) => return state,
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let result = timeout(Duration::from_secs(60), look).await;
    result.unwrap_or_else(|_| panic!("never: {:?}", targets.states()))
}

#[tokio::test]
async fn one_that_fails_holds_up_no_other_and_recovers_by_itself() {
    let home = tempfile::tempdir().expect("a directory");
    let (good, bad) = (home.path().join("good"), home.path().join("gone/bad"));
    fs::write(&good, "a\n").expect("written");
    let (targets, mut deaths, registry) = targets();
    targets.configure(&[hosts("good", &good), hosts("bad", &bad)], &Surroundings::default()).await;
    assert!(targets.states().iter().all(|state| !state.pending && state.applied.is_none()));
    let first = Arc::new(generation());
    targets.publish(first.clone());
    until(&targets, "good", |state| state.applied == Some(1) && !state.pending && state.records == 3).await;
    until(&targets, "bad", |state| state.error.is_some() && state.pending).await;
    let [finding] = targets.findings().try_into().expect("one finding");
    assert_eq!((finding.kind.code(), finding.subject.as_str()), ("target-failing", "bad"));
    assert!(finding.message.contains("there is no") && finding.message.contains("create it"), "{finding:?}");

    // A newer generation takes the place of the one that waits.
    let second = Arc::new(follow(Some(&first), &ROWS[..2], &publication()));
    targets.publish(second);
    until(&targets, "good", |state| state.applied == Some(2)).await;
    fs::create_dir(home.path().join("gone")).expect("made");
    fs::write(&bad, "b\n").expect("written");
    let state = until(&targets, "bad", |state| state.applied == Some(2)).await;
    assert!(state.error.is_none() && targets.findings().is_empty());
    assert!(!fs::read_to_string(&bad).expect("text").contains("servicebus"));
    let count = |name: &str, target: &str| {
        let families = registry.gather();
        let family = families.iter().find(|family| family.name().ends_with(name)).expect("a family");
        let metric = family.get_metric().iter().find(|m| m.get_label()[0].value() == target);
        metric.map(|metric| metric.get_counter().get_value())
    };
    assert_eq!((count("writes_total", "good"), count("writes_total", "bad")), (Some(2.0), Some(1.0)));
    assert!(count("errors_total", "bad") >= Some(1.0) && count("errors_total", "good") == Some(0.0));

    // Out of the configuration: the file stays, the metrics go.
    targets.configure(&[hosts("good", &good)], &Surroundings::default()).await;
    assert!(fs::read_to_string(&bad).expect("text").contains("# BEGIN privatelink-dns"));
    assert_eq!((targets.states().len(), count("writes_total", "bad")), (1, None));
    targets.stop().await;
    assert!(targets.states().is_empty());
    assert!(deaths.try_recv().is_err(), "an end that was asked for is none to tell of");
}

#[tokio::test]
async fn a_target_that_stays_keeps_its_state_and_one_that_changes_begins_anew() {
    let home = tempfile::tempdir().expect("a directory");
    let (a, b) = (home.path().join("a"), home.path().join("b"));
    fs::write(&a, "").expect("written");
    fs::write(&b, "").expect("written");
    let (targets, _deaths, _) = targets();
    targets.publish(Arc::new(generation()));
    targets.configure(&[hosts("a", &a), hosts("b", &b)], &Surroundings::default()).await;
    let before = until(&targets, "a", |state| state.applied == Some(1)).await;
    until(&targets, "b", |state| state.applied == Some(1)).await;
    let dry = Target { dry_run: true, ..hosts("b", &home.path().join("c")) };
    fs::write(home.path().join("c"), "").expect("written");
    targets.configure(&[hosts("a", &a), dry], &Surroundings::default()).await;
    let state = until(&targets, "b", |state| state.planned.is_some()).await;
    assert!(state.planned.expect("a plan").contains("would write"));
    assert!(state.applied.is_none() && !state.pending && state.records == 3);
    assert_eq!(fs::read(home.path().join("c")).expect("read"), b"");
    let after = until(&targets, "a", |state| state.applied.is_some()).await;
    assert_eq!(after.last_success, before.last_success);
}

/// On a clock that only moves when nothing else does.
#[tokio::test(start_paused = true)]
async fn news_is_tried_at_once_where_something_keeps_failing() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("hosts");
    let (targets, _deaths, _) = targets();
    targets.configure(&[hosts("a", &path)], &Surroundings::default()).await;
    let first = Arc::new(generation());
    targets.publish(first.clone());
    until(&targets, "a", |state| state.error.is_some()).await;
    // Long enough that the pauses are as long as they get.
    tokio::time::sleep(Duration::from_secs(600)).await;
    fs::write(&path, "").expect("written");
    let news = tokio::time::Instant::now();
    targets.publish(Arc::new(follow(Some(&first), &ROWS[..2], &publication())));
    until(&targets, "a", |state| state.applied == Some(2)).await;
    assert!(news.elapsed() < Duration::from_secs(2), "after {:?}", news.elapsed());
}

#[tokio::test]
async fn the_death_of_a_task_is_told() {
    let (sender, mut deaths) = mpsc::unbounded_channel();
    let obituary = crate::obituary::Obituary::new(&sender, "the task of target a".to_owned());
    drop(sender);
    let task = tokio::spawn(async move {
        let _told_by_the_unwinding = &obituary;
        panic!("a bug");
    });
    assert!(task.await.is_err());
    assert_eq!(deaths.recv().await.as_deref(), Some("the task of target a"));
}
