//! `verify`: whether names lead where they should, told to people and scripts.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;

use super::client::Client;
use super::table::table;
use super::{CONFIG, Failure, Printed, block_on};
use crate::admin::status::{RecordStatus, Status};
use crate::config::{Config, NoResolver, VerifyResolver};
use crate::store::Store;
use crate::verify::{Facts, Known, Name, NameReport, Plan, Prober, Problem, Report, run, servers};
use crate::zones::{Finding, Severity};

/// Something is wrong.
const WRONG: u8 = 2;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Ask this one: system, daemon, targets, secondaries, or ADDRESS[:PORT]; repeatable. Default: [verify]
    /// resolvers, all that is known
    #[arg(long = "resolver", value_name = "WHO", value_parser = resolver)]
    resolvers: Vec<VerifyResolver>,
    /// Ask for names only; connect to no address
    #[arg(long)]
    no_connect: bool,
    /// Compare with what the daemon has stored last, without asking it, nor what it knows of Azure
    #[arg(long)]
    offline: bool,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
    /// The configuration file
    #[arg(long, short, value_name = "FILE", default_value = CONFIG)]
    config: std::path::PathBuf,
}

fn resolver(text: &str) -> Result<VerifyResolver, NoResolver> {
    text.parse()
}

pub(super) fn main(arguments: &Arguments) -> Result<Printed, Failure> {
    let config = Config::load(&arguments.config)?.config;
    let is_chosen = !arguments.resolvers.is_empty();
    let wanted = if is_chosen { &arguments.resolvers } else { &config.verify.resolvers };
    let Right { facts, source, listeners } = block_on(right(arguments, &config))?;
    let servers = servers(wanted, &config, &listeners)?;
    if is_chosen && servers.is_empty() {
        let words: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        return Err(format!("the configuration has no server for --resolver {}", words.join(" ")).into());
    }
    let connect = (!arguments.no_connect && config.verify.connect)
        .then(|| {
            Ok::<_, Failure>((Prober::new(config.verify.ca_file.as_deref())?, config.verify.ports.clone()))
        })
        .transpose()?;
    let report = block_on(async {
        let report = run(&facts, &Plan { servers, connect }, &progress).await;
        progress("", 0, 0);
        Ok(report)
    })?;
    if report.names.is_empty() && !report.has_failures() {
        return Err("there is no name to look for; see `privatelink-dns status`".into());
    }
    let code = if report.has_failures() { WRONG } else { 0 };
    let text = if arguments.json {
        serde_json::to_string_pretty(&Whole { ok: code == 0, source, report: &report })? + "\n"
    } else {
        overview(&report, source)
    };
    Ok(Printed { text, code })
}

/// What `--json` prints.
#[derive(serde::Serialize)]
struct Whole<'a> {
    /// Nothing is wrong.
    ok: bool,
    /// Who knew what is right: `daemon`, or `stored`.
    source: &'static str,
    #[serde(flatten)]
    report: &'a Report,
}

/// What is right, who says so, and where the daemon answers.
struct Right {
    facts: Facts,
    source: &'static str,
    listeners: Vec<SocketAddr>,
}

async fn right(arguments: &Arguments, config: &Config) -> Result<Right, Failure> {
    if !arguments.offline {
        match of_daemon(arguments, config).await {
            Ok((facts, listeners)) => return Ok(Right { facts, source: "daemon", listeners }),
            Err(error) => {
                let _ = writeln!(
                    io::stderr(),
                    "privatelink-dns: {error}; comparing with what it has stored, and Azure's side is not told"
                );
            }
        }
    }
    let directory = &config.state_directory;
    let saved = Store::read(directory)?.ok_or_else(|| {
        format!("{} holds no generation yet; is it the daemon's state directory?", directory.display())
    })?;
    let listeners = config.dns.listen.clone();
    Ok(Right { facts: Facts::of(&saved.generation, &[]), source: "stored", listeners })
}

async fn of_daemon(arguments: &Arguments, config: &Config) -> Result<(Facts, Vec<SocketAddr>), Failure> {
    let client = Client::new(&arguments.config)?;
    let status: Status = client.ask("/api/v1/status").await?;
    let records: Vec<RecordStatus> = client.ask("/api/v1/records").await?;
    let mut names = BTreeMap::new();
    for record in records {
        let name = names.entry(record.name).or_insert_with(|| Name {
            application: record.application,
            zone: record.zone,
            private: record.owner,
            own_name: record.own_name,
            owners: record.owners.into_iter().map(|owner| (owner.zone, owner.name)).collect(),
            answers: record.answers,
            given: BTreeMap::new(),
        });
        name.give(record.endpoint, record.addresses);
    }
    let finding = |finding: crate::admin::status::FindingStatus| Finding {
        kind: finding.kind,
        application: finding.application,
        subject: finding.subject,
        message: finding.message,
    };
    let findings = status.findings.into_iter().map(finding).collect();
    let facts = Facts { names, findings, policy_zone: config.publication.rpz.is_some() };
    Ok((facts, status.listeners))
}

/// How far it is, on one line of a terminal; the last call clears it.
fn progress(what: &str, done: usize, all: usize) {
    let mut terminal = io::stderr();
    if terminal.is_terminal() {
        let text = if all == 0 { String::new() } else { format!("{what}: {done} of {all}") };
        // Who cannot be told is not.
        let _ = write!(terminal, "\r{text}\x1b[K");
        let _ = terminal.flush();
    }
}

fn overview(report: &Report, source: &str) -> String {
    let row = |cells: &[String]| cells.to_vec();
    let words = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    let mut rows = vec![words(&["SERVER", "RIGHT", "WRONG", "UNANSWERED"])];
    rows.extend(report.servers.iter().map(|server| {
        let counts = [server.right, server.wrong, server.unanswered].map(|count| count.to_string());
        row(&[&[server.server.clone()][..], &counts].concat())
    }));
    let mut text = if report.servers.is_empty() { String::new() } else { table(&rows) + "\n" };
    let mut rows = vec![words(&["NAME", "ADDRESSES", "SERVERS", "PORTS"])];
    rows.extend(report.names.iter().map(|name| {
        let addresses: Vec<String> = name.addresses.iter().map(ToString::to_string).collect();
        row(&[name.name.to_string(), addresses.join(","), at_servers(name), at_ports(name)])
    }));
    text += &table(&rows);
    for application in &report.applications {
        for service in &application.provisioning {
            text += &format!(
                "\n{}: devices have to provision at {}. Those that use {} go over the public endpoint.\n",
                application.application.name(),
                service.direct,
                service.global
            );
        }
    }
    let (wrong, notes): (Vec<&Problem>, Vec<&Problem>) = report.problems.iter().partition(|p| p.is_failure());
    for (heading, problems) in [("PROBLEMS", &wrong), ("NOTES", &notes)] {
        if !problems.is_empty() {
            text += &format!("\n{heading}\n");
            problems.iter().for_each(|problem| text += &told(problem));
        }
    }
    if source == "stored" {
        text += "\nCompared with what the daemon has stored; Azure's side was not looked at.\n";
    }
    let result = match wrong.len() {
        0 => "All is well".to_owned(),
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    text + &format!("\n{result}: {} names, {:.1} s.\n", report.names.len(), report.seconds)
}

fn told(problem: &Problem) -> String {
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    };
    let server = problem.server.as_ref().map(|server| format!(" at {server}")).unwrap_or_default();
    let Problem { check, subject, seen, expected, remedy, .. } = problem;
    format!(
        "{severity}: {check}: {subject}{server}\n    seen: {seen}\n    expected: {expected}\n    do: {remedy}\n"
    )
}

/// Of how many servers the name is right.
fn at_servers(name: &NameReport) -> String {
    let right = name.servers.values().filter(|known| **known == Known::Right).count();
    match name.servers.len() {
        0 => "-".to_owned(),
        all if right == all => format!("{all} right"),
        all => format!("{right} of {all} right"),
    }
}

/// The ports that are good, and what the others are.
fn at_ports(name: &NameReport) -> String {
    let mut results = BTreeMap::<u16, Vec<&str>>::new();
    for port in &name.ports {
        results.entry(port.port).or_default().push(&port.result);
    }
    let told = |(port, mut results): (u16, Vec<&str>)| {
        results.retain(|result| *result != "good");
        match results.first() {
            None => port.to_string(),
            Some(first) => format!("{port} ({first})"),
        }
    };
    let ports: Vec<String> = results.into_iter().map(told).collect();
    if ports.is_empty() { "-".to_owned() } else { ports.join(" ") }
}
