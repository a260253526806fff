//! `[dns.tls]`: DNS over TLS and over HTTPS.

use std::net::SocketAddr;

use super::credential;
use super::dns::{MAX_ADDRESSES, address, report_overlaps};
use super::reader::{Field, Holds, Item, Report, Section, Wrong, shown};
use super::types::Tls;

const PATH: &str = "/dns-query";

/// The encrypted listeners; nothing without the section.
pub(super) fn read(dns: &Section<'_>, report: &mut Report) -> Option<Tls> {
    let section = dns.child("tls", report);
    let (place, _) = dns.node("tls")?;
    let example = "\"/etc/privatelink-dns/certificate.pem\"";
    section.require("certificate_file", example, "", report, |_| Ok(()));
    // Without a key_file the key is in it.
    let holds = if section.node("key_file").is_none() { Holds::ServerPair(None) } else { Holds::Certificate };
    let certificate_file = credential::file(&section, "certificate_file", holds, report);
    let pair = Holds::ServerPair(certificate_file.clone());
    let key_file = credential::file(&section, "key_file", pair, report);
    let listen = listen(&section, "listen", 853, report);
    let https_listen = self::listen(&section, "https_listen", 443, report);
    if section.node("listen").is_none() && section.node("https_listen").is_none() {
        let wrong = Wrong::new(
            "there is a certificate, but nothing listens",
            "write listen = [\"ADDRESS:853\"], https_listen = [\"ADDRESS:443\"], or both",
        );
        report.push(place, "dns.tls", wrong);
    }
    let all: Vec<Item<SocketAddr>> = listen
        .iter()
        .chain(&https_listen)
        .map(|item| Item { place: item.place.clone(), value: item.value })
        .collect();
    report_overlaps(&all, "dns.tls", report);
    let https_path = section.read("https_path", format!("\"{PATH}\""), report, path);
    let certificate_file = certificate_file?;
    Some(Tls {
        key_file: key_file.unwrap_or_else(|| certificate_file.clone()),
        certificate_file,
        listen: listen.into_iter().map(|item| item.value).collect(),
        https_listen: https_listen.into_iter().map(|item| item.value).collect(),
        https_path: https_path.unwrap_or_else(|| PATH.to_owned()),
    })
}

fn listen(section: &Section<'_>, key: &str, port: u16, report: &mut Report) -> Vec<Item<SocketAddr>> {
    let example = format!("[\"10.0.0.5:{port}\"]");
    section.list(key, &example, MAX_ADDRESSES, report, |field| address(field, port)).unwrap_or_default()
}

fn path(field: &Field<'_>) -> Result<String, Wrong> {
    let text = field.text()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~".contains(c);
    if text.starts_with('/') && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err(field.wrong(format!("{} is no path of a URL", shown(text))))
}
