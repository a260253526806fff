//! No secret is said or written. Each has a value of its own; whatever the daemon and its commands say, serve and
//! write, with everything logged and with servers that repeat what they were told, is searched for all of them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use privatelink_dns::simulator::RawReply;
use privatelink_dns::zones::FindingKind;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::primaries;
use crate::support::azure::Azure;
use crate::support::daemon::Daemon;
use crate::support::entra::{Entra, proxy};
use crate::support::eventually;
use crate::support::home::{BINARY, Home, said};

const TENANT: &str = "11111111-2222-3333-4444-555555555555";

/// The secrets, by what they are, and everything that was heard.
#[derive(Default)]
struct Ears {
    secrets: BTreeMap<String, Vec<u8>>,
    heard: Vec<(String, Vec<u8>)>,
}

/// What a secret may look like in a text.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![secret.to_vec()];
    for engine in [&BASE64_STANDARD_NO_PAD, &BASE64_URL_SAFE_NO_PAD] {
        // In the middle of something longer the first octets may be of another group of three.
        for skip in 0..3 {
            let inner = &secret[skip..];
            forms.push(engine.encode(&inner[..inner.len() / 3 * 3]).into_bytes());
        }
    }
    // As `Debug` shows octets.
    forms.push(secret.iter().map(u8::to_string).collect::<Vec<_>>().join(", ").into_bytes());
    forms.push(secret.iter().map(|octet| format!("{octet:02x}")).collect::<String>().into_bytes());
    forms
}

impl Ears {
    /// A secret of this length, which is a text.
    fn secret(&mut self, what: &str, length: usize) -> String {
        let start = format!("canary{}", what.replace(|c: char| !c.is_ascii_alphanumeric(), ""));
        let rest = std::iter::repeat_with(fastrand::alphanumeric);
        let secret: String = start.chars().chain(rest).take(length.max(start.len() + 20)).collect();
        self.secrets.insert(what.to_owned(), secret.clone().into_bytes());
        secret
    }

    /// The lines of a private key.
    fn key(&mut self, what: &str, pem: &str) {
        for (number, line) in pem.lines().filter(|line| line.len() == 64).skip(1).enumerate() {
            self.secrets.insert(format!("{what}, line {number}"), line.as_bytes().to_vec());
        }
    }

    fn hear(&mut self, where_from: impl Into<String>, what: impl Into<Vec<u8>>) {
        self.heard.push((where_from.into(), what.into()));
    }

    /// Every file below a directory, but those that are there to hold a secret.
    fn read(&mut self, directory: &Path, secret_files: &[&str]) {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if path.is_dir() {
                self.read(&path, secret_files);
            } else if !secret_files.contains(&name.as_str()) && path.is_file() {
                self.hear(path.display().to_string(), fs::read(&path).expect("read"));
            }
        }
    }

    /// Fails when a secret was heard anywhere.
    fn judge(&self) {
        assert!(!self.secrets.is_empty() && !self.heard.is_empty());
        let leaks = self.leaks();
        assert!(leaks.is_empty(), "{leaks}");
    }

    fn leaks(&self) -> String {
        let mut leaks = String::new();
        for (what, secret) in &self.secrets {
            for form in forms(secret) {
                for (where_from, text) in &self.heard {
                    if let Some(at) = text.windows(form.len()).position(|part| part == form) {
                        let context = &text[at.saturating_sub(200)..(at + form.len() + 40).min(text.len())];
                        writeln!(leaks, "{what} in {where_from}: …{}…", String::from_utf8_lossy(context))
                            .expect("text");
                        break;
                    }
                }
            }
        }
        leaks
    }
}

#[test]
fn whatever_a_secret_looks_like_it_is_found() {
    let mut ears = Ears::default();
    let secret = ears.secret("one", 40);
    ears.hear("nothing", "canary");
    assert_eq!(ears.leaks(), "");
    for text in [
        secret.clone(),
        BASE64_STANDARD.encode(format!("user:{secret}")),
        BASE64_URL_SAFE_NO_PAD.encode(format!("x{secret}y")),
        format!("{:?}", secret.as_bytes()),
    ] {
        let mut ears = Ears { secrets: ears.secrets.clone(), ..Ears::default() };
        ears.hear("there", format!("before {text} after"));
        assert!(ears.leaks().contains("one in there"), "{text}");
    }
}

/// The configuration of a home, with another credential, an Entra of its own and everything logged.
fn configure(home: &Home, entra: &Entra, credential: &str) {
    home.write();
    let text = fs::read_to_string(home.config()).expect("a configuration");
    let text = text
        .replace("kind = \"managed-identity\"\n", credential)
        .replace("https://login.microsoftonline.com", &entra.url())
        .replace("[azure]\n", &format!("[azure]\nca_file = {:?}\n", entra.ca_file))
        .replace("[log]\n", "[log]\nlevel = \"trace\"\n");
    fs::write(home.config(), text).expect("written");
}

fn command(home: &Home, environment: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = home.environment(BINARY);
    command.args(arguments).arg("--config").arg(home.config()).envs(environment.iter().copied());
    command
}

async fn start(home: &Home, environment: &[(&str, &str)]) -> Daemon {
    let mut command = command(home, environment, &["run"]);
    command.stdout(Stdio::null());
    Daemon::start(command).await
}

/// What ARM says instead of the application: an error that repeats the token.
fn refuse(azure: &Azure, status: u16, token: &str) {
    let code = match status {
        401 => "InvalidAuthenticationToken",
        403 => "AuthorizationFailed",
        404 => "SubscriptionNotFound",
        _ => "InternalServerError",
    };
    let body =
        serde_json::json!({ "error": { "code": code, "message": format!("you said: Bearer {token}") } });
    say(azure, status, &body.to_string());
}

fn say(azure: &Azure, status: u16, body: &str) {
    let path = azure.application.as_str().to_owned();
    azure.with(|world| {
        world.serve_raw(&path, RawReply { status, ..RawReply::json(body) });
        Ok(())
    });
}

/// Lets the daemon meet everything that can go wrong with its identity and with Azure.
async fn trouble(azure: &Azure, entra: &Entra, daemon: &Daemon, token: &str) {
    let message = daemon.finding(FindingKind::PollFailed).await;
    assert!(message.contains("AADSTS7000215") && message.contains("[hidden]"), "{message}");
    entra.gives(Some(token));
    daemon.shows(azure).await;
    for status in [401, 403, 404, 500, 302] {
        refuse(azure, status, token);
        eventually("it is told, without the token", async || {
            daemon.signal(Signal::USR1);
            let message = daemon.finding(FindingKind::PollFailed).await;
            let has = |text: &str| message.contains(text);
            if has(&status.to_string()) && has("you said: Bearer [hidden]") { Ok(()) } else { Err(message) }
        })
        .await;
    }
    // What is no answer at all.
    for body in [format!("{{\"properties\":\"{token}\"}}"), format!("\"{token}\""), format!("<{token}>")] {
        say(azure, 200, &body);
        daemon.signal(Signal::USR1);
        eventually("it is told", async || {
            let message = daemon.finding(FindingKind::PollFailed).await;
            if message.contains("200") || message.contains("answer") { Ok(()) } else { Err(message) }
        })
        .await;
    }
    azure.with(|world| {
        world.raw.clear();
        Ok(())
    });
    daemon.no_finding(FindingKind::PollFailed).await;
}

/// A page, or the beginning of what never ends, with its headers.
async fn page(admin: SocketAddr, request: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(admin).await.expect("connected");
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let head = head.replace('\n', "\r\n");
    let length = body.len();
    let text =
        format!("{head}\r\nhost: localhost\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    stream.write_all(text.as_bytes()).await.expect("sent");
    let mut all = Vec::new();
    loop {
        let read = stream.read_buf(&mut all).await.expect("read");
        if read == 0
            || request.contains("/events")
                && all.windows(6).any(|part| part == b"event:" || part == b"data: ")
        {
            return all;
        }
    }
}

#[tokio::test]
async fn a_daemon_with_every_kind_of_secret_keeps_them() {
    let azure = Azure::start().await;
    let mut ears = Ears::default();
    let mut home = Home::new(&azure);
    let entra = Entra::start(&home).await;
    let zones = azure.names().keys().map(|name| name.split_once('.').expect("a zone").1.to_owned()).collect();
    let bind = primaries::bind(&zones).await;

    // As systemd hands them over.
    let credentials = home.path("credentials");
    fs::create_dir(&credentials).expect("made");
    let token = format!("eyJ.{}.s", ears.secret("the token", 700));
    azure.with(|world| {
        world.tokens.accept(&token);
        Ok(())
    });
    let secret = ears.secret("the client secret", 40);
    home.secret(&credentials.join("client-secret"), &secret);
    let mut keys = String::new();
    for name in ["update-key", "ns1-key"] {
        let key = BASE64_STANDARD.encode(ears.secret(name, 32));
        writeln!(keys, "key \"{name}\" {{ algorithm hmac-sha256; secret \"{key}\"; }};").expect("text");
    }
    home.secret(&credentials.join("keys.conf"), &keys);
    let made = rcgen::generate_simple_self_signed(["dns.example".to_owned()]).expect("a certificate");
    let tls_key = made.signing_key.serialize_pem();
    ears.key("the key of the listeners", &tls_key);
    home.secret(&credentials.join("tls.pem"), &(made.cert.pem() + &tls_key));
    for (file, what, before) in [
        ("password", "a Kerberos password", ""),
        ("keytab", "a keytab", "\u{5}\u{2}"),
        ("ccache", "a ticket cache", "\u{5}\u{4}"),
    ] {
        home.secret(&credentials.join(file), &format!("{before}{}", ears.secret(what, 60)));
    }
    home.secret(
        &home.path("krb5.conf"),
        "[libdefaults]\ndefault_realm = EXAMPLE.TEST\ndns_lookup_kdc = false\n[realms]\nEXAMPLE.TEST = { kdc = 127.0.0.1:1 }\n",
    );
    let proxy_password = ears.secret("the proxy's password", 30);
    ears.secrets.insert(
        "Basic of the proxy".to_owned(),
        BASE64_STANDARD_NO_PAD.encode(format!("user:{proxy_password}")).into_bytes(),
    );

    home.settings.dns = "tls.certificate_file = \"$CREDENTIALS_DIRECTORY/tls.pem\"\n\
                         tls.listen = [\"127.0.0.1:0\"]\ntls.https_listen = [\"127.0.0.1:0\"]";
    let told = home.path("told");
    fs::create_dir(&told).expect("made");
    home.settings.transfer = format!(
        "[transfer]\nkey_files = [\"$CREDENTIALS_DIRECTORY/keys.conf\"]\n\
         [[secondary]]\nname = \"ns1\"\naddress = \"{0}\"\nkey = \"ns1-key\"\n\
         [[target]]\nname = \"bind\"\ntype = \"rfc2136\"\nservers = [\"{0}\"]\nkey = \"update-key\"\n\
         [[target]]\nname = \"files\"\ntype = \"zone-file\"\ndirectory = {told:?}\nreload = [\"env\"]\n",
        bind.address
    );
    for (name, key) in [("password", "password_file"), ("keytab", "keytab"), ("ccache", "ccache")] {
        let principal = if name == "ccache" { "" } else { "principal = \"p@EXAMPLE.TEST\"\n" };
        write!(
            home.settings.transfer,
            "[[target]]\nname = \"{name}\"\ntype = \"rfc2136\"\nservers = [\"{}\"]\n{key} = \"{}/{name}\"\n{principal}\
             service = \"dc.example.test\"\n",
            bind.address,
            credentials.display()
        )
        .expect("text");
    }
    let credential = format!(
        "kind = \"client-secret\"\ntenant_id = \"{TENANT}\"\nclient_id = \"{TENANT}\"\n\
         secret_file = \"$CREDENTIALS_DIRECTORY/client-secret\"\n"
    );
    configure(&home, &entra, &credential);
    let proxied = format!("http://user:{proxy_password}@{}", proxy().await);
    let (directory, krb5) = (credentials.display().to_string(), home.path("krb5.conf").display().to_string());
    let environment =
        [("CREDENTIALS_DIRECTORY", directory.as_str()), ("KRB5_CONFIG", &krb5), ("HTTPS_PROXY", &proxied)];

    let daemon = start(&home, &environment).await;
    trouble(&azure, &entra, &daemon, &token).await;
    let admin_token = fs::read(home.state().join("admin.token")).expect("a token").trim_ascii().to_owned();
    ears.secrets.insert("the token of the API".to_owned(), admin_token.clone());
    let admin_token = String::from_utf8(admin_token).expect("text");
    eventually("all targets have failed", async || {
        let failing =
            async |name| daemon.metric(&format!("privatelink_dns_target_failing{{target=\"{name}\"}}")).await;
        for name in ["bind", "password", "keytab", "ccache"] {
            if failing(name).await < 0.5 {
                return Err(name.to_owned());
            }
        }
        Ok(())
    })
    .await;
    assert_eq!(daemon.post("/api/v1/poll", Some(&admin_token), "").await.0, 200);
    daemon.reload().await;

    let hub = azure.hub();
    for path in [
        "/",
        "/page.js",
        "/metrics",
        "/livez",
        "/readyz",
        "/api/v1/status",
        "/api/v1/records",
        "/api/v1/history",
        "/api/v1/events",
        "/api/v1/openapi.json",
        "/api/v1/diff?from=1&to=1",
        "/api/v1/export/json",
        "/api/v1/export/bind",
        "/api/v1/nothing",
    ] {
        ears.hear(path, page(daemon.admin, &format!("GET {path} HTTP/1.1")).await);
    }
    ears.hear("explain", page(daemon.admin, &format!("GET /api/v1/explain/{hub} HTTP/1.1")).await);
    let almost = &admin_token[..admin_token.len() - 1];
    for (what, request) in [
        (
            "a right token",
            format!("POST /api/v1/holds/reject HTTP/1.1\nauthorization: Bearer {admin_token}\n\n[\"x\"]"),
        ),
        ("a wrong word", format!("POST /api/v1/poll HTTP/1.1\nauthorization: Basic {admin_token}")),
        (
            "a form",
            format!(
                "POST /page/poll HTTP/1.1\ncontent-type: application/x-www-form-urlencoded\n\ntoken={admin_token}"
            ),
        ),
        (
            "a wrong form",
            format!(
                "POST /page/holds HTTP/1.1\ncontent-type: application/x-www-form-urlencoded\n\ntoken={almost}"
            ),
        ),
    ] {
        ears.hear(what, page(daemon.admin, &request).await);
    }

    let admin = daemon.admin.to_string();
    let mut commands: Vec<(&str, Vec<&str>)> = [
        "check-config",
        "check-config --online",
        "status",
        "status --json",
        "history",
        "diff 1 1",
        "export json",
        "export bind",
        "plan",
        "plan --target bind",
        "plan --target keytab",
        "apply --target bind --plan 0",
        "target retire none",
        "verify",
        "health",
        "approve",
        "reject x",
    ]
    .map(|line| (line, line.split(' ').collect()))
    .to_vec();
    let dns = daemon.dns().to_string();
    commands.push(("explain", vec!["explain", &hub]));
    commands.push(("doctor", vec!["doctor", &dns]));
    for (what, arguments) in commands {
        let mut command = command(&home, &environment, &arguments);
        command.env("PRIVATELINK_DNS__ADMIN__LISTEN", &admin).env("RUST_LOG", "trace");
        let said = said(command).await;
        ears.hear(what, format!("{}\n{}", said.out, said.err));
    }
    // With the cloud beyond the proxy.
    let cloud = [
        ("PRIVATELINK_DNS__AZURE__AUTHORITY", "https://login.example"),
        ("PRIVATELINK_DNS__AZURE__CA_FILE", ""),
    ];
    for arguments in [&["check-config", "--online"][..], &["plan"]] {
        let mut command = command(&home, &environment, arguments);
        command.envs(cloud).env("NO_PROXY", "");
        let said = said(command).await;
        assert_ne!(said.code, Some(0));
        ears.hear(format!("{arguments:?} through a proxy"), format!("{}\n{}", said.out, said.err));
    }
    let (_, log) = daemon.end(Signal::TERM).await;
    let log: String = log.iter().map(|line| format!("{line}\n")).collect();
    assert!(
        log.contains("BADSIG") || log.contains("BADKEY") || log.contains("not signed"),
        "an update was refused"
    );
    ears.hear("the log", log);
    ears.read(
        home.path("").as_path(),
        &["client-secret", "keys.conf", "tls.pem", "password", "keytab", "ccache", "admin.token"],
    );
    ears.judge();
}

/// The other ways to be somebody, each with servers that repeat all that they hear.
#[tokio::test]
async fn every_credential_is_kept() {
    for kind in ["client-certificate", "workload-identity", "managed-identity", "through a proxy"] {
        let azure = Azure::start().await;
        let mut ears = Ears::default();
        let header = ears.secret("the identity header", 40);
        azure.with(|world| {
            world.tokens.identity_header.clone_from(&header);
            Ok(())
        });
        let home = Home::new(&azure);
        let entra = Entra::start(&home).await;
        let token = format!("eyJ.{}.s", ears.secret("the token", 700));
        azure.with(|world| {
            world.tokens.accept(&token);
            Ok(())
        });
        let principal = format!("tenant_id = \"{TENANT}\"\nclient_id = \"{TENANT}\"\n");
        let file = home.path("secret");
        let (credential, environment) = match kind {
            "client-certificate" => {
                let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key");
                let certificate = CertificateParams::new(["principal".to_owned()]).expect("parameters");
                let certificate = certificate.self_signed(&key).expect("a certificate");
                ears.key("the principal's key", &key.serialize_pem());
                home.secret(&file, &(certificate.pem() + &key.serialize_pem()));
                (format!("kind = \"client-certificate\"\n{principal}certificate_file = {file:?}\n"), None)
            }
            "workload-identity" => {
                home.secret(&file, &ears.secret("the federated token", 300));
                let variable = ("AZURE_FEDERATED_TOKEN_FILE", file.display().to_string());
                (format!("kind = \"workload-identity\"\n{principal}"), Some(variable))
            }
            "managed-identity" => ("kind = \"managed-identity\"\n".to_owned(), None),
            _ => {
                home.secret(&file, &ears.secret("the client secret", 40));
                let password = ears.secret("the proxy's password", 30);
                let basic = BASE64_STANDARD_NO_PAD.encode(format!("user:{password}"));
                ears.secrets.insert("Basic of the proxy".to_owned(), basic.into_bytes());
                let variable = ("HTTPS_PROXY", format!("http://user:{password}@{}", proxy().await));
                (format!("kind = \"client-secret\"\n{principal}secret_file = {file:?}\n"), Some(variable))
            }
        };
        configure(&home, &entra, &credential);
        if kind == "through a proxy" {
            let text = fs::read_to_string(home.config()).expect("a configuration");
            fs::write(home.config(), text.replace(&entra.url(), "https://login.example")).expect("written");
        }
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let daemon = start(&home, &environment).await;
        match kind {
            "through a proxy" => {
                daemon.finding(FindingKind::PollFailed).await;
            }
            // Its tokens are the simulator's own.
            "managed-identity" => daemon.shows(&azure).await,
            _ => trouble(&azure, &entra, &daemon, &token).await,
        }
        ears.hear("status", daemon.get("/api/v1/status").await.1);
        let (_, log) = daemon.end(Signal::TERM).await;
        ears.hear("the log", log.iter().map(|line| format!("{line}\n")).collect::<String>());
        ears.read(home.path("").as_path(), &["secret", "admin.token"]);
        eprintln!("{kind}");
        ears.judge();
    }
}

/// What people write by mistake: a secret where its file belongs, in the configuration, in a URL.
#[tokio::test]
async fn what_is_wrong_with_a_configuration_is_told_without_the_secrets_in_it() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    home.write();
    let right = fs::read_to_string(home.config()).expect("a configuration");
    let mut ears = Ears::default();
    let secret = ears.secret("a secret", 40);
    let principal = format!("kind = \"client-secret\"\ntenant_id = \"{TENANT}\"\nclient_id = \"{TENANT}\"\n");
    let kind = "kind = \"managed-identity\"\n";
    let broken = home.path("keys.conf");
    let wrong = [
        (kind, format!("{principal}secret = \"{secret}\"\n")),
        (kind, format!("{principal}secret_file = \"{secret}\"\n")),
        (kind, format!("{principal}secret_file = \"{secret}\n")),
        (kind, format!("{principal}secret_file = {secret}\n")),
        (kind, format!("{principal}{secret}\n")),
        (kind, format!("{principal}secret_file = {{ value = \"{secret}\" }}\n")),
        ("https://login.microsoftonline.com", format!("https://user:{secret}@login.microsoftonline.com")),
        ("https://login.microsoftonline.com", format!("https://user:{secret}@")),
        (
            "[guard]\n",
            format!("[resolver]\nupstreams = [\"https://user:{secret}@1.1.1.1/dns-query#one\"]\n[guard]\n"),
        ),
        ("[guard]\n", format!("[transfer]\nkey_files = [\"{secret}\"]\n[guard]\n")),
        ("[guard]\n", format!("[transfer]\nkey_files = [{broken:?}]\n[guard]\n")),
        (
            "[guard]\n",
            format!(
                "[[target]]\nname = 'a'\ntype = 'rfc2136'\nservers = ['127.0.0.1']\npassword_file = '{secret}'\n\
                 principal = 'p@R'\n[guard]\n"
            ),
        ),
        (
            "[guard]\n",
            format!(
                "[[target]]\nname = 'a'\ntype = 'rfc2136'\nservers = ['127.0.0.1']\npassword = '{secret}'\n[guard]\n"
            ),
        ),
    ];
    let keys = [
        format!("key \"k\" {{ algorithm hmac-sha256; secret \"{secret}!\"; }};"),
        format!("key \"k\" {{ algorithm hmac-sha256; secret {secret} \"x\"; }};"),
        format!("key \"k\" {{ algorithm hmac-sha256; secret \"{secret}\n"),
        secret.clone(),
        format!("[[key]]\nname = \"k\"\nalgorithm = \"hmac-sha256\"\nsecret = \"{secret}!\"\n"),
        format!("[[key]]\nname = \"k\"\nalgorithm = \"hmac-sha256\"\nsecret = {secret}\n"),
        format!("[[key]]\nname = \"k\"\nalgorithm = \"{secret}\"\n"),
    ];
    for (at, instead) in wrong {
        let text = right.replace(at, &instead);
        assert_ne!(text, right, "{at}");
        fs::write(home.config(), text).expect("written");
        for key in if instead.contains("keys.conf") { &keys[..] } else { &keys[..1] } {
            home.secret(&broken, key);
            for arguments in [&["check-config"][..], &["run"], &["status"]] {
                let said = said(command(&home, &[], arguments)).await;
                assert_ne!(said.code, Some(0), "{instead} {key}");
                ears.hear(
                    format!("{arguments:?} with {}", instead.replace(&secret, "SECRET")),
                    said.out + &said.err,
                );
            }
        }
    }
    home.write();
    let url = format!("https://user:{secret}@x");
    for (name, value) in [
        ("PRIVATELINK_DNS__AZURE__CREDENTIAL__SECRET", secret.as_str()),
        ("PRIVATELINK_DNS__AZURE__CREDENTIAL__SECRET_FILE", secret.as_str()),
        ("PRIVATELINK_DNS__AZURE__RESOURCE_MANAGER", url.as_str()),
        ("PRIVATELINK_DNS__AZURE__AUTHORITY", url.as_str()),
    ] {
        let said = said(command(&home, &[(name, value)], &["check-config"])).await;
        assert_ne!(said.code, Some(0), "{name}");
        ears.hear(name, said.out + &said.err);
    }
    ears.judge();
}

#[tokio::test]
async fn nothing_comes_to_a_disk_by_a_crash() {
    use std::os::unix::process::ExitStatusExt;

    let azure = Azure::start().await;
    let home = Home::new(&azure);
    home.write();
    let crash = home.path("crash");
    fs::create_dir(&crash).expect("made");
    let mut shell = home.environment("sh");
    let script = "ulimit -S -c unlimited 2>/dev/null; exec \"$0\" run --config \"$1\"";
    shell.args(["-c", script, BINARY]).arg(home.config()).current_dir(&crash).stdout(Stdio::null());
    let daemon = Daemon::start(shell).await;
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.id())).expect("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    let (status, _) = daemon.end(Signal::ABORT).await;
    assert!(status.signal() == Some(6) && !status.core_dumped(), "{status}");
    assert_eq!(fs::read_dir(&crash).expect("a directory").count(), 0);
}
