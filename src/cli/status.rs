//! `status`: the running daemon's state for people.

use jiff::Timestamp;

use super::client::Client;
use super::table::table;
use super::{ConfigArgument, Failure, Printed, block_on};
use crate::admin::status::{RecordStatus, Status, age};
use crate::zones::{Needs, Severity};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// List every record with where it came from
    #[arg(long)]
    records: bool,
    /// Print the API's JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgument,
}

pub(super) fn main(arguments: &Arguments) -> Result<Printed, Failure> {
    let path = if arguments.records { "/api/v1/records" } else { "/api/v1/status" };
    block_on(async {
        let (status, body) = Client::new(&arguments.config.config)?.get(path).await?;
        if !status.is_success() {
            return Err(format!("the daemon answered {status}").into());
        }
        let text = match (arguments.json, arguments.records) {
            (true, _) => String::from_utf8(body)? + "\n",
            (false, true) => records(&serde_json::from_slice::<Vec<RecordStatus>>(&body)?),
            (false, false) => overview(&serde_json::from_slice(&body)?, Timestamp::now()),
        };
        Ok(Printed::ok(text))
    })
}

fn overview(status: &Status, now: Timestamp) -> String {
    let ready = if status.ready { "ready" } else { "NOT READY: queries are answered SERVFAIL" };
    let mut text = format!("privatelink-dns {}, up {}, {ready}\n", status.version, age(status.started, now));
    if let Some(generation) = &status.generation {
        text += &format!(
            "generation {} with {} names, accepted {} ago: {}\n",
            generation.number,
            generation.names,
            age(generation.created, now),
            generation.cause
        );
    }
    if !status.findings.is_empty() {
        text += "\nFINDINGS\n";
        for finding in &status.findings {
            let severity = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Info => "info",
            };
            text += &format!(
                "{severity}: {}: {}\n    {}\n",
                finding.kind.code(),
                finding.subject,
                finding.message
            );
        }
    }
    let mut rows = vec![row(["APPLICATION", "NAMES", "ENDPOINTS", "LAST COMPLETE POLL", "FAILURES"])];
    rows.extend(status.applications.iter().map(|application| {
        row([
            application.id.name(),
            &application.names.to_string(),
            &application.endpoints.len().to_string(),
            &application
                .last_success
                .map_or_else(|| "never".to_owned(), |at| format!("{} ago", age(at, now))),
            &application.consecutive_failures.to_string(),
        ])
    }));
    text += &format!("\n{}", table(&rows));
    let mut rows = vec![row(["ZONE", "SERIAL", "NAMES", "CHANGED"])];
    rows.extend(status.zones.iter().map(|zone| {
        row([
            zone.origin.as_str(),
            &zone.serial.to_string(),
            &zone.names.to_string(),
            &format!("{} ago", age(zone.changed, now)),
        ])
    }));
    text += &format!("\n{}", table(&rows));
    if !status.secondaries.is_empty() {
        let mut rows =
            vec![row(["SECONDARY", "ADDRESS", "CURRENT", "BEHIND", "LAG", "NOTIFIED", "TRANSFER", "ERROR"])];
        rows.extend(status.secondaries.iter().map(|secondary| {
            let ago = |at: Option<Timestamp>| {
                at.map_or_else(|| "never".to_owned(), |at| format!("{} ago", age(at, now)))
            };
            row([
                secondary.name.as_str(),
                &secondary.address.to_string(),
                &secondary.current.to_string(),
                &secondary.behind.to_string(),
                &format!("{:.0} s", secondary.lag_seconds),
                &ago(secondary.last_acknowledged),
                &ago(secondary.last_transfer),
                &secondary.error.as_ref().map_or_else(String::new, |error| {
                    format!("{} ago: {}", age(error.at, now), error.message)
                }),
            ])
        }));
        text += &format!("\n{}", table(&rows));
    }
    if !status.targets.is_empty() {
        let mut rows =
            vec![row(["TARGET", "TYPE", "PLACE", "GENERATION", "RECORDS", "LAST SUCCESS", "STATE"])];
        rows.extend(status.targets.iter().map(|target| {
            let state = match (&target.error, &target.planned) {
                (Some(error), _) => format!("failing for {}", age(error.since, now)),
                (None, Some(planned)) => format!("dry run: {planned}"),
                (None, None) if target.pending => "pending".to_owned(),
                (None, None) => "current".to_owned(),
            };
            row([
                &target.name,
                &target.kind,
                &target.place,
                &target.generation.map_or_else(|| "none".to_owned(), |number| number.to_string()),
                &target.records.to_string(),
                &target.last_success.map_or_else(|| "never".to_owned(), |at| format!("{} ago", age(at, now))),
                &state,
            ])
        }));
        text += &format!("\n{}", table(&rows));
    }
    if !status.propagation.is_empty() {
        let mut rows = vec![row(["LAST CHANGE AT", "GENERATION", "TOOK"])];
        rows.extend(status.propagation.iter().map(|last| {
            let under_way = || format!("under way for {}", age(last.seen, now));
            let took = last.seconds.map_or_else(under_way, |seconds| format!("{seconds:.3} s"));
            row([last.to.as_str(), &last.generation.to_string(), &took])
        }));
        text += &format!("\n{}", table(&rows));
    }
    if !status.holds.is_empty() {
        let mut rows = vec![row(["HELD REMOVAL", "SINCE", "POLLS", "NEEDS", "REASON"])];
        rows.extend(status.holds.iter().map(|hold| {
            let needs = match hold.needs {
                _ if hold.rejected => "rejected".to_owned(),
                Needs::Proof => "both sides of Azure".to_owned(),
                Needs::Polls { polls, seconds } => format!("{polls} polls, {seconds} s"),
                Needs::Operator => "an operator".to_owned(),
            };
            row([
                hold.name.as_str(),
                &format!("{} ago", age(hold.since, now)),
                &hold.polls.to_string(),
                &needs,
                &hold.reason,
            ])
        }));
        text += &format!("\n{}", table(&rows));
    }
    text
}

fn records(records: &[RecordStatus]) -> String {
    let mut rows = vec![row(["NAME", "ADDRESSES", "ZONE", "ENDPOINT", "SINCE"])];
    rows.extend(records.iter().map(|record| {
        let addresses: Vec<String> = record.addresses.iter().map(ToString::to_string).collect();
        let since = record.since.to_string();
        row([
            record.name.as_str(),
            &addresses.join(","),
            record.zone.as_str(),
            record.endpoint.name(),
            &since,
        ])
    }));
    table(&rows)
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}
