//! What runs beside each other: the daemon, BIND as a server that stays primary, Knot as a secondary.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, Permissions};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command as Async};

use crate::azure::Azure;

/// The TSIG secret of everybody here.
pub(crate) const SECRET: &str = "c2VjcmV0LW9mLXRoZS1kYWVtb24tMDEyMzQ1Njc4OQ==";
pub(crate) const KEY: &str = "soak-key";

/// A process that is started and ended again and again, with a log that goes on.
pub(crate) struct Program {
    command: Vec<String>,
    environment: Vec<(&'static str, String)>,
    log: PathBuf,
    child: Option<Child>,
}

impl Program {
    fn new(command: Vec<String>, log: PathBuf) -> Self {
        Self { command, environment: Vec::new(), log, child: None }
    }

    /// Starts it unless it runs.
    pub(crate) fn start(&mut self) {
        if self.child.is_some() {
            return;
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.log).expect("a log");
        let mut command = Async::new(&self.command[0]);
        command.args(&self.command[1..]).stdin(Stdio::null()).stderr(log.try_clone().expect("a log"));
        // Nothing of whoever runs this changes the configuration.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.environment.clone()).stdout(log).kill_on_drop(true);
        self.child = Some(command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.command[0])));
    }

    /// Ends it: as an operator does, or as a power cut.
    pub(crate) async fn stop(&mut self, signal: Signal) {
        if let Some(mut child) = self.child.take() {
            if let Some(id) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
                let _ = kill_process(id, signal);
            }
            if tokio::time::timeout(Duration::from_secs(20), child.wait()).await.is_err() {
                child.kill().await.expect("killed");
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.id().cast_signed()).expect("an id"), signal).expect("it runs");
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).expect("it runs")
    }

    /// Whether it has not ended by itself.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().is_ok_and(|status| status.is_none()))
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }
}

/// Where everybody listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) dns: SocketAddr,
    /// A listener that reloads open and close.
    pub(crate) other: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) bind: SocketAddr,
    pub(crate) knot: SocketAddr,
    /// The stand-in for public DNS.
    pub(crate) public: SocketAddr,
}

/// Three servers in one directory.
pub(crate) struct Site {
    pub(crate) directory: PathBuf,
    pub(crate) addresses: Addresses,
    pub(crate) daemon: Program,
    pub(crate) bind: Program,
    pub(crate) knot: Program,
    head: String,
}

impl Site {
    /// Writes all configurations; nothing is started.
    pub(crate) fn new(directory: &Path, daemon: &Path, azure: &Azure) -> Self {
        let mut ports = ports().into_iter();
        let mut next = || ports.next().expect("a port");
        let addresses = Addresses {
            dns: next(),
            other: next(),
            tls: next(),
            https: next(),
            admin: next(),
            bind: next(),
            knot: next(),
            public: next(),
        };
        let at = |name: &str| directory.join(name).display().to_string();
        let mut site = Self {
            addresses,
            daemon: Program::new(
                vec![daemon.display().to_string(), "run".into(), "--config".into(), at("config.toml")],
                directory.join("daemon.log"),
            ),
            bind: Program::new(
                vec![
                    own(directory, "named"),
                    "-g".into(),
                    "-n".into(),
                    "1".into(),
                    "-c".into(),
                    at("named.conf"),
                ],
                directory.join("bind.log"),
            ),
            knot: Program::new(
                vec![own(directory, "knotd"), "-c".into(), at("knot.conf")],
                directory.join("knot.log"),
            ),
            head: head(directory, azure, &addresses),
            directory: directory.to_owned(),
        };
        let identity = azure.simulator.world().with(|world| world.tokens.identity_header.clone());
        site.daemon.environment =
            vec![("IDENTITY_ENDPOINT", azure.simulator.identity_endpoint()), ("IDENTITY_HEADER", identity)];
        secret(&directory.join("keys.conf"), &key());
        fs::write(directory.join("hosts"), "127.0.0.1 localhost\n# not ours\n").expect("written");
        let zones = azure.zones();
        fs::write(directory.join("named.conf"), bind(directory, &addresses, &zones)).expect("written");
        fs::write(directory.join("knot.conf"), knot(directory, &addresses, &zones)).expect("written");
        let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        fs::write(directory.join("certificate.pem"), pair.cert.pem()).expect("written");
        secret(&directory.join("key.pem"), &pair.signing_key.serialize_pem());
        site.configure(0);
        site
    }

    /// Writes a configuration: every one has other limits, every second one more listener, every seventh
    /// is wrong.
    pub(crate) fn configure(&self, variant: u32) {
        let Addresses { dns, other, .. } = &self.addresses;
        let listen = if variant % 2 == 1 { vec![dns, other] } else { vec![dns] };
        let listen: Vec<String> = listen.into_iter().map(ToString::to_string).collect();
        let idle = if variant % 7 == 6 { "for ever".to_owned() } else { format!("{}s", 2 + variant % 3) };
        let rate = 1000 + variant % 5;
        let text = format!(
            "{}\n[dns]\nlisten = {listen:?}\ntcp_idle_timeout = \"{idle}\"\n\
             rate_limit.responses_per_second = {rate}\n\
             tls.certificate_file = \"{directory}/certificate.pem\"\ntls.key_file = \"{directory}/key.pem\"\n\
             tls.listen = [\"{}\"]\ntls.https_listen = [\"{}\"]\n",
            self.head,
            self.addresses.tls,
            self.addresses.https,
            directory = self.directory.display(),
        );
        fs::write(self.directory.join("config.toml"), text).expect("written");
    }
}

/// The configuration but for `[dns]`.
fn head(directory: &Path, azure: &Azure, addresses: &Addresses) -> String {
    let at = directory.display();
    let mut text = format!(
        "version = 1\n\
         [azure]\ncloud = \"custom\"\nresource_manager = \"{}\"\nauthority = \"https://login.microsoftonline.com\"\n\
         audience = \"https://management.azure.com\"\npoll_interval = \"1s\"\nrequest_timeout = \"2s\"\n\
         [azure.credential]\nkind = \"managed-identity\"\n\
         [guard]\nremoval_polls = 2\nremoval_period = \"0s\"\nbulk_polls = 4\nbulk_period = \"0s\"\n\
         [publish]\napplication_name = true\n\
         [resolver]\nupstreams = [\"{}\"]\ntimeout = \"1s\"\ncache_mib = 1\n\
         [transfer]\nkey_files = [\"{at}/keys.conf\"]\ncatalog = \"catalog.soak\"\nrpz = \"rpz.soak\"\n\
         [[secondary]]\nname = \"knot\"\naddress = \"{}\"\nkey = \"{KEY}\"\n\
         [[target]]\nname = \"bind\"\ntype = \"rfc2136\"\nservers = [\"{}\"]\nkey = \"{KEY}\"\ncheck_interval = \"10s\"\n\
         [[target]]\nname = \"hosts\"\ntype = \"hosts\"\npath = \"{at}/hosts\"\n\
         [admin]\nlisten = \"{}\"\n\
         [state]\ndirectory = \"{at}/state\"\n\
         [log]\nformat = \"json\"\n\
         [[discovery]]\nsubscription = \"{}\"\n",
        azure.simulator.base_url(),
        addresses.public,
        addresses.knot,
        addresses.bind,
        addresses.admin,
        Azure::discovered(),
    );
    for application in azure.listed() {
        writeln!(text, "[[application]]\nid = \"{application}\"").expect("text");
    }
    text
}

fn key() -> String {
    format!("key \"{KEY}\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n")
}

fn bind<'a>(directory: &Path, addresses: &Addresses, zones: impl IntoIterator<Item = &'a String>) -> String {
    let (at, port) = (directory.display(), addresses.bind.port());
    let mut text = key();
    write!(
        text,
        "options {{ directory \"{at}\"; pid-file \"{at}/named.pid\"; session-keyfile \"{at}/session.key\"; \
         lock-file none; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; \
         dnssec-validation no; notify no; allow-transfer {{ key \"{KEY}\"; }}; }};\ncontrols {{ }};\n"
    )
    .expect("text");
    for zone in zones {
        let file = directory.join(format!("{zone}.db"));
        fs::write(&file, "$TTL 60\n@ SOA ns1 hostmaster 1 60 30 86400 5\n@ NS ns1\nns1 A 127.0.0.1\n")
            .expect("written");
        writeln!(
            text,
            "zone \"{zone}\" {{ type primary; file \"{}\"; max-journal-size 1m; \
             update-policy {{ grant {KEY} zonesub A; }}; }};",
            file.display()
        )
        .expect("text");
    }
    text
}

fn knot<'a>(directory: &Path, addresses: &Addresses, zones: impl IntoIterator<Item = &'a String>) -> String {
    let at = directory.display();
    let Addresses { dns, knot, .. } = addresses;
    let mut text = format!(
        "server:\n  rundir: {at}\n  listen: {}@{}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
         log:\n  - target: stderr\n    any: warning\n\
         database:\n  storage: {at}/knot\n  journal-db-max-size: 100M\n\
         control:\n  listen: {at}/knot.sock\n\
         key:\n  - id: {KEY}\n    algorithm: hmac-sha256\n    secret: {SECRET}\n\
         remote:\n  - id: primary\n    address: {}@{}\n    key: {KEY}\n\
         acl:\n  - id: notify\n    key: {KEY}\n    action: notify\n  - id: transfer\n    key: {KEY}\n    action: transfer\n\
         template:\n  - id: default\n    storage: {at}/knot\n    master: primary\n    acl: [ notify, transfer ]\n\
         zone:\n",
        knot.ip(),
        knot.port(),
        dns.ip(),
        dns.port(),
    );
    fs::create_dir_all(directory.join("knot")).expect("a directory");
    for zone in zones {
        writeln!(text, "  - domain: {zone}").expect("text");
    }
    text
}

/// A copy of an installed server: where AppArmor confines servers, it knows them by their path and keeps
/// them out of our directory.
fn own(directory: &Path, name: &str) -> String {
    let copy = directory.join(name);
    let places = std::env::var("PATH").unwrap_or_default() + ":/usr/local/sbin:/usr/sbin:/sbin";
    let found = places.split(':').map(|place| Path::new(place).join(name)).find(|file| file.is_file());
    let found = found.unwrap_or_else(|| panic!("{name} is not installed; scripts/test installs it"));
    assert!(Command::new("cp").arg(found).arg(&copy).status().expect("cp runs").success());
    copy.display().to_string()
}

/// Writes a file that only its owner can read.
fn secret(path: &Path, text: &str) {
    File::create(path).and_then(|file| file.set_permissions(Permissions::from_mode(0o600))).expect("a file");
    fs::write(path, text).expect("written");
}

/// Ports that are free over UDP and TCP, and not among those that the system gives to clients: a listener
/// that was closed for a while has to get its port back.
fn ports() -> Vec<SocketAddr> {
    let mut held = Vec::new();
    while held.len() < 8 {
        let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(10_000..32_000)));
        if let (Ok(udp), Ok(tcp)) = (UdpSocket::bind(address), TcpListener::bind(address)) {
            held.push((address, udp, tcp));
        }
    }
    held.into_iter().map(|(address, ..)| address).collect()
}
