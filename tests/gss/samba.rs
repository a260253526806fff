//! Samba as an Active Directory: its KDC's tickets, its access rules, and the faults of its DNS server.
//! Needs root, because Samba's directory needs access control lists of the file system.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hickory_proto::op::ResponseCode;
use privatelink_dns::wire::gss::{GssResponseError, Peer};

use crate::support::{
    REALM, Server, ZONE, adding, address, addresses, alone, code, eventually, keytab, negotiate, removing,
    run, send, serves, update,
};

const DOMAIN: &str = "example.internal";
const HOST: &str = "dc1.example.internal";

/// Who answers DNS.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Backend {
    /// Samba itself.
    Internal,
    /// BIND with Samba's module.
    Bind,
}

pub(crate) struct Site {
    pub(crate) directory: PathBuf,
    pub(crate) dns: SocketAddr,
    _servers: Vec<Server>,
}

impl Site {
    /// A domain controller with the accounts `sync` and `other`.
    pub(crate) fn start(directory: PathBuf, backend: Backend) -> Self {
        assert!(rustix::process::geteuid().is_root(), "Samba's directory is made by root only");
        let (dns, kerberos, kpasswd, rpc) = (address(), address(), address(), address());
        crate::bind::configure(&directory, kerberos, "");
        let at = directory.join("krb5.conf");
        let text = fs::read_to_string(&at).expect("readable");
        fs::write(&at, format!("{text} .{DOMAIN} = {REALM}\n")).expect("written");
        provision(&directory, backend, [dns, kerberos, kpasswd, rpc].map(|address| address.port()));

        let conf = ["-s", "etc/smb.conf"];
        let samba = ["samba", "-F", "--no-process-group", "-M", "single", "--debug-stdout", "-s"];
        let mut servers = vec![Server::start(&directory, &[&samba[..], &["etc/smb.conf"]].concat())];
        make_zone(&directory, rpc.port());
        for account in ["sync", "other"] {
            let database = ["-H", "private/sam.ldb"];
            let create = ["user", "create", account, "--random-password"];
            run(&directory, "samba-tool", &[&create[..], &database, &conf].concat(), "");
            let (file, principal) = (format!("{account}.keytab"), format!("--principal={account}@{REALM}"));
            let export = ["domain", "exportkeytab", &file, &principal];
            run(&directory, "samba-tool", &[&export[..], &conf].concat(), "");
            fs::set_permissions(directory.join(file), fs::Permissions::from_mode(0o600)).expect("a mode");
        }
        if backend == Backend::Bind {
            // After the zone: the module learns the zones when it starts.
            servers.push(start_named(&directory, dns));
        }
        serves(&directory, dns, ZONE);
        Self { directory, dns, _servers: servers }
    }

    fn peer(&self, account: &str) -> Peer {
        let credential = keytab(self.directory.join(format!("{account}.keytab")), account);
        Peer { address: self.dns, host: HOST.parse().expect("a name"), credential }
    }

    pub(crate) fn addresses(&self, name: &str) -> Vec<String> {
        addresses(&self.directory, self.dns, &format!("{name}.{ZONE}"))
    }
}

const PASSWORD: &str = "Aa1.for-this-test-only";

/// Makes a directory all of whose files are in `directory` and all of whose ports are above 1024.
fn provision(directory: &Path, backend: Backend, ports: [u16; 4]) {
    let [dns, kerberos, kpasswd, rpc] = ports;
    let path = directory.display();
    let (services, backend) = match backend {
        Backend::Internal => ("rpc, kdc, dns", "--dns-backend=SAMBA_INTERNAL"),
        Backend::Bind => ("rpc, kdc", "--dns-backend=BIND9_DLZ"),
    };
    let mut seed = format!(
        "[global]\ninterfaces = 127.0.0.1\nbind interfaces only = yes\nserver services = {services}\n\
         server role = active directory domain controller\ndcerpc endpoint servers = dnsserver\n\
         rpc server dynamic port range = {rpc}-{rpc}\ndns port = {dns}\nkrb5 port = {kerberos}\n\
         kpasswd port = {kpasswd}\nallow dns updates = secure only\ntls enabled = no\nlogging = stdout\n\
         log file = {path}/tool.log\nprivate dir = {path}/private\nbinddns dir = {path}/bind-dns\n\
         dns update command = true\nspn update command = true\nnsupdate command = true\n\
         samba kcc command = true\n"
    );
    for (key, name) in [
        ("pid directory", "run"),
        ("ncalrpc dir", "ncalrpc"),
        ("ntp signd socket directory", "ntp"),
        ("winbindd socket directory", "winbindd"),
        ("cache directory", "cache"),
        ("state directory", "state"),
    ] {
        fs::create_dir(directory.join(name)).expect("made");
        seed.push_str(&format!("{key} = {path}/{name}\n"));
    }
    for name in ["private", "bind-dns"] {
        fs::create_dir(directory.join(name)).expect("made");
    }
    fs::write(directory.join("seed.conf"), seed).expect("written");
    let (target, realm) = (format!("--targetdir={path}"), format!("--realm={REALM}"));
    let password = format!("--adminpass={PASSWORD}");
    let arguments = ["domain", "provision", "-s", "seed.conf", &target, &realm, "--domain=EXAMPLE"];
    let more = ["--server-role=dc", backend, "--host-name=dc1", "--host-ip=127.0.0.1", &password];
    run(directory, "samba-tool", &[&arguments[..], &more].concat(), "");
    // It takes the machine's resolver for a forwarder; nothing may leave the loopback.
    let at = directory.join("etc/smb.conf");
    let text = fs::read_to_string(&at).expect("readable");
    let ours = |line: &&str| !line.trim_start().starts_with("dns forwarder");
    fs::write(at, text.lines().filter(ours).collect::<Vec<_>>().join("\n")).expect("written");
}

fn make_zone(directory: &Path, port: u16) {
    fs::write(directory.join("zone.py"), include_str!("zone.py")).expect("written");
    // The interpreter that Samba's modules are for.
    let tool = fs::read_to_string(crate::support::program("samba-tool")).expect("readable");
    let python = tool.lines().next().and_then(|line| line.strip_prefix("#!")).expect("a script").trim();
    let python = python.split(' ').next().expect("a program");
    let port = port.to_string();
    eventually("the zone is made", || {
        let arguments = ["zone.py", "etc/smb.conf", &port, HOST, ZONE, PASSWORD];
        let output = std::process::Command::new(python).args(arguments).current_dir(directory).output();
        let output = output.expect("it runs");
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into()) }
    });
}

fn start_named(directory: &Path, dns: SocketAddr) -> Server {
    let version = run(directory, "named", &["-v"], "");
    let minor = version.split('.').nth(1).expect("a version").to_owned();
    let module = format!("dlz_bind9_{minor}.so");
    let found = run(directory, "find", &["/usr/lib", "-name", &module], "");
    let module = found.lines().next().unwrap_or_else(|| panic!("{module} is not installed"));
    let (path, ip, port) = (directory.display(), dns.ip(), dns.port());
    let configuration = format!(
        "options {{ directory \"{path}\"; pid-file none; session-keyfile \"{path}/session.key\"; lock-file none;\n\
         listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }}; recursion no; notify no;\n\
         dnssec-validation no; tkey-gssapi-keytab \"{path}/bind-dns/dns.keytab\"; }};\ncontrols {{ }};\n\
         dlz \"AD\" {{ database \"dlopen {module} -H {path}/private/sam.ldb\"; }};\n"
    );
    fs::write(directory.join("named.conf"), configuration).expect("written");
    Server::start(directory, &["named", "-g", "-n", "1", "-c", "named.conf"])
}

#[test]
fn a_zone_of_the_directory_takes_updates_and_keeps_owners_apart() {
    alone("samba::a_zone_of_the_directory_takes_updates_and_keeps_owners_apart", async |directory| {
        let site = Site::start(directory, Backend::Bind);
        let mut session = negotiate(&site.peer("sync")).await.expect("a context");
        for i in 0..3 {
            let name = format!("hub{i}");
            let message = adding(&name, [10, 1, 0, i]);
            assert_eq!(update(&mut session, &message).await, ResponseCode::NoError);
            assert_eq!(site.addresses(&name), [format!("10.1.0.{i}")]);
        }
        assert_eq!(update(&mut session, &removing("hub1", [10, 1, 0, 1])).await, ResponseCode::NoError);
        assert!(site.addresses("hub1").is_empty());
        let mut other = negotiate(&site.peer("other")).await.expect("a context");
        assert_eq!(update(&mut other, &adding("hub2", [10, 1, 0, 9])).await, ResponseCode::Refused);
        assert_eq!(site.addresses("hub2"), ["10.1.0.2"]);
    });
}

#[test]
fn the_own_dns_server_of_samba_does_it_and_signs_wrongly() {
    alone("samba::the_own_dns_server_of_samba_does_it_and_signs_wrongly", async |directory| {
        let site = Site::start(directory, Backend::Internal);
        let mut session = negotiate(&site.peer("sync")).await.expect("a context");
        let reply = send(&mut session, &adding("hub", [10, 1, 0, 4])).await;
        // Samba before 4.19.8 and 4.20.2; later ones sign as they should.
        if !has_fault(&site.directory) {
            assert_eq!(reply.signature, Ok(()));
        } else {
            assert_eq!(reply.signature, Err(GssResponseError::BadSignature));
        }
        assert_eq!(code(&reply), ResponseCode::NoError);
        assert_eq!(site.addresses("hub"), ["10.1.0.4"]);
        // The context is as good as before.
        send(&mut session, &removing("hub", [10, 1, 0, 4])).await;
        assert!(site.addresses("hub").is_empty());
    });
}

/// Whether this Samba has bug 13019.
fn has_fault(directory: &Path) -> bool {
    let said = run(directory, "samba", &["--version"], "");
    let version = said.split(' ').nth(1).expect("a version");
    let mut numbers = version.split(['.', '-', '+']).map(|number| number.trim().parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    let version = (next(), next(), next());
    version < (4, 19, 8) || ((4, 20, 0)..(4, 20, 2)).contains(&version)
}
