//! What happens, told as server-sent events.

use rustix::process::Signal;
use tokio::time::timeout;

use crate::support::azure::Azure;
use crate::support::home::Home;
use crate::support::{DEADLINE, eventually};

#[tokio::test]
async fn changes_are_told_as_events() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("http://{}/api/v1/events", daemon.admin);
    let mut stream = http.get(&url).send().await.expect("answered");
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let before = daemon.status().await.generation.expect("a generation").number;
    azure.scale_out();
    let mut text = String::new();
    let expected = format!("\"generation\":{},", before + 1);
    timeout(DEADLINE, async {
        while !text.contains(&expected) {
            text.push_str(
                std::str::from_utf8(&stream.chunk().await.expect("it goes on").expect("a piece"))
                    .expect("text"),
            );
        }
    })
    .await
    .expect("an event of the new generation");
    assert!(text.starts_with("retry: 1000\nevent: change\ndata: {\"at\":"), "{text}");

    // Fifteen more, and no other; the listener answers all the same.
    let mut others = Vec::new();
    for _ in 1..16 {
        let other = http.get(&url).send().await.expect("answered");
        assert_eq!(other.status().as_u16(), 200);
        others.push(other);
    }
    assert_eq!(daemon.get("/api/v1/events").await.0, 503);
    assert_eq!(daemon.get("/livez").await.0, 200);
    drop(others);
    eventually("a free stream", async || {
        let again = http.get(&url).send().await.expect("answered").status().as_u16();
        if again == 200 { Ok(()) } else { Err(again.to_string()) }
    })
    .await;

    // The end of the daemon is an end of the stream, not a broken connection.
    let end = tokio::spawn(async move {
        while stream.chunk().await?.is_some() {}
        Ok::<_, reqwest::Error>(())
    });
    assert!(daemon.end(Signal::TERM).await.0.success());
    end.await.expect("no panic").expect("a clean end");
}
