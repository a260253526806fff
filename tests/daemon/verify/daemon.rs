//! The daemon does it by itself.

use privatelink_dns::zones::FindingKind;

use super::close_public_access;
use crate::support::azure::{Azure, public};
use crate::support::daemon::Daemon;
use crate::support::eventually;
use crate::support::home::Home;
use crate::support::public::PublicDns;

/// A resolver that knows all names rightly.
async fn resolver(azure: &Azure) -> PublicDns {
    let resolver = PublicDns::start().await;
    for (private, addresses) in azure.names() {
        resolver.alias(&public(&private), &private);
        resolver.host(&private, addresses.first().expect("an address").octets());
    }
    resolver
}

#[tokio::test]
async fn what_is_wrong_is_a_finding_a_metric_and_in_the_status_until_it_is_right() {
    let azure = Azure::start().await;
    close_public_access(&azure);
    let resolver = resolver(&azure).await;
    let mut home = Home::new(&azure);
    home.settings.listen = vec![format!("127.0.0.1:{}", crate::recipes::a_port())];
    home.settings.transfer = format!(
        "[verify]\nenabled = true\ninterval = \"1s\"\nconnect = false\nresolvers = [\"daemon\", \"{}\"]",
        resolver.address
    );
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let names = |resolver: &str, result: &str| {
        format!("privatelink_dns_verify_names{{resolver=\"{resolver}\",result=\"{result}\"}}")
    };
    let elsewhere = resolver.address.to_string();
    eventually("a run", async || {
        let right = [
            daemon.metric(&names("daemon", "right")).await,
            daemon.metric(&names(&elsewhere, "right")).await,
        ];
        if right == [6.0, 6.0] { Ok(()) } else { Err(format!("{right:?}")) }
    })
    .await;
    daemon.no_finding(FindingKind::VerifyFailing).await;
    let last = daemon.status().await.verify.expect("a run");
    assert!(last.problems.is_empty() && last.servers.len() == 2, "{last:?}");

    let hub = azure.hub();
    resolver.host(&hub, [10, 9, 9, 9]);
    let message = daemon.finding(FindingKind::VerifyFailing).await;
    assert!(message.contains(&public(&hub)) && message.contains("10.9.9.9"), "{message}");
    let problems = daemon.status().await.verify.expect("a run").problems;
    assert_eq!((problems.len(), problems[0].check.as_str()), (1, "wrong-address"), "{problems:?}");
    assert_eq!(daemon.metric("privatelink_dns_verify_problems{check=\"wrong-address\"}").await, 1.0);
    assert_eq!(daemon.metric(&names(&elsewhere, "wrong")).await, 1.0);
    assert!(daemon.metric("privatelink_dns_verify_last_run_timestamp_seconds").await > 1e9);

    resolver.host(&hub, azure.names()[&hub].first().expect("an address").octets());
    daemon.no_finding(FindingKind::VerifyFailing).await;
    assert_eq!(daemon.metric("privatelink_dns_verify_problems{check=\"wrong-address\"}").await, 0.0);

    // Switched off, it knows nothing any more, and asks nobody.
    home.settings.transfer = String::new();
    home.write();
    daemon.reload().await;
    assert!(daemon.status().await.verify.is_none());
    assert_eq!(daemon.metric(&names(&elsewhere, "right")).await, 0.0);
    let asked = resolver.asked();
    daemon.polled(1).await;
    assert_eq!(resolver.asked(), asked);
}

fn arrived(resolver: &str) -> String {
    format!("privatelink_dns_propagation_duration_seconds_count{{to=\"resolver:{resolver}\"}}")
}

/// A daemon with its own runs, of which one has ended.
async fn verifying(home: &mut Home, azure: &Azure, interval: &str, resolvers: &str) -> Daemon {
    home.settings.listen = vec![format!("127.0.0.1:{}", crate::recipes::a_port())];
    home.settings.transfer = format!(
        "[verify]\nenabled = true\ninterval = \"{interval}\"\nconnect = false\nresolvers = [{resolvers}]"
    );
    let daemon = home.start().await;
    daemon.shows(azure).await;
    eventually("a run", async || {
        let verify = daemon.status().await.verify;
        if verify.is_some() { Ok(()) } else { Err("none".to_owned()) }
    })
    .await;
    daemon
}

#[tokio::test]
async fn a_change_is_looked_for_soon_and_not_at_the_next_run() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    let daemon = verifying(&mut home, &azure, "1h", "\"daemon\"").await;
    azure.scale_out();
    daemon.shows(&azure).await;
    eventually("it has arrived", async || match daemon.metric(&arrived("daemon")).await {
        1.0 => Ok(()),
        count => Err(count.to_string()),
    })
    .await;
}

#[tokio::test]
async fn a_change_has_arrived_at_a_resolver_when_it_knows_every_name() {
    let azure = Azure::start().await;
    let other = resolver(&azure).await;
    let address = other.address.to_string();
    let mut home = Home::new(&azure);
    let daemon = verifying(&mut home, &azure, "1s", &format!("\"daemon\", \"{address}\"")).await;
    azure.scale_out();
    daemon.shows(&azure).await;
    eventually("it has arrived here", async || match daemon.metric(&arrived("daemon")).await {
        1.0 => Ok(()),
        count => Err(count.to_string()),
    })
    .await;
    assert_eq!(daemon.metric(&arrived(&address)).await, 0.0);
    for (private, addresses) in azure.names() {
        other.alias(&public(&private), &private);
        other.host(&private, addresses.first().expect("an address").octets());
    }
    eventually("it has arrived there", async || match daemon.metric(&arrived(&address)).await {
        1.0 => Ok(()),
        count => Err(count.to_string()),
    })
    .await;
}
