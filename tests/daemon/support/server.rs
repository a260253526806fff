//! Other people's DNS servers, started with a configuration.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::dns::{Dig, dig};
use super::{eventually, program};

/// A running server; killed when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    directory: TempDir,
    child: Child,
    name: String,
    arguments: Vec<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", log(self.directory.path()));
        }
    }
}

impl Server {
    /// BIND with these statements.
    pub(crate) async fn named(address: SocketAddr, configuration: impl FnOnce(&Path) -> String) -> Self {
        Self::start("named", &["-g", "-n", "1", "-c"], address, configuration).await
    }

    pub(crate) async fn unbound(address: SocketAddr, configuration: impl FnOnce(&Path) -> String) -> Self {
        Self::start("unbound", &["-d", "-c"], address, configuration).await
    }

    pub(crate) async fn dnsmasq(address: SocketAddr, configuration: impl FnOnce(&Path) -> String) -> Self {
        Self::start("dnsmasq", &["-k", "-C"], address, configuration).await
    }

    pub(crate) async fn knotd(address: SocketAddr, configuration: impl FnOnce(&Path) -> String) -> Self {
        Self::start("knotd", &["-c"], address, configuration).await
    }

    pub(crate) async fn nsd(address: SocketAddr, configuration: impl FnOnce(&Path) -> String) -> Self {
        Self::start("nsd", &["-d", "-c"], address, configuration).await
    }

    /// PowerDNS, which looks for `pdns.conf` in its directory.
    pub(crate) async fn pdns(address: SocketAddr, configuration: impl FnOnce(&Path) -> String) -> Self {
        Self::start("pdns_server", &["--config-dir=."], address, configuration).await
    }

    /// Starts a server; returns when it answers.
    pub(crate) async fn start(
        name: &str,
        arguments: &[&str],
        address: SocketAddr,
        configuration: impl FnOnce(&Path) -> String,
    ) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        // A copy: where AppArmor confines servers, it knows them by their path and keeps them out of
        // this directory. Made by another process: a program that is open for writing here, and so in
        // whatever another test is just starting, cannot be run.
        let copy = directory.path().join(name);
        let copied = Command::new("cp").arg(program(name)).arg(&copy).status().await.expect("cp runs");
        assert!(copied.success());
        let file = directory.path().join("configuration");
        fs::write(&file, configuration(directory.path())).expect("written");
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let child = Self::launch(&directory, name, &arguments, address).await;
        Self { address, directory, child, name: name.to_owned(), arguments }
    }

    /// Kills it as a power cut would, and starts it again with what it has on the disk.
    pub(crate) async fn crash(&mut self) {
        self.child.kill().await.expect("it is killed");
        self.child = Self::launch(&self.directory, &self.name, &self.arguments, self.address).await;
    }

    async fn launch(directory: &TempDir, name: &str, arguments: &Vec<String>, address: SocketAddr) -> Child {
        let log_file = fs::OpenOptions::new().create(true).append(true).open(directory.path().join("log"));
        let log_file = log_file.expect("a log");
        let mut command = Command::new(directory.path().join(name));
        command.args(arguments).kill_on_drop(true).stdin(Stdio::null()).current_dir(directory.path());
        // Those whose last option is not followed by a value find the file themselves.
        if !arguments.last().is_some_and(|last| last.contains('=')) {
            command.arg(directory.path().join("configuration"));
        }
        command.stdout(log_file.try_clone().expect("a log")).stderr(log_file);
        let mut child = command.spawn().expect("the server starts");
        eventually("the server answers", async || {
            if let Some(status) = child.try_wait().expect("a status") {
                panic!("{name} ended with {status}:\n{}", log(directory.path()));
            }
            let answer = dig(address, "ready.invalid", "A").await;
            if answer.status.is_empty() { Err(log(directory.path())) } else { Ok(()) }
        })
        .await;
        child
    }

    /// What it has written down so far.
    pub(crate) fn log(&self) -> String {
        log(self.directory.path())
    }

    /// Where it lives.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Ends it; its address is free afterwards.
    pub(crate) async fn stop(mut self) {
        self.child.kill().await.expect("it is killed");
    }

    /// Asks until there is an answer that is no failure: a server under load may need two attempts.
    pub(crate) async fn ask(&self, name: &str, kind: &str) -> Dig {
        eventually(&format!("an answer for {name} {kind}"), async || {
            let answer = dig(self.address, name, kind).await;
            if matches!(answer.status.as_str(), "" | "SERVFAIL") {
                Err(format!("{answer:?}"))
            } else {
                Ok(answer)
            }
        })
        .await
    }
}

fn log(directory: &Path) -> String {
    fs::read_to_string(directory.join("log")).unwrap_or_default()
}
