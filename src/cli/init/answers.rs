//! What is known about the set-up, as a configuration; pure.

use std::fmt::Write as _;
use std::path::Path;

use super::CONFIG;
use crate::config;

/// The name of the TSIG key in the file that the operator gives.
const KEY: &str = "privatelink-dns-key";

/// Stands for what is not known yet, so that the rest can be checked.
const APPLICATION: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/my-group/providers/\
                           Microsoft.IoTCentral/iotApps/my-application";
const ID: &str = "00000000-0000-0000-0000-000000000000";
const FILE: &str = "/etc/privatelink-dns/secret";

/// Who asks Azure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Credential {
    /// The identity of a virtual machine or App Service in Azure
    ManagedIdentity,
    /// The identity of a server with the Azure Arc agent
    Arc,
    /// Kubernetes with workload identity; tenant, client and token come from its environment
    WorkloadIdentity,
    /// A service principal with a secret
    ClientSecret,
    /// A service principal with a certificate
    ClientCertificate,
    /// The account of `az login`, for trying things out
    AzureCli,
}

/// What the daemon is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Role {
    /// A DNS server such as BIND, Unbound or Windows DNS asks it for names below the public suffixes
    BesideDnsServer,
    /// Virtual machines and devices ask it for every name
    Resolver,
    /// Name servers take the zones over, as its secondaries
    HiddenPrimary,
    /// Name servers that stay primary get the records written into their zones
    Push,
}

impl Role {
    /// Where it answers, when nobody says otherwise.
    pub(super) const fn listen(self) -> &'static str {
        match self {
            // A DNS server on the same host has port 53.
            Self::BesideDnsServer | Self::Push => "127.0.0.1:5300",
            Self::Resolver | Self::HiddenPrimary => "0.0.0.0",
        }
    }

    pub(super) const fn resolves(self) -> bool {
        matches!(self, Self::BesideDnsServer | Self::Resolver)
    }

    pub(super) const fn has_servers(self) -> bool {
        matches!(self, Self::HiddenPrimary | Self::Push)
    }
}

/// One application, or all of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Followed {
    Application(String),
    Scope { subscription: String, group: Option<String> },
}

impl Followed {
    /// A resource id begins with a slash; anything else is SUBSCRIPTION or SUBSCRIPTION/GROUP.
    pub(super) fn parse(text: &str) -> Self {
        if text.starts_with('/') {
            return Self::Application(text.to_owned());
        }
        let (subscription, group) = match text.split_once('/') {
            Some((subscription, group)) => (subscription, Some(group.to_owned())),
            None => (text, None),
        };
        Self::Scope { subscription: subscription.to_owned(), group }
    }
}

/// Everything that the questions ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) followed: Vec<Followed>,
    pub(super) tag: Option<String>,
    pub(super) cloud: Option<String>,
    pub(super) credential: Option<Credential>,
    pub(super) tenant_id: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) secret_file: Option<String>,
    pub(super) role: Option<Role>,
    pub(super) listen: Vec<String>,
    pub(super) upstreams: Vec<String>,
    pub(super) servers: Vec<String>,
    pub(super) key_file: Option<String>,
}

impl Answers {
    pub(super) fn role(&self) -> Role {
        self.role.unwrap_or(Role::BesideDnsServer)
    }

    pub(super) fn credential(&self) -> Credential {
        self.credential.unwrap_or(Credential::ManagedIdentity)
    }

    /// Whether applications are looked for.
    pub(super) fn searches(&self) -> bool {
        self.followed.iter().any(|followed| matches!(followed, Followed::Scope { .. }))
    }

    /// What is wrong with what is known so far; files are not looked at.
    pub(super) fn fault(&self) -> Option<String> {
        let errors = config::parse("answers", &self.text(), std::iter::empty()).err()?;
        Some(errors.to_string())
    }

    /// The configuration; what is not known has a default or a placeholder.
    pub(super) fn text(&self) -> String {
        let mut text =
            "# Written by `privatelink-dns init`. Every key: reference.toml.\nversion = 1\n".to_owned();
        if let Some(cloud) = self.cloud.as_deref().filter(|cloud| *cloud != "public") {
            let _ = write!(text, "\n[azure]\ncloud = {}\n", quoted(cloud));
        }
        self.credential_text(&mut text);
        self.followed_text(&mut text);
        let listen =
            if self.listen.is_empty() { vec![self.role().listen().to_owned()] } else { self.listen.clone() };
        let _ =
            write!(text, "\n# UDP and TCP; without a port it is 53.\n[dns]\nlisten = {}\n", list(&listen));
        if self.role().resolves() {
            let default = ["168.63.129.16".to_owned()];
            let upstreams = if self.upstreams.is_empty() { &default[..] } else { &self.upstreams };
            let _ = write!(
                text,
                "\n# Asked for every name that is not ours, other tenants' names in our zones among them.\n[resolver]\n\
                 upstreams = {}\n",
                list(upstreams)
            );
        }
        self.servers_text(&mut text);
        text
    }

    fn credential_text(&self, text: &mut String) {
        let credential = self.credential();
        let kind = clap::ValueEnum::to_possible_value(&credential);
        let kind = kind.as_ref().map_or("", |kind| kind.get_name());
        let _ = write!(text, "\n# Who asks Azure; check it with `privatelink-dns check-config --online`.\n");
        let _ = write!(text, "[azure.credential]\nkind = {}\n", quoted(kind));
        let or = |value: &Option<String>, default: &str| quoted(value.as_deref().unwrap_or(default));
        match credential {
            Credential::ManagedIdentity => {
                if let Some(client) = &self.client_id {
                    let _ = writeln!(text, "client_id = {}", quoted(client));
                }
            }
            Credential::ClientSecret | Credential::ClientCertificate => {
                let file =
                    if credential == Credential::ClientSecret { "secret_file" } else { "certificate_file" };
                let _ = writeln!(
                    text,
                    "tenant_id = {}\nclient_id = {}\n{file} = {}",
                    or(&self.tenant_id, ID),
                    or(&self.client_id, ID),
                    or(&self.secret_file, FILE)
                );
            }
            Credential::Arc | Credential::WorkloadIdentity | Credential::AzureCli => {}
        }
    }

    fn followed_text(&self, text: &mut String) {
        let placeholder = [Followed::Application(APPLICATION.to_owned())];
        let followed = if self.followed.is_empty() { &placeholder[..] } else { &self.followed };
        for followed in followed {
            match followed {
                Followed::Application(id) => {
                    let _ = write!(text, "\n[[application]]\nid = {}\n", quoted(id));
                }
                Followed::Scope { subscription, group } => {
                    let _ = write!(
                        text,
                        "\n# All IoT Central applications of the scope, later ones too.\n[[discovery]]\nsubscription = {}\n",
                        quoted(subscription)
                    );
                    if let Some(group) = group {
                        let _ = writeln!(text, "resource_group = {}", quoted(group));
                    }
                    if let Some(tag) = &self.tag {
                        let _ = writeln!(text, "tag = {}", quoted(tag));
                    }
                }
            }
        }
    }

    fn servers_text(&self, text: &mut String) {
        let role = self.role();
        if !role.has_servers() {
            return;
        }
        if self.key_file.is_some() || role == Role::HiddenPrimary {
            text.push_str("\n[transfer]\n");
        }
        if let Some(file) = &self.key_file {
            let _ = writeln!(text, "key_files = {}", list(std::slice::from_ref(file)));
        }
        if role == Role::HiddenPrimary {
            text.push_str("catalog = \"catalog.privatelink-dns.internal\"   # lists the zones\n");
            text.push_str(
                "rpz = \"rpz.privatelink-dns.internal\"           # the public names, for resolvers\n",
            );
        }
        for (number, server) in (1..).zip(&self.servers) {
            let name = format!("ns{number}");
            if role == Role::HiddenPrimary {
                let _ = write!(text, "\n[[secondary]]\nname = \"{name}\"\naddress = {}\n", quoted(server));
                text.push_str(&match self.key_file {
                    Some(_) => format!("key = \"{KEY}\"\n"),
                    None => "transfer_by = \"address\"\n".to_owned(),
                });
            } else {
                let _ = write!(
                    text,
                    "\n[[target]]\nname = \"{name}\"\ntype = \"rfc2136\"\nservers = {}\n",
                    list(std::slice::from_ref(server))
                );
                if self.key_file.is_some() {
                    let _ = writeln!(text, "key = \"{KEY}\"");
                }
                text.push_str(
                    "# Look at what it would do first: privatelink-dns plan --target; then take this out.\n",
                );
                text.push_str("dry_run = true\n");
            }
        }
    }

    /// What to do after it was written to `path`.
    pub(super) fn next(&self, path: &Path) -> String {
        let is_default = path == Path::new(CONFIG);
        let path = path.display();
        let (file, flag) = if is_default {
            (String::new(), String::new())
        } else {
            (format!(" {path}"), format!(" --config {path}"))
        };
        let mut text = format!("{path} is written. Next:\n\n  privatelink-dns check-config --online{file}\n");
        text += &if is_default {
            "  systemctl enable --now --no-block privatelink-dns\n".to_owned()
        } else {
            format!("  privatelink-dns run{flag}\n")
        };
        let _ = writeln!(text, "  privatelink-dns status{flag}");
        let servers = (1..).zip(&self.servers);
        match self.role() {
            Role::BesideDnsServer => {
                text +=
                    "\nThen forward the four public suffixes to the daemon: README, Connecting your DNS, B.\n"
            }
            Role::Resolver => text += "\nThen make it the machines' DNS server: README, Virtual machines.\n",
            Role::HiddenPrimary => {
                for (number, _) in servers {
                    let _ = writeln!(
                        text,
                        "  privatelink-dns recipe bind-secondary --secondary ns{number}{flag}"
                    );
                }
                text += "\nOther servers than BIND: privatelink-dns recipe --help.\n";
            }
            Role::Push => {
                for (number, _) in servers {
                    let _ = writeln!(text, "  privatelink-dns plan --target ns{number}{flag}");
                }
                text += "\nThen take dry_run out of the configuration: README, Servers that stay primary.\n";
            }
        }
        text
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn list(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    fn read(answers: &Answers) -> config::Config {
        let text = answers.text();
        config::parse("test", &text, std::iter::empty()).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
    }

    #[test]
    fn every_role_and_credential_makes_a_right_configuration() {
        for role in Role::value_variants() {
            for credential in Credential::value_variants() {
                for key_file in [None, Some("/etc/keys.conf".to_owned())] {
                    let answers = Answers {
                        role: Some(*role),
                        credential: Some(*credential),
                        servers: vec!["10.0.0.53".to_owned(), "10.0.0.54:5353".to_owned()],
                        key_file,
                        ..Answers::default()
                    };
                    assert_eq!(answers.fault(), None);
                    let config = read(&answers);
                    assert_eq!(config.resolver.is_some(), role.resolves());
                    let servers = config.transfer.secondaries.len() + config.targets.len();
                    assert_eq!(servers, if role.has_servers() { 2 } else { 0 });
                    assert!(config.targets.iter().all(|target| target.dry_run), "nothing is written unseen");
                }
            }
        }
    }

    #[test]
    fn what_was_answered_is_what_is_read() {
        let answers = Answers {
            followed: vec![
                Followed::parse(APPLICATION),
                Followed::parse("11111111-0000-0000-0000-000000000000/grün"),
                Followed::parse("22222222-0000-0000-0000-000000000000"),
            ],
            tag: Some("dns=\"private\"\\".to_owned()),
            cloud: Some("us-government".to_owned()),
            client_id: Some("33333333-0000-0000-0000-000000000000".to_owned()),
            listen: vec!["10.0.0.5".to_owned(), "[::1]:5300".to_owned()],
            upstreams: vec!["10.0.0.1".to_owned()],
            ..Answers::default()
        };
        let config = read(&answers);
        assert_eq!(config.applications.len(), 1);
        assert_eq!(config.discoveries.len(), 2);
        assert_eq!(config.discoveries[0].resource_group.as_deref(), Some("grün"));
        assert_eq!(config.discoveries[1].tag, Some(("dns".to_owned(), Some("\"private\"\\".to_owned()))));
        assert_eq!(config.azure.cloud, config::Cloud::us_government());
        assert_eq!(
            config.dns.listen,
            ["10.0.0.5:53".parse().expect("one"), "[::1]:5300".parse().expect("one")]
        );
    }

    #[test]
    fn a_wrong_answer_is_known_at_once() {
        for followed in ["/subscriptions/x", "contoso", "../etc", "11111111-0000-0000-0000-000000000000/a\nb"]
        {
            let answers = Answers { followed: vec![Followed::parse(followed)], ..Answers::default() };
            assert!(answers.fault().is_some(), "{followed}");
        }
        let listen = Answers { listen: vec!["nowhere".to_owned()], ..Answers::default() };
        assert!(listen.fault().is_some_and(|fault| fault.contains("nowhere")));
    }
}
