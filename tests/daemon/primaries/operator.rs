//! Plans, and their application.

use std::collections::BTreeSet;

use super::{Site, set, zone_of};

fn hash(text: &str) -> String {
    text.lines().last().and_then(|line| line.strip_prefix("plan ")).expect("a hash").to_owned()
}

#[tokio::test]
async fn what_was_planned_is_applied_and_nothing_else() {
    let mut site = Site::new("key = \"update-key\"\ndry_run = true").await;
    let hub = site.azure.hub();
    let stranger = format!("stranger.{}", zone_of(&hub));
    site.nsupdate(&format!("update add {stranger} 300 A 10.9.9.9")).await;
    let daemon = site.home.start().await;
    daemon.shows(&site.azure).await;
    let plan = site.home.run(&daemon, &["plan", "--target", "bind"]).await;
    assert_eq!((plan.code, plan.err.as_str()), (Some(2), ""), "{plan:?}");
    assert!(plan.out.contains(&format!("+ {hub} 10 A ")), "{}", plan.out);
    assert!(plan.out.contains("left alone:\n  ns1.") && plan.out.contains(&stranger), "{}", plan.out);
    assert_eq!(site.held(&hub).await, BTreeSet::new(), "a plan changes nothing");
    assert!(!site.home.state().join("ledger-bind.json").exists());
    let stale = hash(&plan.out);

    // The world moves.
    site.nsupdate(&format!("update add {hub} 300 A 10.9.9.8")).await;
    let said = site.home.run(&daemon, &["apply", "--target", "bind", "--plan", &stale]).await;
    assert!(said.code == Some(1) && said.err.contains("make a new plan"), "{said:?}");
    assert_eq!(site.held(&hub).await, set(&[[10, 9, 9, 8]]));
    site.nsupdate(&format!("update delete {hub} A")).await;
    let said = site.home.run(&daemon, &["apply", "--target", "bind", "--plan", &stale]).await;
    assert_eq!(said.code, Some(0), "it is as it was: {said:?}");
    site.follows(&[]).await;
    let plan = site.home.run(&daemon, &["plan", "--target", "bind", "--json"]).await;
    assert_eq!(plan.code, Some(0), "{plan:?}");
    let plan: serde_json::Value = serde_json::from_str(&plan.out).expect("JSON");
    assert_eq!((&plan["changes"], &plan["lines"]), (&false.into(), &serde_json::json!([])));

    // What the daemon writes by itself is nobody else's to write.
    site.target("key = \"update-key\"");
    site.home.write();
    daemon.reload().await;
    crate::support::eventually("the daemon writes", async || {
        let applied = daemon.status().await.targets.first().and_then(|target| target.generation);
        applied.map(|_| ()).ok_or_else(|| "not yet".to_owned())
    })
    .await;
    let said = site.home.run(&daemon, &["apply", "--target", "bind", "--plan", &stale]).await;
    assert!(said.code == Some(1) && said.err.contains("dry_run"), "{said:?}");
    // The ledger knows each record, asked by the daemon or read from the disk.
    for offline in [&[][..], &["--offline"]] {
        let said = site.home.run(&daemon, &[&["explain", &hub][..], offline].concat()).await;
        let line = said.out.lines().find(|line| line.starts_with("bind ") && line.contains(&hub));
        assert!(line.is_some_and(|line| line.contains("written, held")), "{said:?}");
    }
    let said = site.home.run(&daemon, &["plan", "--target", "hosts"]).await;
    assert!(said.code == Some(1) && said.err.contains("no target of type"), "{said:?}");
}
