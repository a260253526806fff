//! BIND with MIT's KDC: the protocol to the letter.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use hickory_proto::op::ResponseCode;
use privatelink_dns::wire::gss::{Credential, GssResponseError, Peer};
use privatelink_dns::wire::tsig::Refusal;

use crate::support::{
    DEADLINE, REALM, Server, ZONE, adding, address, addresses, alone, keytab, negotiate, now, removing, run,
    send, serves, update,
};

/// A KDC and a name server, in the directory of a test.
pub(crate) struct Site {
    pub(crate) directory: PathBuf,
    pub(crate) kdc: Option<Server>,
    named: Option<Server>,
    pub(crate) kerberos: SocketAddr,
    pub(crate) dns: SocketAddr,
}

impl Site {
    /// Both, with the accounts `sync`, which may update, `nobody`, which may not, and `human` with a password.
    pub(crate) fn start(directory: PathBuf) -> Self {
        Self::start_with(directory, &[])
    }

    /// The same with something before the KDC's command.
    pub(crate) fn start_with(directory: PathBuf, kdc: &[&str]) -> Self {
        let path = directory.display();
        let (kerberos, dns) = (address(), address());
        configure(&directory, kerberos, "");
        let text = format!(
            "[kdcdefaults]\n kdc_listen = {kerberos}\n kdc_tcp_listen = {kerberos}\n[realms]\n {REALM} = {{\n  \
             database_name = {path}/principal\n  key_stash_file = {path}/stash\n  max_life = 1h\n }}\n"
        );
        fs::write(directory.join("kdc.conf"), text).expect("written");
        run(&directory, "kdb5_util", &["create", "-s", "-r", REALM, "-P", "throw-away"], "");
        let commands = format!(
            "addprinc -randkey +requires_preauth sync\naddprinc -randkey nobody\naddprinc -pw secret human\n\
             addprinc -randkey DNS/ns1.{ZONE}\nktadd -norandkey -k sync.keytab sync\n\
             ktadd -norandkey -k nobody.keytab nobody\nktadd -norandkey -k dns.keytab DNS/ns1.{ZONE}\n"
        );
        let mut site = Self { directory, kdc: None, named: None, kerberos, dns };
        site.kadmin(&commands);
        let (ip, port) = (dns.ip(), dns.port());
        let configuration = format!(
            "options {{ directory \"{0}\"; pid-file none; session-keyfile \"{0}/session.key\"; lock-file none;\n\
             listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }}; recursion no; notify no;\n\
             dnssec-validation no; tkey-gssapi-keytab \"{0}/dns.keytab\"; }};\ncontrols {{ }};\n\
             zone \"{ZONE}\" {{ type primary; file \"zone\";\n\
             update-policy {{ grant \"sync@{REALM}\" zonesub A; grant \"human@{REALM}\" zonesub A; }}; }};\n",
            site.directory.display()
        );
        fs::write(site.directory.join("named.conf"), configuration).expect("written");
        let zone = format!(
            "$TTL 60\n@ SOA ns1.{ZONE}. hostmaster 1 300 60 86400 30\n@ NS ns1.{ZONE}.\nns1 A {ip}\n"
        );
        fs::write(site.directory.join("zone"), zone).expect("written");
        site.kdc = Some(Server::start(&site.directory, &[kdc, &["krb5kdc", "-n", "-r", REALM]].concat()));
        site.start_named();
        site.kdc.as_mut().expect("a KDC").says("starting...");
        site
    }

    fn start_named(&mut self) {
        let command = ["named", "-g", "-n", "1", "-c", "named.conf"];
        self.named = Some(Server::start(&self.directory, &command));
        serves(&self.directory, self.dns, ZONE);
    }

    /// Ends the name server and starts it anew.
    pub(crate) fn restart_named(&mut self) {
        self.named.take().expect("it runs").stop();
        self.start_named();
    }

    /// Commands to the KDC's database.
    pub(crate) fn kadmin(&self, commands: &str) {
        let said = run(&self.directory, "kadmin.local", &["-r", REALM], commands);
        assert!(!said.contains("while "), "{said}");
    }

    /// A file of the site, which only its owner may open.
    pub(crate) fn secret(&self, name: &str) -> PathBuf {
        let path = self.directory.join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
        path
    }

    /// The name server, with a credential.
    pub(crate) fn peer(&self, credential: Credential) -> Peer {
        let host = format!("ns1.{ZONE}").parse().expect("a name");
        Peer { address: self.dns, host, credential }
    }

    /// The name server, with the account that may update.
    pub(crate) fn sync(&self) -> Peer {
        self.peer(keytab(self.secret("sync.keytab"), "sync"))
    }

    pub(crate) fn addresses(&self, name: &str) -> Vec<String> {
        addresses(&self.directory, self.dns, &format!("{name}.{ZONE}"))
    }
}

/// Kerberos' configuration, with one KDC and further lines for the defaults.
pub(crate) fn configure(directory: &std::path::Path, kdc: SocketAddr, defaults: &str) {
    let text = format!(
        "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n \
         dns_canonicalize_hostname = false\n rdns = false\n udp_preference_limit = 1\n{defaults}\
         [realms]\n {REALM} = {{\n  kdc = {kdc}\n }}\n[domain_realm]\n .{ZONE} = {REALM}\n"
    );
    fs::write(directory.join("krb5.conf"), text).expect("written");
}

#[test]
fn records_come_change_and_go() {
    alone("bind::records_come_change_and_go", async |directory| {
        let site = Site::start(directory);
        let mut session = negotiate(&site.sync()).await.expect("a context");
        assert!((now() + 3000..=now() + 3600).contains(&session.ends()), "{session:?}");
        assert_eq!(update(&mut session, &adding("hub", [10, 1, 0, 4])).await, ResponseCode::NoError);
        assert_eq!(site.addresses("hub"), ["10.1.0.4"]);
        let mut change = removing("hub", [10, 1, 0, 4]);
        change.authorities.extend(adding("hub", [10, 1, 0, 5]).authorities);
        assert_eq!(update(&mut session, &change).await, ResponseCode::NoError);
        assert_eq!(site.addresses("hub"), ["10.1.0.5"]);
        assert_eq!(update(&mut session, &removing("hub", [10, 1, 0, 5])).await, ResponseCode::NoError);
        assert!(site.addresses("hub").is_empty());
    });
}

#[test]
fn one_context_serves_three_hundred_updates() {
    alone("bind::one_context_serves_three_hundred_updates", async |directory| {
        let site = Site::start(directory);
        let mut session = negotiate(&site.sync()).await.expect("a context");
        for i in 0..300_u16 {
            let [high, low] = i.to_be_bytes();
            let update_message = adding(&format!("h{i}"), [10, 2, high, low]);
            assert_eq!(update(&mut session, &update_message).await, ResponseCode::NoError, "{i}");
        }
        assert_eq!(site.addresses("h0"), ["10.2.0.0"]);
        assert_eq!(site.addresses("h299"), ["10.2.1.43"]);
    });
}

#[test]
fn another_account_is_refused_and_the_refusal_is_signed() {
    alone("bind::another_account_is_refused_and_the_refusal_is_signed", async |directory| {
        let site = Site::start(directory);
        let peer = site.peer(keytab(site.secret("nobody.keytab"), "nobody"));
        let mut session = negotiate(&peer).await.expect("a context");
        assert_eq!(update(&mut session, &adding("hub", [10, 1, 0, 4])).await, ResponseCode::Refused);
        assert!(site.addresses("hub").is_empty());
    });
}

#[test]
fn a_password_and_a_ticket_cache_do_as_well_as_a_keytab() {
    alone("bind::a_password_and_a_ticket_cache_do_as_well_as_a_keytab", async |directory| {
        let site = Site::start(directory);
        fs::write(site.directory.join("password"), "secret\n").expect("written");
        run(&site.directory, "kinit", &["-k", "-t", "sync.keytab", "-c", "FILE:tickets", "sync"], "");
        let principal = format!("human@{REALM}");
        let password = Credential::Password { principal, file: site.secret("password") };
        let tickets = Credential::Ccache { path: site.secret("tickets") };
        for (name, credential) in [("one", password), ("two", tickets)] {
            let mut session = negotiate(&site.peer(credential)).await.expect("a context");
            assert_eq!(update(&mut session, &adding(name, [10, 1, 0, 4])).await, ResponseCode::NoError);
            assert_eq!(site.addresses(name), ["10.1.0.4"]);
        }
    });
}

#[test]
fn a_server_that_forgot_the_context_is_negotiated_with_anew() {
    alone("bind::a_server_that_forgot_the_context_is_negotiated_with_anew", async |directory| {
        let mut site = Site::start(directory);
        let mut session = negotiate(&site.sync()).await.expect("a context");
        site.restart_named();
        let reply = send(&mut session, &adding("hub", [10, 1, 0, 4])).await;
        assert_eq!(reply.signature, Err(GssResponseError::Refused(Refusal::BadKey)));
        assert!(site.addresses("hub").is_empty());
        let mut session = negotiate(&site.sync()).await.expect("a context");
        assert_eq!(update(&mut session, &adding("hub", [10, 1, 0, 4])).await, ResponseCode::NoError);
        assert_eq!(site.addresses("hub"), ["10.1.0.4"]);
    });
}

#[test]
fn a_wrong_clock_here_is_told_with_the_time_there() {
    alone("bind::a_wrong_clock_here_is_told_with_the_time_there", async |directory| {
        let site = Site::start(directory);
        let mut session = negotiate(&site.sync()).await.expect("a context");
        let message = adding("hub", [10, 1, 0, 4]).to_vec().expect("a message");
        let reply = session.send(message, now() - 1000, DEADLINE).await.expect("a reply");
        let Err(GssResponseError::Refused(Refusal::BadTime { server: Some(server) })) = reply.signature
        else {
            panic!("{reply:?}")
        };
        assert!(server.abs_diff(now()) < 300, "{server}");
        assert!(site.addresses("hub").is_empty());
        assert_eq!(update(&mut session, &adding("hub", [10, 1, 0, 4])).await, ResponseCode::NoError);
    });
}
