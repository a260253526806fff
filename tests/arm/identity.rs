//! A managed identity for each simulator of a test.
//!
//! Microsoft's library finds the managed identity through environment variables, which a running
//! process cannot set safely. So each test runs again in a process of its own, whose
//! `IDENTITY_ENDPOINT` is a switchboard in the first one: it connects every token request to the
//! simulator that the asked audience names. The bytes pass unseen, so what a simulator does to its
//! token answers reaches the client as it is.

use std::any::type_name;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use reqwest::Url;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::runtime::Builder;
use tokio::time::timeout;

/// Set in the second process.
const INSIDE: &str = "PRIVATELINK_DNS_TEST_INSIDE";

/// Longer than any test takes; a hanging one fails with its name.
const LIMIT: Duration = Duration::from_secs(150);

/// Runs the test, a closure written inside its function, with a managed identity.
pub(super) fn with_identity<F: AsyncFnOnce()>(test: F) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    if std::env::var_os(INSIDE).is_some() {
        runtime.block_on(async { timeout(LIMIT, test()).await.expect("the test ends in time") });
    } else {
        runtime.block_on(again(type_name::<F>()));
    }
}

async fn again(closure: &str) {
    let name = closure.trim_end_matches("::{{closure}}").split_once("::").expect("a path").1;
    let switchboard = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = switchboard.local_addr().expect("an address");
    let serving = tokio::spawn(async move {
        loop {
            let (client, _) = switchboard.accept().await.expect("a connection");
            tokio::spawn(connect(client));
        }
    });
    let output = Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .env("IDENTITY_ENDPOINT", format!("http://{address}/msi/token"))
        .env("IDENTITY_HEADER", "simulated-identity")
        .env_remove("IMDS_ENDPOINT")
        // The panic of a case says what is wrong; its way through tokio does not.
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("a process");
    serving.abort();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{errors}");
}

/// Connects a token request to the simulator that its `resource` names; without one it is refused.
async fn connect(mut client: TcpStream) -> Option<()> {
    let mut head = Vec::new();
    while !head.contains(&b'\n') {
        let read = client.read_buf(&mut head).await.ok()?;
        if read == 0 || head.len() > 8192 {
            return None;
        }
    }
    let line = String::from_utf8_lossy(&head);
    let target = line.split(' ').nth(1)?;
    let url = Url::parse("http://switchboard").and_then(|base| base.join(target)).ok()?;
    let (_, resource) = url.query_pairs().find(|(name, _)| name == "resource")?;
    let simulator: SocketAddr = resource.strip_prefix("http://")?.trim_end_matches('/').parse().ok()?;
    let mut server = TcpStream::connect(simulator).await.ok()?;
    server.write_all(&head).await.ok()?;
    copy_bidirectional(&mut client, &mut server).await.ok()?;
    Some(())
}
