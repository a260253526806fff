//! The README's chapter on secondaries: its keys, its configuration and its commands, as they stand.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use privatelink_dns::wire::tsig::Keys;
use tokio::process::Command;

use crate::readme::README;
use crate::recipes::{a_port, recipe};
use crate::support::azure::Azure;
use crate::support::home::{BINARY, Home, said};

const HEADING: &str = "Secondaries";

#[tokio::test]
async fn its_commands_work_on_its_configuration() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().display();
    for path in ["bin", "etc/privatelink-dns"] {
        fs::create_dir_all(directory.path().join(path)).expect("a directory");
    }
    for (name, text) in [
        ("id", "exit 1".to_owned()),
        ("useradd", "exit 0".to_owned()),
        ("chgrp", "exit 0".to_owned()),
        ("privatelink-dns", format!("exec {BINARY} \"$@\"")),
    ] {
        let path = directory.path().join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
    }
    let mut shell = Command::new("sh");
    let script = recipe(HEADING, "tsig generate").replace("/etc/", &format!("{root}/etc/"));
    shell.args(["-euc", &script]);
    shell.env("PATH", format!("{root}/bin:{}", std::env::var("PATH").unwrap_or_default()));
    let made = said(shell).await;
    assert_eq!((made.code, made.err.as_str()), (Some(0), ""));
    let keys = directory.path().join("etc/privatelink-dns/keys.conf");
    assert_eq!(fs::metadata(&keys).expect("keys").permissions().mode() & 0o777, 0o640);
    assert_eq!(Keys::read(&[keys]).expect("keys").iter().count(), 2);

    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    home.settings.listen = vec![format!("127.0.0.1:{}", a_port())];
    // Nobody is at these addresses.
    home.settings.transfer = recipe(HEADING, "[transfer]")
        .replace("/etc/", &format!("{root}/etc/"))
        .replace("10.0.0.", "127.0.0.");
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let chapter = README.split_once("\n### Secondaries\n").expect("the chapter").1;
    let chapter = chapter.split("\n## ").next().expect("its end");
    let commands: Vec<&str> =
        chapter.split('`').filter_map(|span| span.strip_prefix("privatelink-dns recipe ")).collect();
    assert!(commands.len() >= 8, "{commands:?}");
    for command in commands {
        let mut arguments = vec!["recipe"];
        arguments.extend(command.split_whitespace());
        // Windows DNS knows no other port; the others take that of the configuration.
        if command.starts_with("windows") {
            arguments.extend(["--primary", "127.0.0.1:53"]);
        }
        let printed = home.run(&daemon, &arguments).await;
        assert_eq!((printed.code, printed.err.as_str()), (Some(0), ""), "{command}");
        assert!(printed.out.contains("primary at 127.0.0.1:"), "{}", printed.out);
    }
}
