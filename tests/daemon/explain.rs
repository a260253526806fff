//! `explain`, `history` and `diff`, from the daemon and from what it has stored.

use privatelink_dns::admin::History;
use privatelink_dns::admin::explain::Explanation;
use privatelink_dns::zones::DnsName;
use privatelink_dns::zones::timeline::Between;

use crate::support::azure::{Azure, public};
use crate::support::eventually;
use crate::support::home::Home;

#[tokio::test]
async fn a_name_is_explained_from_its_beginning_to_its_end() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    let hosts = home.path("hosts");
    std::fs::write(&hosts, "").expect("written");
    // Nobody listens at the secondary.
    home.settings.transfer = format!(
        "[[target]]\nname = 'hosts'\ntype = 'hosts'\npath = {hosts:?}\n\
         [[secondary]]\nname = \"ns1\"\naddress = \"127.0.0.1:9\"\ntransfer_by = \"address\""
    );
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let hub = azure.scale_out();
    daemon.shows(&azure).await;
    let name = public(&hub);
    let label = name.split('.').next().expect("a label");
    let told: Explanation = eventually("the target has it", async || {
        let said = home.run(&daemon, &["explain", &name, "--json"]).await;
        assert_eq!(said.code, Some(0), "{said:?}");
        let told: Explanation = serde_json::from_str(&said.out).expect("an explanation");
        if told.targets.iter().all(|target| target.current == Some(true)) { Ok(told) } else { Err(said.out) }
    })
    .await;
    let record = &told.records[0].record;
    assert_eq!((&record.endpoint, &record.application), (&azure.endpoint, &azure.application));
    assert_eq!((record.member.as_deref(), record.interface.is_some()), (Some(label), true));
    assert_eq!(told.zones[0].owner.as_str(), hub);
    assert!(told.live && told.targets[0].name == "hosts" && told.targets[0].kind.as_deref() == Some("hosts"));
    assert_eq!((told.secondaries[0].name.as_str(), told.secondaries[0].zones.len()), ("ns1", 1));
    assert!(!told.secondaries[0].zones[0].current);
    let [came] = &told.changes[..] else { panic!("{:?}", told.changes) };
    assert!(came.old.is_empty() && came.cause.contains("poll of contoso-iot"), "{came:?}");
    let address = came.new.first().expect("an address").to_string();

    // The same in words, by each name, and of the stored state.
    for asked in [&[&*name][..], &[&*hub], &[label], &[&*name, "--offline"], &[label, "--offline"]] {
        let said = home.run(&daemon, &[&["explain"][..], asked].concat()).await;
        assert_eq!(said.code, Some(0), "{asked:?} {said:?}");
        let is_stored = asked.contains(&"--offline");
        let first = format!("{name}: published{}\n", if is_stored { ", as it was stored last" } else { "" });
        assert!(said.out.starts_with(&first), "{}", said.out);
        let nothing = format!("nothing -> {address}");
        for text in [&*address, &nothing, azure.endpoint.as_str(), label, "the network interface", &hub] {
            assert!(said.out.contains(text), "no {text:?} in {}", said.out);
        }
        assert_eq!(said.out.contains("has its last change"), !is_stored, "{}", said.out);
    }

    azure.scale_in(&hub);
    daemon.shows(&azure).await;
    let gone = home.run(&daemon, &["explain", label]).await;
    assert_eq!(gone.code, Some(2), "{gone:?}");
    assert!(gone.out.starts_with(&format!("{name}: not published\nremoved: It was removed in generation ")));
    daemon.kill().await;
    let mut stored = home.environment(crate::support::home::BINARY);
    stored.args(["explain", label, "--offline", "--config"]).arg(home.config());
    let stored = crate::support::home::said(stored).await;
    assert_eq!((stored.code, stored.out.contains("removed: ")), (Some(2), true), "{stored:?}");
}

#[tokio::test]
async fn history_and_differences_count_names() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let hub = azure.scale_out();
    daemon.shows(&azure).await;
    for offline in [&[][..], &["--offline"]] {
        let run = async |arguments: &[&str]| home.run(&daemon, &[arguments, offline].concat()).await;
        let said = run(&["history", "--json"]).await;
        let history: History = serde_json::from_str(&said.out).expect("a history");
        let (first, last) = (history.entries.last().expect("one"), history.entries.first().expect("one"));
        assert_eq!((history.oldest, Some(last.number)), (Some(0), history.generation));
        // The hub and its Event Hubs; and all six at once.
        assert_eq!((last.names.len(), first.names.len(), first.zones.len()), (2, 6, 4));
        assert_eq!(run(&["history", "--limit", "1"]).await.out.lines().count(), 2);
        let text = run(&["history"]).await.out;
        assert!(text.contains("poll of contoso-iot") && text.contains("privatelink.azure-devices.net +1 -0"));

        let (from, to) = (first.number.to_string(), last.number.to_string());
        let said = run(&["diff", &from, &to, "--json"]).await;
        let between: Between = serde_json::from_str(&said.out).expect("a difference");
        assert!(between.names.iter().any(|change| change.name.as_str() == public(&hub)), "{between:?}");
        let came = run(&["diff", &from, &to]).await.out;
        assert!(came.lines().any(|line| line.starts_with(&format!("+ {} ", public(&hub)))), "{came}");
        let went = run(&["diff", &to, &from]).await.out;
        assert!(went.lines().any(|line| line.starts_with(&format!("- {} ", public(&hub)))), "{went}");
        assert_eq!(run(&["diff", &to, &to]).await.out, "no difference\n");
        let future = run(&["diff", &from, "99"]).await;
        let latest = format!("there is no generation 99 yet; the latest is {to}");
        assert!(future.code == Some(1) && future.err.contains(&latest), "{future:?}");
    }
}

#[tokio::test]
async fn questions_that_are_none_are_answered_as_json() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    for (path, code, text) in [
        ("/api/v1/explain/a%20b", 400, "no host name"),
        ("/api/v1/explain/%ff", 400, "UTF-8"),
        ("/api/v1/explain/..", 404, ""),
        ("/api/v1/diff", 400, "from=NUMBER"),
        ("/api/v1/diff?from=1", 400, "from=NUMBER"),
        ("/api/v1/diff?from=1&to=99", 404, "the latest is"),
        ("/api/v1/history?limit=many", 400, "limit"),
    ] {
        let (status, body) = daemon.get(path).await;
        assert_eq!(status, code, "{path}: {body}");
        if !text.is_empty() {
            let error: serde_json::Value = serde_json::from_str(&body).expect("JSON");
            assert!(error["error"].as_str().is_some_and(|error| error.contains(text)), "{path}: {body}");
        }
    }
    let (status, body) = daemon.get("/api/v1/explain/%2A.azure-devices.net").await;
    assert!(status == 200 && body.contains("\"wildcard\""), "{body}");
    let (_, body) = daemon.get("/api/v1/history?limit=1").await;
    let history: History = serde_json::from_str(&body).expect("a history");
    let names: Vec<&DnsName> = history.entries[0].names.iter().map(|change| &change.name).collect();
    assert!(!names.is_empty() && history.entries.len() == 1, "{names:?}");
}
