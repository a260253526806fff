//! The admin listener: who may ask it what.

use crate::support::azure::Azure;
use crate::support::home::Home;

#[tokio::test]
async fn a_web_page_with_a_name_of_its_own_reads_nothing() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let get = async |path: &str, host: &str| {
        let request = http.get(format!("http://{}{path}", daemon.admin)).header("host", host);
        let response = request.send().await.expect("answered");
        (response.status().as_u16(), response.text().await.expect("a body"))
    };
    for path in ["/api/v1/status", "/api/v1/records", "/api/v1/poll"] {
        let (code, body) = get(path, "rebound.example:9853").await;
        assert_eq!(code, 421, "{path}: {body}");
        assert!(body.contains("localhost"), "{body}");
    }
    for host in ["localhost", "127.0.0.1:9853", "[::1]"] {
        assert_eq!(get("/api/v1/records", host).await.0, 200, "{host}");
    }
    for path in ["/metrics", "/livez", "/readyz"] {
        assert_eq!(get(path, "monitored.example:9853").await.0, 200, "{path}");
    }
}
