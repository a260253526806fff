//! `[resolver]`: where public DNS is asked, and for whom.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::credential;
use super::dns::prefixes;
use super::reader::{Field, Holds, Report, Section, Wrong, shown};
use super::types::{Resolver, Upstream, UpstreamTransport};
use crate::zones::Prefix;

const UPSTREAMS: &str = "[\"168.63.129.16\"]";
const MAX_UPSTREAMS: usize = 16;
const ALLOW: &str = "[\"loopback\", \"private\"]";
const DAY: Duration = Duration::from_secs(86_400);

/// The resolver; nothing without upstreams. `listen` is where the daemon itself answers.
pub(super) fn read(root: &Section<'_>, listen: &[SocketAddr], report: &mut Report) -> Option<Resolver> {
    let section = root.child("resolver", report);
    root.node("resolver")?;
    let upstreams = if section.node("upstreams").is_none() {
        let reason = ": without upstreams nothing can be resolved";
        section.require("upstreams", UPSTREAMS, reason, report, |_| Ok(()));
        Vec::new()
    } else {
        upstreams(&section, listen, report)
    };
    let second = Duration::from_secs(1);
    Some(Resolver {
        upstreams,
        race: section.choice("order", &[("listed", false), ("race", true)], report).unwrap_or(false),
        allow: prefixes(&section, "allow", ALLOW, report),
        fallback: section.choice("fallback", &[("public", true), ("none", false)], report).unwrap_or(true),
        timeout: section.duration(
            "timeout",
            Duration::from_secs(4),
            Duration::from_millis(100)..=second * 30,
            report,
        ),
        max_in_flight: section.number("max_in_flight", 1000_usize, 1..=65_536, report),
        cache_bytes: section.number("cache_mib", 32_usize, 1..=4096, report) << 20,
        max_ttl: section.duration("max_ttl", DAY, second..=7 * DAY, report),
        max_negative_ttl: section.duration(
            "max_negative_ttl",
            Duration::from_secs(900),
            second..=DAY,
            report,
        ),
        ca_file: credential::file(&section, "ca_file", Holds::Authorities, report),
    })
}

fn upstreams(section: &Section<'_>, listen: &[SocketAddr], report: &mut Report) -> Vec<Upstream> {
    let items = section.list("upstreams", UPSTREAMS, MAX_UPSTREAMS, report, upstream).unwrap_or_default();
    for (i, item) in items.iter().enumerate() {
        let upstream = &item.value;
        let wrong = if items.iter().take(i).any(|earlier| earlier.value == *upstream) {
            Wrong::new(format!("{upstream} is listed twice"), "remove one of the two")
        } else if listen.iter().any(|own| is_own(*own, upstream.address)) {
            Wrong::new(
                format!("{upstream} is an address of dns.listen: the daemon would ask itself"),
                "write the resolver that this machine used before",
            )
        } else {
            continue;
        };
        report.push(&item.place, &section.path("upstreams"), wrong);
    }
    items.into_iter().map(|item| item.value).collect()
}

/// Whether a query to `address` would come back to a socket on `own`.
fn is_own(own: SocketAddr, address: SocketAddr) -> bool {
    own.port() == address.port()
        && own.port() != 0
        && (own == address
            || own.ip().is_unspecified() && own.is_ipv4() == address.is_ipv4() && address.ip().is_loopback())
}

/// `ADDRESS`, `tcp://ADDRESS`, `tls://ADDRESS#NAME` or `https://ADDRESS/PATH#NAME`, each with an
/// optional port.
fn upstream(field: &Field<'_>) -> Result<Upstream, Wrong> {
    let text = field.text()?;
    let (scheme, rest) = text.split_once("://").unwrap_or(("udp", text));
    let (rest, name) = match rest.split_once('#') {
        Some((rest, name)) => (rest, Some(name)),
        None => (rest, None),
    };
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let port = match scheme {
        "udp" | "tcp" => 53,
        "tls" => 853,
        "https" => 443,
        _ => {
            let problem = format!("{} starts with none of udp://, tcp://, tls:// and https://", shown(text));
            return Err(field.wrong(problem));
        }
    };
    let address = address(authority, port).ok_or_else(|| {
        field.wrong(format!("{} has no IP address with an optional port (IPv6: [ADDRESS]:PORT)", shown(text)))
    })?;
    if address.ip().is_unspecified() || address.ip().is_multicast() || address.port() == 0 {
        return Err(field.wrong(format!("{} is no address of a server", shown(text))));
    }
    let encrypted = matches!(scheme, "tls" | "https");
    if !encrypted && name.is_some() || scheme != "https" && !path.is_empty() {
        let example = format!("\"{scheme}://{address}\"");
        return Err(Wrong::new(
            format!("{} has a name or a path, which {scheme} does not use", shown(text)),
            format!("write {example}"),
        ));
    }
    let server_name = || match name {
        Some(name) if name.parse::<crate::zones::DnsName>().is_ok() || name.parse::<IpAddr>().is_ok() => {
            Ok(name.to_owned())
        }
        _ => Err(Wrong::new(
            format!("{} lacks the name in the server's certificate", shown(text)),
            format!("write it behind a #, such as \"{scheme}://{authority}{path}#dns.example.net\""),
        )),
    };
    let transport = match scheme {
        "tcp" => UpstreamTransport::Tcp,
        "tls" => UpstreamTransport::Tls { server_name: server_name()? },
        "https" => UpstreamTransport::Https {
            server_name: server_name()?,
            path: if path.is_empty() { "/dns-query".to_owned() } else { path.to_owned() },
        },
        _ => UpstreamTransport::Udp,
    };
    Ok(Upstream { address, transport })
}

fn address(text: &str, port: u16) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let address = text.parse().ok().or_else(|| Some(SocketAddr::new(bare.parse().ok()?, port)))?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.transport {
            UpstreamTransport::Udp => write!(f, "{}", self.address),
            UpstreamTransport::Tcp => write!(f, "tcp://{}", self.address),
            UpstreamTransport::Tls { server_name } => write!(f, "tls://{}#{server_name}", self.address),
            UpstreamTransport::Https { server_name, path } => {
                write!(f, "https://{}{path}#{server_name}", self.address)
            }
        }
    }
}

impl Resolver {
    /// Whether a client may ask for names of public DNS.
    #[must_use]
    pub fn allows(&self, client: IpAddr) -> bool {
        self.allow.iter().any(|prefix: &Prefix| prefix.contains(client))
    }
}
