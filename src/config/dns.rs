//! `[dns]` and `[admin]`: where is listened, who may ask, and how much.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::duration;
use super::error::Place;
use super::prefix::{KEYWORDS, keyword};
use super::reader::{Field, Item, Report, Section, Wrong, shown};
use super::schema::nearest;
use super::tls;
use super::types::{Dns, RateLimit};
use super::zones::at_least;
use crate::zones::{Prefix, PrefixError};

const LISTEN: &str = "[\"127.0.0.1:53\"]";
const ALLOW: &str = "[\"loopback\", \"private\"]";
pub(super) const MAX_ADDRESSES: usize = 64;
const MAX_PREFIXES: usize = 1024;

/// `[dns]` and the address of `[admin]`, which have to keep clear of each other.
pub(super) fn read(root: &Section<'_>, poll_interval: Duration, report: &mut Report) -> (Dns, SocketAddr) {
    let dns = root.child("dns", report);
    let listen = dns.list("listen", LISTEN, MAX_ADDRESSES, report, |field| address(field, 53));
    let replaced = listen.is_none() && dns.node("listen").is_some();
    let mut listen = listen.unwrap_or_else(|| {
        let value = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 53);
        vec![Item { place: Place::File, value }]
    });
    report_overlaps(&listen, "dns.listen", report);

    let admin_listen = admin_listen(root, report);
    // Unlike the others, the admin listener takes IPv4 as well on [::].
    let twice = match admin_listen.ip() {
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::from(([0, 0, 0, 0], admin_listen.port())),
        _ => admin_listen,
    };
    let collides = |other| overlap(other, admin_listen) || overlap(other, twice);
    if let Some(other) = listen.iter().find(|item| collides(item.value))
        && !report.is_wrong("admin.listen")
        && !replaced
    {
        let admin = root.child("admin", report);
        let place = admin.node("listen").map_or(&other.place, |(_, node)| &node.place);
        let wrong = Wrong::new(
            format!("{admin_listen} collides with {} of dns.listen", other.value),
            "write another port",
        );
        report.push(place, "admin.listen", wrong);
    }

    let tcp_connections = dns.number("tcp_connections", 1024_usize, 1..=65_536, report);
    let per_client = dns.number("tcp_connections_per_client", 64.min(tcp_connections), 1..=65_536, report);
    if per_client > tcp_connections
        && !report.is_wrong("dns.tcp_connections")
        && let Some((_, node)) = dns.node("tcp_connections_per_client")
    {
        let wrong = Wrong::new(
            format!(
                "{per_client} is more than tcp_connections, {tcp_connections}, the number for all clients"
            ),
            format!("write at most {tcp_connections}"),
        );
        report.push(&node.place, &dns.path("tcp_connections_per_client"), wrong);
    }

    let quarter = Duration::from_secs(900);
    let week = Duration::from_secs(7 * 86_400);
    let stale_after =
        dns.duration("stale_after", quarter.max(poll_interval * 3), Duration::from_secs(1)..=week, report);
    if stale_after < poll_interval && !report.is_wrong("azure.poll_interval") {
        let interval = duration::show(poll_interval);
        let problem = format!("{} is less than azure.poll_interval, {interval}", duration::show(stale_after));
        at_least(&dns, "stale_after", problem, &interval, report);
    }

    let dns = Dns {
        listen: listen.drain(..).map(|item| item.value).collect(),
        allow_query: prefixes(&dns, "allow_query", ALLOW, report),
        udp_threads: dns.number("udp_threads", 0_usize, 0..=256, report),
        tcp_connections,
        tcp_connections_per_client: per_client,
        tcp_idle_timeout: dns.duration(
            "tcp_idle_timeout",
            Duration::from_secs(10),
            Duration::from_secs(1)..=Duration::from_secs(600),
            report,
        ),
        rate_limit: rate_limit(&dns, report),
        stale_after,
        tls: tls::read(&dns, report),
    };
    (dns, admin_listen)
}

/// The address of `[admin]`.
pub(super) fn admin_listen(root: &Section<'_>, report: &mut Report) -> SocketAddr {
    root.child("admin", report)
        .read("listen", "\"127.0.0.1:9853\"", report, |field| address(field, 9853))
        .unwrap_or_else(|| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9853))
}

fn rate_limit(dns: &Section<'_>, report: &mut Report) -> RateLimit {
    let limit = dns.child("rate_limit", report);
    RateLimit {
        responses_per_second: limit.number("responses_per_second", 1000_u32, 0..=1_000_000, report),
        slip: limit.number("slip", 1_u32, 0..=10, report),
        ipv4_prefix: limit.number("ipv4_prefix", 24_u8, 1..=32, report),
        ipv6_prefix: limit.number("ipv6_prefix", 56_u8, 1..=128, report),
    }
}

/// `ADDRESS:PORT`, `[ADDRESS]:PORT`, or an address alone for the usual port.
pub(super) fn address(field: &Field<'_>, port: u16) -> Result<SocketAddr, Wrong> {
    let text = field.text()?;
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let alone = || bare.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port));
    let address = text.parse::<SocketAddr>().ok().or_else(alone).ok_or_else(|| {
        field.wrong(format!("{} is no IP address with an optional port (IPv6: [ADDRESS]:PORT)", shown(text)))
    })?;
    if address.ip().is_multicast() {
        return Err(field.wrong(format!("{} is a multicast address", shown(text))));
    }
    if address.ip() != address.ip().to_canonical() {
        let plain = SocketAddr::new(address.ip().to_canonical(), address.port());
        return Err(Wrong::new(
            format!("{} is an IPv4 address written as IPv6", shown(text)),
            format!("write \"{plain}\""),
        ));
    }
    Ok(address)
}

/// Whether two sockets cannot be bound together, or would share their packets by chance. Port 0
/// takes any free port and is never in the way.
pub(crate) fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port()
        && a.port() != 0
        && a.is_ipv4() == b.is_ipv4()
        && (a == b || a.ip().is_unspecified() || b.ip().is_unspecified())
}

pub(super) fn report_overlaps(listen: &[Item<SocketAddr>], key: &str, report: &mut Report) {
    for (i, item) in listen.iter().enumerate() {
        let Some(earlier) = listen.iter().take(i).find(|e| overlap(e.value, item.value)) else { continue };
        let wrong = if earlier.value == item.value {
            Wrong::new(format!("{} is listed twice", item.value), "remove one of the two")
        } else {
            let (wildcard, single) = if item.value.ip().is_unspecified() {
                (item.value, earlier.value)
            } else {
                (earlier.value, item.value)
            };
            Wrong::new(
                format!("{wildcard} stands for every address and includes {single} already"),
                format!("remove {single}, or list every address in place of {wildcard}"),
            )
        };
        report.push(&item.place, key, wrong);
    }
}

/// Who may do something; loopback and private networks when the key is absent.
pub(super) fn prefixes(section: &Section<'_>, key: &str, example: &str, report: &mut Report) -> Vec<Prefix> {
    let items = section.list(key, example, MAX_PREFIXES, report, prefix);
    let defaults = || ["loopback", "private"].into_iter().filter_map(keyword).flatten().collect();
    let Some(items) = items else { return defaults() };
    let mut prefixes = Vec::new();
    for prefix in items.into_iter().flat_map(|item| item.value) {
        if !prefixes.contains(&prefix) {
            prefixes.push(prefix);
        }
    }
    prefixes
}

fn prefix(field: &Field<'_>) -> Result<Vec<Prefix>, Wrong> {
    let text = field.text()?;
    if let Some(prefixes) = keyword(text) {
        return Ok(prefixes);
    }
    text.parse().map(|prefix| vec![prefix]).map_err(|error: PrefixError| {
        let remedy = match &error {
            PrefixError::HostBits { meant } | PrefixError::Mapped { meant } => format!("write \"{meant}\""),
            PrefixError::Length { maximum } => format!("write a length of at most {maximum}"),
            PrefixError::Syntax if nearest(&text.to_ascii_lowercase(), &KEYWORDS).is_some() => {
                let word = nearest(&text.to_ascii_lowercase(), &KEYWORDS).unwrap_or_default();
                format!("did you mean \"{word}\"?")
            }
            PrefixError::Syntax => {
                "write a prefix such as \"10.0.0.0/8\", an address, or one of loopback, private and any"
                    .to_owned()
            }
        };
        Wrong::new(format!("{} {error}", shown(text)), remedy)
    })
}
