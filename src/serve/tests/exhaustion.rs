//! No file descriptors left: accepting waits instead of burning a core, and goes on afterwards.
//!
//! The server runs in a child process with a limit of its own, so that nothing else in this one
//! fails.

use std::io::{BufRead, Write};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{ChildStdout, Command};

use super::build::*;
use super::server::*;
use crate::config::Dns;

/// What the child's lines start with, among those of the test harness.
const MARK: &str = "child: ";

#[tokio::test]
#[ignore = "is the child process of the test below"]
async fn child() {
    let dns = Dns { tcp_connections: 10_000, tcp_connections_per_client: 10_000, ..dns(&["127.0.0.1:0"]) };
    let server = Server::start(&dns);
    println!("{MARK}{}", server.address());
    let counters = server.counters.clone();
    let answering = tokio::task::spawn_blocking(move || {
        // Says how many calls failed so far whenever it is asked; ends with its input.
        for _ in std::io::stdin().lock().lines() {
            println!("{MARK}{}", counters.socket_errors.get());
            std::io::stdout().flush().expect("flushed");
        }
    });
    answering.await.expect("input");
    server.stop().await;
}

async fn line(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    loop {
        let line = within(lines.next_line()).await.expect("output").expect("a line");
        // The harness writes the test's name in front of the first one.
        if let Some((_, text)) = line.split_once(MARK) {
            return text.to_owned();
        }
    }
}

#[tokio::test]
async fn accepting_waits_and_goes_on() {
    let mut child = Command::new("sh")
        .args([
            "-c",
            "ulimit -n 40 && exec \"$0\" --exact serve::tests::exhaustion::child --ignored --nocapture",
        ])
        .arg(std::env::current_exe().expect("this binary"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("a child");
    let mut input = child.stdin.take().expect("its input");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let address = line(&mut lines).await.parse().expect("an address");
    let errors = async |input: &mut tokio::process::ChildStdin, lines: &mut _| -> u64 {
        input.write_all(b"\n").await.expect("asked");
        line(lines).await.parse().expect("a number")
    };

    let mut hoard = Vec::new();
    for _ in 0..60 {
        hoard.push(connect("127.0.0.1", address).await);
    }
    let mut before = errors(&mut input, &mut lines).await;
    while before == 0 {
        before = errors(&mut input, &mut lines).await;
    }
    // UDP goes on meanwhile, and `accept` is tried ten times a second, not all the time: within a
    // thousand queries a loop without a pause would fail many thousand times.
    let client = client("127.0.0.1").await;
    for _ in 0..1000 {
        ask(&client, address, &query("iotc-1.azure-devices.net", A)).await;
    }
    let failed = errors(&mut input, &mut lines).await - before;
    assert!(failed < 300, "{failed} failed calls within a thousand queries");

    drop(hoard);
    let mut stream: TcpStream = connect("127.0.0.1", address).await;
    let response = ask_over(&mut stream, &query("iotc-1.azure-devices.net", A)).await;
    assert!(response.is_some(), "it has recovered");
    drop((stream, input));
    assert!(within(child.wait()).await.expect("the child").success());
}
