//! Servers with the printed recipes, and around them only what a test has to change: directories,
//! ports, addresses and privileges.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Peer, Site};
use crate::support::program;
use crate::support::server::Server;

/// Stands in a recipe for the secret.
const PLACEHOLDER: &str = "REPLACE-WITH-THE-SECRET";

impl Site {
    /// The recipe with the secret in it.
    async fn filled(&self, kind: &str, peer: &Peer) -> String {
        let recipe = self.recipe(kind, peer).await;
        if recipe.contains(&format!("Replace {PLACEHOLDER} ")) {
            recipe.replace(PLACEHOLDER, &self.secret(peer))
        } else {
            recipe
        }
    }

    /// BIND with a recipe and these options more.
    pub(super) async fn named(&self, kind: &str, peer: &Peer, options: &str) -> Server {
        self.named_with(kind, peer, options, |recipe| recipe).await
    }

    /// The same with a recipe that was changed.
    pub(super) async fn named_with(
        &self,
        kind: &str,
        peer: &Peer,
        options: &str,
        change: impl FnOnce(String) -> String,
    ) -> Server {
        let (recipe, clause) = (change(self.recipe(kind, peer).await), self.clause(peer));
        let address = peer.address;
        Server::named(address, |directory: &Path| {
            let path = directory.display();
            fs::write(directory.join("privatelink-dns.key"), clause).expect("written");
            let recipe = recipe.replace("/etc/bind/", &format!("{path}/"));
            let (before, after) = recipe.split_once("options {\n").unwrap_or((&recipe, "};\n"));
            let configuration = format!(
                "controls {{ }};\n{before}options {{\n\
                 directory \"{path}\"; pid-file none; session-keyfile \"{path}/session.key\"; lock-file none;\n\
                 listen-on port {} {{ {}; }}; listen-on-v6 {{ none; }};\n\
                 dnssec-validation no; empty-zones-enable no; {options}\n{after}",
                address.port(),
                address.ip()
            );
            checked("named-checkconf", directory, &configuration, &[]);
            configuration
        })
        .await
    }

    /// Knot DNS with its recipe.
    pub(super) async fn knotd(&self, peer: &Peer) -> Server {
        let recipe = self.filled("knot-secondary", peer).await;
        let address = peer.address;
        Server::knotd(address, |directory: &Path| {
            let path = directory.display();
            fs::write(directory.join("privatelink-dns.conf"), recipe).expect("written");
            let configuration = format!(
                "server:\n    rundir: {path}\n    listen: {}@{}\n    udp-workers: 1\n    tcp-workers: 1\n    \
                 background-workers: 1\n\
                 log:\n  - target: stderr\n    any: info\n\
                 database:\n    storage: {path}\n\
                 control:\n    listen: {path}/knot.sock\n\
                 template:\n  - id: default\n    storage: {path}\n\
                 include: privatelink-dns.conf\n",
                address.ip(),
                address.port()
            );
            checked("knotc", directory, &configuration, &["-c", "FILE", "conf-check"]);
            configuration
        })
        .await
    }

    /// NSD with its recipe.
    pub(super) async fn nsd(&self, peer: &Peer) -> Server {
        let recipe = self.filled("nsd-secondary", peer).await;
        let address = peer.address;
        Server::nsd(address, |directory: &Path| {
            let path = directory.display();
            fs::write(directory.join("privatelink-dns.conf"), recipe).expect("written");
            let configuration = format!(
                "server:\n    ip-address: {}@{}\n    server-count: 1\n    username: \"\"\n    chroot: \"\"\n    \
                 zonesdir: \"{path}\"\n    database: \"\"\n    pidfile: \"{path}/pid\"\n    \
                 zonelistfile: \"{path}/zones\"\n    xfrdir: \"{path}\"\n    xfrdfile: \"{path}/xfrd\"\n    \
                 logfile: \"\"\n    verbosity: 2\n    rrl-ratelimit: 0\n\
                 remote-control:\n    control-enable: no\n\
                 include: \"{path}/privatelink-dns.conf\"\n",
                address.ip(),
                address.port()
            );
            checked("nsd-checkconf", directory, &configuration, &[]);
            configuration
        })
        .await
    }

    /// PowerDNS on SQLite with its recipe.
    pub(super) async fn pdns(&self, peer: &Peer) -> Server {
        let recipe = self.filled("powerdns-secondary", peer).await;
        let address = peer.address;
        Server::pdns(address, |directory: &Path| {
            let path = directory.display();
            let configuration = format!(
                "launch=gsqlite3\ngsqlite3-database={path}/pdns.sqlite3\ngsqlite3-pragma-synchronous=0\n\
                 gsqlite3-dnssec=yes\nlocal-address={}\nlocal-port={}\nquery-local-address={}\n\
                 socket-dir={path}\ndaemon=no\nguardian=no\nloglevel=6\nzone-cache-refresh-interval=1\n\
                 cache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\ndomain-metadata-cache-ttl=0\n\
                 include-dir={path}/pdns.d\n",
                address.ip(),
                address.port(),
                address.ip(),
            );
            for (file, text) in [
                (
                    "bin/pdnsutil",
                    format!("exec {} --config-dir={path} \"$@\"", program("pdnsutil").display()),
                ),
                ("bin/systemctl", "exit 0".to_owned()),
                ("pdns.d/none.conf", String::new()),
            ] {
                let file = directory.join(file);
                fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
                fs::write(&file, format!("#!/bin/sh\n{text}\n")).expect("written");
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
                fs::set_permissions(file, mode).expect("a mode");
            }
            fs::remove_file(directory.join("pdns.d/none.conf")).expect("removed");
            fs::write(directory.join("pdns.conf"), &configuration).expect("written");
            let schema = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";
            let database = directory.join("pdns.sqlite3");
            let mut sqlite = Command::new(program("sqlite3"));
            sqlite.arg(database).stdin(fs::File::open(schema).expect("the schema of pdns-backend-sqlite3"));
            run(sqlite);
            let mut script = Command::new("sh");
            let path = format!("{path}/bin:{}", std::env::var("PATH").unwrap_or_default());
            script.args(["-c", &recipe.replace("/etc/powerdns/", &format!("{}/", directory.display()))]);
            script.env("PATH", path);
            run(script);
            configuration
        })
        .await
    }

    /// Unbound with a recipe and these lines more.
    pub(super) async fn unbound(&self, kind: &str, peer: &Peer, lines: &str) -> Server {
        let recipe = self.filled(kind, peer).await;
        let address = peer.address;
        Server::unbound(address, |directory: &Path| {
            let path = directory.display();
            let recipe = recipe.replace("/var/lib/unbound/", &format!("{path}/"));
            let configuration = format!(
                "server:\n directory: \"{path}\"\n username: \"\"\n chroot: \"\"\n pidfile: \"\"\n \
                 use-syslog: no\n logfile: \"\"\n verbosity: 2\n num-threads: 1\n interface: {}\n port: {}\n \
                 do-ip6: no\n access-control: 127.0.0.0/8 allow\n\
                 remote-control:\n control-enable: no\n{recipe}{lines}",
                address.ip(),
                address.port()
            );
            checked("unbound-checkconf", directory, &configuration, &[]);
            configuration
        })
        .await
    }
}

impl Server {
    /// Runs a command of PowerDNS for this server, which is one.
    pub(super) fn pdnsutil(&self, arguments: &[&str]) {
        let mut command = Command::new(program("pdnsutil"));
        command.arg(format!("--config-dir={}", self.directory().display())).args(arguments);
        run(command);
    }
}

/// The server's own checker has no objection; `FILE` in its arguments is the configuration, which
/// stands at their end otherwise.
fn checked(checker: &str, directory: &Path, configuration: &str, arguments: &[&str]) {
    let file = directory.join("checked");
    fs::write(&file, configuration).expect("written");
    let file = file.display().to_string();
    let mut command = Command::new(program(checker));
    command.current_dir(directory);
    command.args(arguments.iter().map(|argument| if *argument == "FILE" { file.as_str() } else { argument }));
    if arguments.is_empty() {
        command.arg(&file);
    }
    run(command);
}

fn run(mut command: Command) {
    let output = command.output().expect("it runs");
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    assert!(output.status.success(), "{command:?}: {}{}", text(&output.stdout), text(&output.stderr));
}
