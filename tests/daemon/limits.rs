//! The limit of open files: raised where that is allowed, kept to where it is not.

use std::fs;

use tokio::process::Command;

use crate::support::azure::Azure;
use crate::support::daemon::Daemon;
use crate::support::home::{BINARY, Home};

/// The daemon's command line under limits that a shell sets.
fn limited(home: &Home, limits: &str) -> Command {
    home.write();
    let mut shell = home.environment("sh");
    shell.args(["-c", &format!("{limits} && exec \"$0\" run --config \"$1\""), BINARY]).arg(home.config());
    shell
}

/// The soft and the hard limit.
fn limits(daemon: &Daemon) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{}/limits", daemon.id())).expect("limits");
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files")).expect("a line");
    line.split_whitespace().take(2).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_limit_of_open_files_is_raised_or_kept_to() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    let warned = |daemon: &Daemon| daemon.log().into_iter().find(|line| line["configured"] == 1024);

    let daemon = Daemon::start(limited(&home, "ulimit -Sn 300 && ulimit -Hn 2000")).await;
    assert_eq!(limits(&daemon), ["2000", "2000"]);
    assert!(warned(&daemon).is_none());
    daemon.kill().await;

    let daemon = Daemon::start(limited(&home, "ulimit -n 300")).await;
    let line = warned(&daemon).expect("a warning");
    assert_eq!((line["level"].as_str(), line["allowed"].as_u64()), (Some("WARN"), Some(172)));
    daemon.shows(&azure).await;
}
