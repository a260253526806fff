//! A process for every test, servers that end with it, update messages, and patience with an end.

use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hickory_proto::op::update_message::{append, delete_by_rdata};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordSet};
use privatelink_dns::wire::gss::{Credential, GssError, Peer, Reply, Session};
use rustix::process::{Pid, Signal, kill_process_group};

/// How long anything may take before a test fails; generous, because tests share the machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) const REALM: &str = "EXAMPLE.INTERNAL";
pub(crate) const ZONE: &str = "privatelink.azure-devices.net";

/// Runs a test in a process of its own, whose Kerberos knows the given directory only: the file that
/// configures Kerberos is a variable of the environment, so that of the whole process.
pub(crate) fn alone<F: Future<Output = ()>>(test: &str, body: impl FnOnce(PathBuf) -> F) {
    alone_with(test, |_| Vec::new(), body);
}

/// The same with further variables.
pub(crate) fn alone_with<F: Future<Output = ()>>(
    test: &str,
    variables: impl FnOnce(&Path) -> Vec<(&'static str, PathBuf)>,
    body: impl FnOnce(PathBuf) -> F,
) {
    const MARK: &str = "PRIVATELINK_DNS_GSS_TEST";
    if let Some(directory) = env::var_os(MARK) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(body(directory.into()));
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let output = Command::new(env::current_exe().expect("this program"))
        .args([test, "--exact", "--nocapture"])
        .env(MARK, path)
        .env("KRB5_CONFIG", path.join("krb5.conf"))
        .env("KRB5_KDC_PROFILE", path.join("kdc.conf"))
        .env("KRB5CCNAME", path.join("nobody-wrote-here"))
        .env("SMB_CONF_PATH", path.join("etc/smb.conf"))
        .envs(variables(path))
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!path.join("nobody-wrote-here").exists(), "the user's ticket cache is left alone");
}

/// Probes until there is a value; a probe that has none yet says what it saw instead.
pub(crate) fn eventually<T>(what: &str, mut probe: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match probe() {
            Ok(value) => return value,
            Err(seen) if Instant::now() > deadline => panic!("never: {what}; last seen: {seen}"),
            Err(_) => sleep(Duration::from_millis(20)),
        }
    }
}

/// A program that a test needs, or how to get it.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(sbin)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed; scripts/test installs what tests need"))
}

/// An address on which nobody listens.
pub(crate) fn address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
    listener.local_addr().expect("an address")
}

/// Runs a program to its end, which has to be a good one; gives what it said.
pub(crate) fn run(directory: &Path, name: &str, arguments: &[&str], input: &str) -> String {
    let typed = directory.join("typed");
    fs::write(&typed, input).expect("written");
    let output = Command::new(program(name))
        .args(arguments)
        .current_dir(directory)
        .stdin(File::open(typed).expect("readable"))
        .output()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let said = [&*output.stdout, &*output.stderr].map(String::from_utf8_lossy).join("");
    assert!(output.status.success(), "{name} {arguments:?}: {said}");
    said
}

/// A server; killed when dropped, and then its log is told if the test fails.
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts a program with its arguments.
    pub(crate) fn start(directory: &Path, command: &[&str]) -> Self {
        let log = directory.join(format!("{}.log", command[0]));
        // A copy: where AppArmor confines servers, it knows them by their path and keeps them out of this
        // directory.
        let copy = directory.join(command[0]);
        fs::copy(program(command[0]), &copy).expect("copied");
        let file = File::create(&log).expect("a log");
        let child = Command::new(copy)
            .args(&command[1..])
            .current_dir(directory)
            .stdin(Stdio::null())
            // With whatever it starts itself.
            .process_group(0)
            .stdout(file.try_clone().expect("a log"))
            .stderr(file)
            .spawn()
            .expect("the server starts");
        Self { child, log }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has logged a text.
    pub(crate) fn says(&mut self, text: &str) {
        eventually(text, || {
            if let Some(status) = self.child.try_wait().expect("a status") {
                panic!("it ended with {status}:\n{}", self.log());
            }
            if self.log().contains(text) { Ok(()) } else { Err(self.log()) }
        });
    }

    pub(crate) fn stop(mut self) {
        self.kill();
    }

    fn kill(&mut self) {
        // Fails when it has ended.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        self.child.wait().expect("it ended");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("{}:\n{}", self.log.display(), self.log());
        }
    }
}

/// The addresses that a server has for a name, as `dig` reads them.
pub(crate) fn addresses(directory: &Path, server: SocketAddr, name: &str) -> Vec<String> {
    let (ip, port) = (format!("@{}", server.ip()), server.port().to_string());
    let said = run(directory, "dig", &[&ip, "-p", &port, "+short", "+tries=1", name, "A"], "");
    said.lines().map(str::to_owned).collect()
}

/// Waits until a server answers for a zone.
pub(crate) fn serves(directory: &Path, server: SocketAddr, zone: &str) {
    let (ip, port) = (format!("@{}", server.ip()), server.port().to_string());
    eventually("the zone is served", || {
        let arguments = [&*ip, "-p", &port, "+noall", "+answer", "+tries=1", "+time=5", zone, "SOA"];
        let output = Command::new(program("dig")).args(arguments).current_dir(directory).output();
        let said = String::from_utf8_lossy(&output.expect("dig runs").stdout).into_owned();
        if said.contains("SOA") { Ok(()) } else { Err(said) }
    });
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

pub(crate) fn keytab(path: PathBuf, name: &str) -> Credential {
    Credential::Keytab { path, principal: format!("{name}@{REALM}") }
}

pub(crate) async fn negotiate(peer: &Peer) -> Result<Session, GssError> {
    Session::negotiate(peer, now(), DEADLINE).await
}

fn record(name: &str, address: [u8; 4]) -> Record {
    let name = Name::from_ascii(format!("{name}.{ZONE}.")).expect("a name");
    Record::from_rdata(name, 30, RData::A(A::from(Ipv4Addr::from(address))))
}

fn zone() -> Name {
    Name::from_ascii(format!("{ZONE}.")).expect("a name")
}

/// An update that adds a record.
pub(crate) fn adding(name: &str, address: [u8; 4]) -> Message {
    append(RecordSet::from(record(name, address)), zone(), false, false)
}

/// An update that takes a record away.
pub(crate) fn removing(name: &str, address: [u8; 4]) -> Message {
    delete_by_rdata(RecordSet::from(record(name, address)), zone(), false)
}

/// Sends an update; gives the reply.
pub(crate) async fn send(session: &mut Session, update: &Message) -> Reply {
    let message = update.to_vec().expect("a message");
    session.send(message, now(), DEADLINE).await.expect("a reply")
}

/// The response code of a reply, signed or not.
pub(crate) fn code(reply: &Reply) -> ResponseCode {
    Message::from_vec(&reply.message).expect("a message").response_code
}

/// Sends an update; gives the response code, for which the server has to sign.
pub(crate) async fn update(session: &mut Session, update: &Message) -> ResponseCode {
    let reply = send(session, update).await;
    assert_eq!(reply.signature, Ok(()));
    code(&reply)
}
