//! Questions with `dig`, so that somebody else's eyes read the answers.

use std::net::SocketAddr;

use tokio::process::Command;

use super::program;

/// What `dig` read.
#[derive(Debug)]
pub(crate) struct Dig {
    /// The response code, such as `NXDOMAIN`; empty without an answer.
    pub(crate) status: String,
    /// The records of the answer section, field by field.
    pub(crate) answers: Vec<Vec<String>>,
    /// The codes of Extended DNS Errors.
    pub(crate) ede: Vec<u16>,
}

impl Dig {
    /// The data of the answers, sorted.
    pub(crate) fn data(&self) -> Vec<String> {
        let mut data: Vec<String> = self.answers.iter().map(|fields| fields[4..].join(" ")).collect();
        data.sort();
        data
    }
}

pub(crate) async fn dig(server: SocketAddr, name: &str, kind: &str) -> Dig {
    dig_with(server, name, kind, &[]).await
}

pub(crate) async fn dig_with(server: SocketAddr, name: &str, kind: &str, options: &[&str]) -> Dig {
    let output = Command::new(program("dig"))
        .args([format!("@{}", server.ip()), "-p".to_owned(), server.port().to_string()])
        .args(["+noall", "+comments", "+answer", "+tries=1", "+time=15"])
        .args(options)
        .args([name, kind])
        .kill_on_drop(true)
        .output()
        .await
        .expect("dig runs");
    read(&String::from_utf8_lossy(&output.stdout))
}

fn read(text: &str) -> Dig {
    let between = |line: &str, start: &str, end: char| {
        let (_, rest) = line.split_once(start)?;
        Some(rest.split(end).next().unwrap_or_default().to_owned())
    };
    let answers = text.lines().skip_while(|line| !line.starts_with(";; ANSWER SECTION")).skip(1);
    Dig {
        status: text.lines().find_map(|line| between(line, "status: ", ',')).unwrap_or_default(),
        ede: text
            .lines()
            .filter_map(|line| between(line, "; EDE: ", ' '))
            .map(|code| code.trim_end_matches(':').parse().expect("a number"))
            .collect(),
        answers: answers
            .take_while(|line| !line.is_empty() && !line.starts_with(';'))
            .map(|line| line.split_whitespace().map(str::to_owned).collect())
            .collect(),
    }
}

/// The SOA serial of a zone.
pub(crate) async fn serial(server: SocketAddr, zone: &str) -> u32 {
    let soa = dig(server, zone, "SOA").await;
    let serial = soa.answers.first().and_then(|fields| fields.get(6)?.parse().ok());
    serial.unwrap_or_else(|| panic!("{server} gives no SOA of {zone}: {soa:?}"))
}

/// Whether a serial is the same or later (RFC 1982).
pub(crate) fn not_before(serial: u32, earlier: u32) -> bool {
    serial.wrapping_sub(earlier) < 1 << 31
}
