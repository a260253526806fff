//! Tokens, headers, paging, errors of paths and versions, throttling, the log, stopping.

use super::*;

#[tokio::test]
async fn headers_of_each_service() {
    let bench = Bench::new().await;
    for operation in Operation::ALL.iter().copied().filter(|o| *o != Operation::Token) {
        let request = bench.get(&bench.path(operation));
        let request =
            request.header("x-ms-client-request-id", "mine").header("x-ms-return-client-request-id", "true");
        let response = request.send().await.expect("an answer");
        let headers = response.headers();
        assert_eq!(response.status(), 200, "{operation:?}");
        for name in
            ["x-ms-request-id", "x-ms-correlation-request-id", "x-ms-routing-request-id", "cache-control"]
        {
            assert!(headers.contains_key(name), "{operation:?} {name}");
        }
        assert_eq!(headers["x-ms-client-request-id"], "mine");
        assert_eq!(headers["x-ms-ratelimit-remaining-subscription-global-reads"], "16499");
        let network = matches!(operation, Operation::Endpoint | Operation::Interface | Operation::ZoneGroup);
        assert_eq!(headers.contains_key("x-ms-arm-service-request-id"), network, "{operation:?}");
        assert_eq!(headers.contains_key("x-iot-correlation"), !network, "{operation:?}");
        let tagged =
            [Operation::ApplicationGet, Operation::Endpoint, Operation::Interface].contains(&operation);
        assert_eq!(headers.contains_key("etag"), tagged, "{operation:?}");
    }
    let quiet = bench.get(&bench.path(Operation::Endpoint)).header("x-ms-client-request-id", "mine");
    let quiet = quiet.send().await.expect("an answer");
    assert!(!quiet.headers().contains_key("x-ms-client-request-id"), "only echoed when asked");
}

#[tokio::test]
async fn paths_are_found_in_any_case() {
    let bench = Bench::new().await;
    for operation in Operation::ALL.iter().copied().filter(|o| *o != Operation::Token) {
        let path = bench.path(operation);
        let (resource, query) = path.split_once('?').expect("a query");
        let shouted = format!("{}?{query}", resource.to_ascii_uppercase());
        assert_eq!(bench.json(&shouted).await, bench.json(&path).await, "{operation:?}");
    }
}

#[tokio::test]
async fn errors_of_paths_and_versions() {
    let bench = Bench::new().await;
    let app = bench.app.as_str();
    let code = async |path: &str| {
        let response = bench.get(path).send().await.expect("an answer");
        let status = response.status().as_u16();
        assert_eq!(response.headers()["x-ms-failure-cause"], "gateway");
        let body: Value = response.json().await.expect("JSON");
        let text = |key: &str| body["error"][key].as_str().unwrap_or_default().to_owned();
        (status, text("code"), text("message"))
    };
    let (status, name, message) = code(&format!("{app}-x?{IOT}")).await;
    assert_eq!((status, name.as_str()), (404, "ResourceNotFound"));
    assert_eq!(
        message,
        "The Resource 'Microsoft.IoTCentral/iotApps/contoso-iot-x' under resource group 'rg-iot' was not found. \
         For more details please go to https://aka.ms/ARMResourceNotFoundFix"
    );
    for (path, status, wanted) in [
        (format!("{}?{IOT}", app.replace("rg-iot", "rg-none")), 404, "ResourceGroupNotFound"),
        (format!("{}?{IOT}", app.replace("0000-0000", "0000-0001")), 404, "SubscriptionNotFound"),
        (format!("/x?{IOT}"), 404, "MissingSubscription"),
        (app.to_owned(), 400, "MissingApiVersionParameter"),
        (format!("{app}?api-version=newest"), 400, "InvalidApiVersionParameter"),
        (format!("{app}/privateLinkResources?api-version=2021-06-01"), 400, "NoRegisteredProviderFound"),
    ] {
        let (got, name, _) = code(&path).await;
        assert_eq!((got, name.as_str()), (status, wanted), "{path}");
    }
    let post = bench.client.post(format!("{}{app}?{IOT}", bench.simulator.base_url())).bearer_auth("good");
    assert_eq!(post.send().await.expect("an answer").status(), 405, "nothing can be written");
}

#[tokio::test]
async fn tokens_are_wanted_issued_and_expire() {
    let bench = Bench::new().await;
    let path = bench.path(Operation::ApplicationGet);
    let read = async |token: Option<&str>| {
        let mut request = bench.client.get(format!("{}{path}", bench.simulator.base_url()));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.expect("an answer");
        let (status, challenge) =
            (response.status().as_u16(), response.headers().get("www-authenticate").cloned());
        let body: Value = response.json().await.expect("JSON");
        assert_eq!(status == 401, challenge.is_some_and(|c| c.as_bytes().starts_with(b"Bearer ")));
        (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(read(None).await, (401, "InvalidAuthenticationToken".to_owned()));
    assert_eq!(read(Some("bad")).await, (401, "InvalidAuthenticationToken".to_owned()));

    let secret = bench.world(|world| world.tokens.identity_header.clone());
    let query = bench.path(Operation::Token).split_once('?').expect("a query").1.to_owned();
    let ask = bench.client.get(format!("{}?{query}", bench.simulator.identity_endpoint()));
    let ask = ask.header("metadata", "true").header("x-identity-header", secret);
    let issued: Value = ask.send().await.expect("an answer").json().await.expect("JSON");
    let token = issued["access_token"].as_str().expect("a token");
    assert!(issued["expires_on"].as_str().is_some_and(|seconds| seconds.parse::<i64>().is_ok()));
    assert_eq!(issued["resource"], "https://management.azure.com");
    assert_eq!(read(Some(token)).await.0, 200);
    bench.world(|world| world.tokens.expire_all());
    assert_eq!(read(Some(token)).await, (401, "ExpiredAuthenticationToken".to_owned()));
    assert_eq!(bench.simulator.requests().count(Operation::Token), 1);
    let kept = format!("{:?}", bench.simulator);
    assert!(!kept.contains(token) && !kept.contains("simulated-identity"), "no secret in the log");
}

#[tokio::test]
async fn lists_come_in_pages_that_add_up() {
    let bench = Bench::new().await;
    bench.world(|world| {
        for number in 0..4 {
            let name = format!("app-{number}");
            let group = if number < 2 { "rg-iot" } else { "rg-other" }.to_owned();
            let options = ApplicationOptions { name, resource_group: group, ..ApplicationOptions::default() };
            world.add_application(&options).expect("an application");
        }
        world.page_size = std::num::NonZeroUsize::new(2);
    });
    let walk = async |first: String| {
        let (mut names, mut pages, mut next) = (Vec::new(), 0, Some(first));
        while let Some(url) = next {
            let (status, page) = bench.json(&url).await;
            assert_eq!(status, 200);
            let items = page["value"].as_array().expect("a list").clone();
            assert!(items.len() <= 2);
            names.extend(items.iter().filter_map(|item| item["name"].as_str().map(str::to_owned)));
            next = page["nextLink"].as_str().map(str::to_owned);
            assert!(next.as_ref().is_none_or(|url| url.starts_with(bench.simulator.base_url())));
            pages += 1;
        }
        (pages, names)
    };
    let all = ["app-0", "app-1", "contoso-iot", "app-2", "app-3"].map(str::to_owned).to_vec();
    assert_eq!(walk(bench.path(Operation::ApplicationList)).await, (3, all));
    let subscription = bench.app.subscription();
    let group = format!(
        "/subscriptions/{subscription}/resourcegroups/RG-OTHER/providers/Microsoft.IoTCentral/IoTApps?{IOT}"
    );
    assert_eq!(walk(group).await, (1, ["app-2", "app-3"].map(str::to_owned).to_vec()));
}

#[tokio::test]
async fn literal_payloads_replace_what_is_there() {
    let bench = Bench::new().await;
    let body = r#"{"value":[],"pasted":true}"#;
    let path = format!("{}/PRIVATELINKRESOURCES", bench.app);
    bench.world(|world| world.serve_raw(&path, RawReply::json(body)));
    let response = bench.get(&bench.path(Operation::PrivateLinkResources)).send().await.expect("an answer");
    assert_eq!(response.text().await.expect("text"), body);
}

#[tokio::test]
async fn throttles_as_told() {
    let bench = Bench::new().await;
    bench.world(|world| world.throttle = Some(Throttle::new(2, 1)));
    let path = bench.path(Operation::Endpoint);
    let mut limited = None;
    // A slow machine refills while it asks, so ask until it happens.
    for _ in 0..1000 {
        let response = bench.get(&path).send().await.expect("an answer");
        if response.status() == 429 {
            limited = Some(response);
            break;
        }
    }
    let limited = limited.expect("429");
    assert_eq!(limited.headers()["retry-after"], "1");
    let body: Value = limited.json().await.expect("JSON");
    assert_eq!(body["error"]["code"], "SubscriptionRequestsThrottled");
}

#[tokio::test]
async fn requests_are_logged_and_can_be_waited_for() {
    let bench = Bench::new().await;
    let log = bench.simulator.requests();
    let path = bench.path(Operation::Interface);
    let asked = async {
        let response = bench.get(&path).send().await.expect("an answer");
        response.headers()["x-ms-correlation-request-id"].to_str().expect("text").to_owned()
    };
    let seen = log.wait_for_request(0, |record| record.operation == Some(Operation::Interface));
    let (record, correlation) = tokio::join!(seen, asked);
    assert_eq!(record.correlation_id, correlation);
    assert_eq!((record.method.as_str(), record.status, record.authorized), ("GET", Some(200), true));
    assert_eq!(format!("{}?{}", record.path, record.query), path);
    assert_eq!(format!("http://{}", record.host), bench.simulator.base_url());
    assert_eq!((log.total(), log.all().len(), log.count(Operation::Interface)), (1, 1, 1));
}

#[tokio::test]
async fn stops_although_an_answer_never_ends() {
    let bench = Bench::new().await;
    let address = bench.simulator.address();
    for fault in [Fault::NeverAnswers, Fault::SlowDrip, Fault::EndlessBody] {
        bench.world(|world| world.faults.add(FaultRule::new(fault).times(1)));
    }
    let path = bench.path(Operation::Endpoint);
    let hanging = async || bench.get(&path).send().await?.bytes().await;
    let Bench { simulator, .. } = &bench;
    let world = simulator.world().clone();
    let stop = async {
        world.requests().wait_for_count(Operation::Endpoint, 3).await;
        simulator.stop.cancel();
    };
    let (a, b, c, ()) = tokio::join!(hanging(), hanging(), hanging(), stop);
    assert!(a.is_err() && b.is_err() && c.is_err());
    bench.simulator.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
}
