//! The way of somebody new: the demo, a first configuration, its check against Azure, the daemon, a
//! query. The demo's own Azure stands for the real one.

use std::process::Stdio;

use rustix::process::Signal;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::demo::Demo;
use crate::support::daemon::Daemon;
use crate::support::home::{BINARY, Said, said};

const APPLICATION: &str =
    "/subscriptions/s/resourceGroups/rg/providers/Microsoft.IoTCentral/iotApps/contoso-iot";

#[tokio::test]
async fn from_the_demo_to_a_daemon_that_answers() {
    let mut demo = Demo::start(&[]);
    demo.until("all 6 names are answered").await;
    let arm = demo.word("simulated Azure Resource Manager");
    let name = demo.word("  dig @127.0.0.1 -p").split_whitespace().last().expect("a name").to_owned();
    let shown = std::fs::read_to_string(demo.file()).expect("the demo's configuration");
    let application = shown.lines().find_map(|line| line.strip_prefix("id = ")).expect("an application");

    // The real Azure needs neither these variables nor another cloud.
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("config.toml");
    let command = |arguments: &[&str]| {
        let mut command = Command::new(BINARY);
        command.args(arguments).stdin(Stdio::null());
        command
            .env("IDENTITY_ENDPOINT", format!("{arm}/msi/token"))
            .env("IDENTITY_HEADER", "simulated-identity");
        for (key, value) in [
            ("AZURE__CLOUD", "custom"),
            ("AZURE__RESOURCE_MANAGER", arm.as_str()),
            ("AZURE__AUTHORITY", "https://login.microsoftonline.com"),
            ("AZURE__AUDIENCE", "https://management.azure.com"),
            ("ADMIN__LISTEN", "127.0.0.1:0"),
            ("STATE__DIRECTORY", directory.path().join("state").to_str().expect("text")),
            ("LOG__FORMAT", "json"),
        ] {
            command.env(format!("PRIVATELINK_DNS__{key}"), value);
        }
        command
    };
    let path = file.to_str().expect("text");
    let init = said(command(&[
        "init",
        "--yes",
        "--application",
        application.trim_matches('"'),
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        "127.0.0.1:1",
        "--output",
        path,
    ]))
    .await;
    assert_eq!(init.code, Some(0), "{init:?}");
    for next in [format!("check-config --online {path}\n"), format!("privatelink-dns run --config {path}\n")]
    {
        assert!(init.out.contains(&next), "{next}: {}", init.out);
    }
    let check = said(command(&["check-config", "--online", path])).await;
    assert_eq!(check.code, Some(0), "{check:?}");
    let daemon = Daemon::start(command(&["run", "--config", path])).await;
    let privatelink = crate::support::eventually(&name, async || match daemon.ask(&name).await {
        Some(answer) if !answer.addresses.is_empty() => Ok(answer.addresses),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert!(privatelink.iter().all(std::net::Ipv4Addr::is_private));
    daemon.end(Signal::TERM).await;
    demo.interrupt(Signal::INT);
    assert!(demo.ended().await.success());
}

/// Runs `init` with answers on its standard input.
async fn init(arguments: &[&str], answers: &str) -> Said {
    let mut command = Command::new(BINARY);
    command.arg("init").args(arguments).env_clear().kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut input = child.stdin.take().expect("a pipe");
    // One that ends early does not read all.
    let _ = input.write_all(answers.as_bytes()).await;
    drop(input);
    let output = tokio::time::timeout(crate::support::DEADLINE, child.wait_with_output()).await;
    let output = output.expect("it ends").expect("it runs");
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

#[tokio::test]
async fn what_is_answered_is_written_checked_and_never_written_over() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("config.toml");
    let output = ["--output", file.to_str().expect("text")];
    let application = APPLICATION.replace("/s/", "/00000000-0000-0000-0000-000000000001/");

    // A file of a credential that is not there is an error of the file, as with check-config.
    let answers = format!(
        "{application}\n\n\nclient-secret\ncontoso.example\n00000000-0000-0000-0000-000000000002\n/nonexistent/secret\n\n\n\n"
    );
    let wrong = init(&output, &answers).await;
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!(wrong.err.contains("config.toml:") && wrong.err.contains("/nonexistent/secret"), "{}", wrong.err);
    assert!(!file.exists());

    let early = init(&output, "").await;
    assert!(early.code == Some(1) && early.err.contains("nothing was written"), "{early:?}");
    assert!(!file.exists());

    let answers = format!("{application}\n\n\n\n\nhidden-primary\n10.0.0.5\n10.0.0.53\n\n");
    let written = init(&output, &answers).await;
    assert_eq!(written.code, Some(0), "{written:?}");
    assert!(
        written.err.contains("What the daemon is for") && !written.out.contains("What the daemon is for")
    );
    assert!(written.out.contains("recipe bind-secondary --secondary ns1 --config "), "{}", written.out);
    let mut check = Command::new(BINARY);
    check.arg("check-config").arg(&file);
    assert_eq!(said(check).await.code, Some(0));
    let mut recipe = Command::new(BINARY);
    recipe.args(["recipe", "bind-secondary", "--config"]).arg(&file);
    assert_eq!(said(recipe).await.code, Some(0));

    let text = std::fs::read_to_string(&file).expect("a file");
    let again = init(&output, &answers).await;
    assert!(again.code == Some(1) && again.err.contains("is a configuration already"), "{again:?}");
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), text);
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 1);
}
