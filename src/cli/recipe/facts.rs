//! What a recipe is made of, taken from the configuration and the stored generation.

use std::net::{IpAddr, SocketAddr};

use super::error::RecipeError;
use crate::config::{Access, Config, Notification, Secondary};
use crate::store::Store;
use crate::wire::tsig::Keys;
use crate::zones::{Catalog, DnsName};

/// Stands where the secret belongs.
pub(super) const PLACEHOLDER: &str = "REPLACE-WITH-THE-SECRET";

/// The port of DNS.
pub(super) const PORT: u16 = 53;

/// Plain values; a recipe is a function of them alone.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// Where the secondary reaches the daemon.
    pub(super) primary: SocketAddr,
    /// The secondary.
    pub(super) secondary: Secondary,
    /// Its key.
    pub(super) key: Option<Key>,
    /// The catalog zone.
    pub(super) catalog: Option<Catalog>,
    /// The response policy zone.
    pub(super) rpz: Option<DnsName>,
    /// The daemon publishes `privatelink.*` zones.
    pub(super) privatelink_zones: bool,
    /// The zones, for a recipe that has to list them.
    pub(super) zones: Vec<DnsName>,
}

/// A TSIG key, without its secret.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// Its name.
    pub(super) name: DnsName,
    /// Its algorithm, such as `hmac-sha256`; nothing when the file could not be read.
    pub(super) algorithm: Option<&'static str>,
    /// The files on the daemon's host, one of which holds it.
    pub(super) files: String,
}

/// Where the secondary reaches the daemon, as the command line says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Primary {
    /// At the port that the configuration tells.
    Address(IpAddr),
    /// At this port.
    Socket(SocketAddr),
}

/// Reads `ADDRESS` or `ADDRESS:PORT`.
pub(super) fn primary(text: &str) -> Result<Primary, String> {
    let primary =
        text.parse().map(Primary::Address).or_else(|_| text.parse().map(Primary::Socket)).map_err(|_| {
            format!(
                "{text:?} is no IP address, alone or with a port (10.0.0.5, 10.0.0.5:5300, [fd00::5]:5300)"
            )
        })?;
    let ip = match primary {
        Primary::Address(ip) => ip,
        Primary::Socket(address) => address.ip(),
    };
    if ip.is_unspecified() { Err(format!("{text} is a wildcard, not an address")) } else { Ok(primary) }
}

impl Facts {
    /// Takes them from the configuration, and the zones from the state directory when they are needed.
    pub(super) fn gather(
        config: &Config,
        secondary: Option<&str>,
        primary: Option<Primary>,
        needs_zones: bool,
    ) -> Result<Self, RecipeError> {
        let secondary = chosen(&config.transfer.secondaries, secondary)?.clone();
        let files: Vec<String> =
            config.transfer.key_files.iter().map(|file| file.display().to_string()).collect();
        let keys = Keys::read(&config.transfer.key_files).unwrap_or_default();
        let key = secondary.key.clone().map(|name| Key {
            algorithm: keys.get(&name).map(|key| key.algorithm().as_str()),
            files: files.join(" or "),
            name,
        });
        let zones = if needs_zones {
            let saved = Store::read(&config.state_directory)?;
            let zones: Vec<DnsName> =
                saved.iter().flat_map(|saved| saved.generation.members()).cloned().collect();
            if zones.is_empty() {
                return Err(RecipeError::NoZones(config.state_directory.display().to_string()));
            }
            zones
        } else {
            Vec::new()
        };
        Ok(Self {
            primary: reached(&config.dns.listen, primary, secondary.source)?,
            secondary,
            key,
            catalog: config.publication.catalog.clone(),
            rpz: config.publication.rpz.clone(),
            privatelink_zones: config.publication.privatelink_zones,
            zones,
        })
    }

    /// The address that NOTIFY comes from.
    pub(super) fn notifier(&self) -> IpAddr {
        self.secondary.source.unwrap_or_else(|| self.primary.ip())
    }

    /// The origin of the response policy zone.
    pub(super) fn rpz(&self) -> Result<&DnsName, RecipeError> {
        self.rpz.as_ref().ok_or(RecipeError::NoRpz)
    }

    /// That the secondary, which knows no TSIG, may take zones by its address and is told of changes
    /// without a signature.
    pub(super) fn fits_without_tsig(&self, server: &'static str) -> Result<(), RecipeError> {
        self.may_transfer_by_address(server, "knows no TSIG")?;
        if self.secondary.notification == Notification::Signed {
            let (lacks, write) = ("takes no signed NOTIFY", "notify = \"unsigned\"");
            return Err(RecipeError::Unfit { server, lacks, write, secondary: self.secondary.name.clone() });
        }
        Ok(())
    }

    /// That the secondary may take zones without a key.
    pub(super) fn may_transfer_by_address(
        &self,
        server: &'static str,
        lacks: &'static str,
    ) -> Result<(), RecipeError> {
        let write = match self.secondary.access {
            Access::Address | Access::KeyOrAddress => return Ok(()),
            Access::Key | Access::KeyAndAddress if self.key.is_some() => "transfer_by = \"key-or-address\"",
            Access::Key | Access::KeyAndAddress => "transfer_by = \"address\"",
        };
        Err(RecipeError::Unfit { server, lacks, write, secondary: self.secondary.name.clone() })
    }

    /// How the secondary is addressed on the command line of dig.
    pub(super) fn dig(&self, rest: &str) -> String {
        let (ip, port) = (self.secondary.address.ip(), self.secondary.address.port());
        let port = if port == PORT { String::new() } else { format!(" -p {port}") };
        format!("dig @{ip}{port} {rest}")
    }

    /// The comments that every recipe begins with: what it is, what to do with it, and what stands in
    /// the way. `steps` have lines without marks.
    pub(super) fn head(&self, mark: &str, title: &str, steps: &[String]) -> String {
        let (secondary, ip) = (&self.secondary, self.secondary.address.ip());
        let mut lines = vec![
            format!("{title} of privatelink-dns."),
            format!("Secondary {} at {}, primary at {}.", secondary.name, secondary.address, self.primary),
            String::new(),
        ];
        for step in steps {
            lines.extend(
                step.lines()
                    .enumerate()
                    .map(|(i, line)| format!("{} {line}", if i == 0 { '-' } else { ' ' })),
            );
        }
        let (primary, port) = (self.primary.ip(), self.primary.port());
        lines.push(format!("- Firewall, UDP and TCP: {ip} to {primary} port {port}, for the zones;"));
        lines.push(format!("  {} to {ip} port {}, for NOTIFY.", self.notifier(), secondary.address.port()));
        if primary.is_loopback() && !ip.is_loopback() {
            lines.push(format!("- {primary} is the daemon on its own host only; see --primary."));
        }
        if secondary.notification == Notification::Off {
            lines.push(
                "- Changes are not told (notify = \"off\") and take up to 300 s, the refresh.".to_owned(),
            );
        }
        lines.iter().map(|line| format!("{mark} {line}").trim_end().to_owned() + "\n").collect()
    }

    /// That the daemon goes by the address from which the server asks for zones, and `how` it is set on a
    /// host with several.
    pub(super) fn source(&self, how: &str) -> Option<String> {
        (self.secondary.access != Access::Key).then(|| {
            let ip = self.secondary.address.ip();
            format!("The daemon knows the secondary by {ip}: with several addresses on its host,\n{how}.")
        })
    }

    /// What to replace in a recipe that holds the secret; nothing without a key.
    pub(super) fn secret(&self) -> Vec<String> {
        let Some(key) = &self.key else { return Vec::new() };
        let mut text = format!(
            "Replace {PLACEHOLDER} by the secret of the key {},\non the daemon's host in {}.",
            key.name, key.files
        );
        if key.algorithm.is_none() {
            text += "\nThe key could not be read: check that its algorithm is hmac-sha256.";
        }
        vec![text]
    }

    /// How to see that the zones are there and right.
    pub(super) fn check_zones(&self) -> String {
        let zone = self.zones.first().map_or("ZONE", DnsName::as_str);
        format!(
            "Check: this has to show the serial that `privatelink-dns status` shows:\n    {}",
            self.dig(&format!("{zone} SOA"))
        )
    }

    /// How to see that the response policy zone works.
    pub(super) fn check_rpz(&self) -> String {
        format!(
            "Check: for a name of `privatelink-dns status --records` this has to show its private address:\n    \
             {}",
            self.dig("HUB.azure-devices.net A")
        )
    }

    /// Why a recipe lists the zones, and what that means. `follows` is set when the server could follow
    /// a catalog.
    pub(super) fn listed(&self, follows: bool) -> String {
        let mut text = "The zones are those of now. Whenever `privatelink-dns status` shows others, print \
                        the recipe again."
            .to_owned();
        if follows {
            text += "\nWith catalog = \"catalog.privatelink-dns.internal\" in [transfer] they would follow by \
                     themselves.";
        }
        text
    }

    /// What is not in the zones.
    pub(super) fn others(&self) -> Option<String> {
        self.privatelink_zones.then(|| {
            "The privatelink zones hold your names only: whoever asks this server is told that other\n\
             tenants' names in them do not exist."
                .to_owned()
        })
    }
}

impl Key {
    /// The algorithm to write.
    pub(super) fn algorithm(&self) -> &'static str {
        self.algorithm.unwrap_or("hmac-sha256")
    }
}

/// The secondary that is meant.
fn chosen<'a>(secondaries: &'a [Secondary], name: Option<&str>) -> Result<&'a Secondary, RecipeError> {
    let names = || secondaries.iter().map(|secondary| secondary.name.clone()).collect();
    match (name, secondaries) {
        (_, []) => Err(RecipeError::NoSecondary),
        (Some(name), all) => all
            .iter()
            .find(|secondary| secondary.name == name)
            .ok_or_else(|| RecipeError::UnknownSecondary { name: name.to_owned(), names: names() }),
        (None, [only]) => Ok(only),
        (None, _) => Err(RecipeError::WhichSecondary(names())),
    }
}

/// Where the secondary reaches the daemon: at the only listener, at the address that its NOTIFY comes
/// from, or as the command line says.
fn reached(
    listen: &[SocketAddr],
    primary: Option<Primary>,
    source: Option<IpAddr>,
) -> Result<SocketAddr, RecipeError> {
    let which = || RecipeError::WhichPrimary(listen.to_vec());
    let only = match listen {
        [only] if !only.ip().is_unspecified() => Some(Primary::Socket(*only)),
        _ => source.map(Primary::Address),
    };
    let address = match (primary.or(only), listen) {
        (None, _) => return Err(which()),
        (Some(Primary::Socket(address)), _) => address,
        (Some(Primary::Address(ip)), []) => SocketAddr::new(ip, PORT),
        (Some(Primary::Address(ip)), [first, rest @ ..]) => {
            // The port of this address, or the one that all have.
            let own = listen.iter().find(|address| address.ip() == ip);
            let common = rest.iter().all(|address| address.port() == first.port()).then_some(first);
            SocketAddr::new(ip, own.or(common).ok_or_else(which)?.port())
        }
    };
    if address.port() == 0 { Err(which()) } else { Ok(address) }
}
