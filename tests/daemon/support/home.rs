//! Where a daemon lives: its configuration, its state directory and its environment.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use privatelink_dns::zones::ResourceId;
use tempfile::TempDir;
use tokio::process::Command;

use super::azure::Azure;
use super::daemon::Daemon;

/// The configuration, in the parts that tests change; the texts are TOML.
pub(crate) struct Settings {
    pub(crate) arm: String,
    pub(crate) poll_interval: &'static str,
    pub(crate) request_timeout: &'static str,
    pub(crate) applications: Vec<ResourceId>,
    /// What every application says of its endpoints.
    pub(crate) endpoints: String,
    /// Sections `[[discovery]]`.
    pub(crate) discoveries: &'static str,
    pub(crate) listen: Vec<String>,
    pub(crate) guard: &'static str,
    pub(crate) publish: &'static str,
    pub(crate) dns: &'static str,
    /// The whole section.
    pub(crate) resolver: String,
    /// Sections `[transfer]` and `[[secondary]]`.
    pub(crate) transfer: String,
}

/// A directory for one daemon after the other; removed when dropped.
pub(crate) struct Home {
    directory: TempDir,
    identity: [String; 2],
    pub(crate) settings: Settings,
}

impl Home {
    /// Polls every second and believes a removal after two polls, a large one after four.
    pub(crate) fn new(azure: &Azure) -> Self {
        let header = azure.simulator.world().with(|world| world.tokens.identity_header.clone());
        Self {
            directory: tempfile::tempdir().expect("a directory"),
            identity: [azure.simulator.identity_endpoint(), header],
            settings: Settings {
                arm: azure.simulator.base_url().to_owned(),
                poll_interval: "1s",
                request_timeout: "2s",
                applications: vec![azure.application.clone()],
                endpoints: String::new(),
                discoveries: "",
                listen: vec!["127.0.0.1:0".to_owned()],
                guard: "removal_polls = 2\nremoval_period = \"0s\"\nbulk_polls = 4\nbulk_period = \"0s\"",
                publish: "",
                dns: "",
                resolver: String::new(),
                transfer: String::new(),
            },
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file that only its owner can read.
    pub(crate) fn secret(&self, path: &Path, text: &str) {
        fs::write(path, text).expect("written");
        fs::set_permissions(path, Permissions::from_mode(0o600)).expect("permissions");
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("config.toml")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Writes the configuration.
    pub(crate) fn write(&self) {
        let settings = &self.settings;
        let section = |id| format!("[[application]]\nid = \"{id}\"\n{}\n\n", settings.endpoints);
        let applications: String = settings.applications.iter().map(section).collect();
        let text = format!(
            "version = 1\n\n[azure]\ncloud = \"custom\"\nresource_manager = \"{}\"\n\
             authority = \"https://login.microsoftonline.com\"\naudience = \"https://management.azure.com\"\n\
             poll_interval = \"{}\"\nrequest_timeout = \"{}\"\n\n\
             [azure.credential]\nkind = \"managed-identity\"\n\n{applications}{}\n\
             [guard]\n{}\n\n[publish]\n{}\n\n[dns]\nlisten = {:?}\n{}\n\n{}\n\n{}\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n\n[state]\ndirectory = \"{}\"\n\n[log]\nformat = \"json\"\n",
            settings.arm,
            settings.poll_interval,
            settings.request_timeout,
            settings.discoveries,
            settings.guard,
            settings.publish,
            settings.listen,
            settings.dns,
            settings.resolver,
            settings.transfer,
            self.state().display()
        );
        fs::write(self.config(), text).expect("a configuration");
    }

    /// A program with the managed identity in its environment, and nothing of whoever runs the test.
    pub(crate) fn environment(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("IDENTITY_ENDPOINT", &self.identity[0])
            .env("IDENTITY_HEADER", &self.identity[1])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// The daemon's command line.
    pub(crate) fn command(&self) -> Command {
        self.write();
        let mut command = self.environment(BINARY);
        command.args(["run", "--config"]).arg(self.config()).stdout(Stdio::null());
        command
    }

    /// Starts the daemon; returns when it listens.
    pub(crate) async fn start(&self) -> Daemon {
        Daemon::start(self.command()).await
    }

    /// Runs a subcommand for this daemon.
    pub(crate) async fn run(&self, daemon: &Daemon, arguments: &[&str]) -> Said {
        let mut command = self.environment(BINARY);
        command.args(arguments).arg("--config").arg(self.config());
        // The configuration has port 0.
        command.env("PRIVATELINK_DNS__ADMIN__LISTEN", daemon.admin.to_string());
        said(command).await
    }
}

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_privatelink-dns");

/// What a command said before it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) async fn said(mut command: Command) -> Said {
    let output = tokio::time::timeout(super::DEADLINE, command.kill_on_drop(true).output());
    let output = output.await.expect("the command ends").expect("the command runs");
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}
