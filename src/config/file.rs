//! From the file's text and the environment to a [`Config`], or to everything that is wrong.

use super::error::{ConfigErrors, Place};
use super::reader::{Field, Report, Section, Wrong};
use super::tree::{self, Entry, SyntaxError, Table};
use super::types::Config;
use super::{azure, daemon, dns, overlay, resolver, schema, scope, target, transfer, verify, zones};
use crate::zones::Publication;

/// The version of the format that this release reads.
const VERSION: i64 = 1;

/// Reads a configuration from text and environment. Pure: the files that it names are not opened.
///
/// `file_name` is for the messages. Of the environment only `PRIVATELINK_DNS__…` and
/// `CREDENTIALS_DIRECTORY` are looked at.
///
/// # Errors
/// Everything that is wrong, in one go. Where the file is no TOML, or its version is another, the
/// rest cannot be judged and only that is told.
pub fn parse(
    file_name: &str,
    text: &str,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Config, ConfigErrors> {
    let mut report = Report::new(file_name);
    match check(text, environment.collect(), &mut report) {
        Some((config, _)) if report.is_clean() => Ok(config),
        _ => Err(report.into_errors()),
    }
}

/// The configuration and the variables that took part. It is usable only when the report is clean;
/// there is none where the rest cannot be judged.
pub(super) fn check(
    text: &str,
    environment: Vec<(String, String)>,
    report: &mut Report,
) -> Option<(Config, Vec<String>)> {
    report.credentials_directory = environment
        .iter()
        .find(|(name, value)| name == "CREDENTIALS_DIRECTORY" && !value.is_empty())
        .map(|(_, value)| value.clone());
    let mut table = match tree::read(text) {
        Ok(table) => table,
        Err(faults) => {
            for fault in faults {
                syntax(fault, report);
            }
            return None;
        }
    };
    let variables = overlay::apply(environment, &mut table, report);
    if !version(&table, report) {
        return None;
    }
    schema::report_unknown("", &table, report);
    let root = Section::root(&table);
    let azure = azure::read(&root, report);
    let (applications, policies, discoveries) = scope::read(&root, report);
    let guard = zones::guard(&root, report);
    let publication = zones::publication(&root, policies, report);
    let (dns, admin_listen) = dns::read(&root, azure.poll_interval, report);
    let resolver = resolver::read(&root, &dns.listen, report);
    let transfer = transfer::read(&root, report);
    let targets = target::read(&root, report);
    let verify = verify::read(&root, report);
    let state_directory = daemon::state_directory(&root, report);
    let log = daemon::log(&root, report);
    let publication = publication?;
    let config = Config {
        azure,
        applications,
        discoveries,
        guard,
        publication: Publication { rpz: target::policy_zone(&targets).or(publication.rpz), ..publication },
        dns,
        resolver,
        transfer,
        targets,
        verify,
        admin_listen,
        state_directory,
        log,
    };
    Some((config, variables))
}

fn syntax(fault: SyntaxError, report: &mut Report) {
    let wrong = match fault.duplicate {
        Some(key) => Wrong::new(format!("{} is defined twice", key.trim()), "keep one of the two"),
        None => {
            let quotes = fault.message.contains("quoted");
            let remedy = if quotes { "put the value into quotes" } else { "correct the line" };
            Wrong::new(format!("this is no valid TOML: {}", fault.message), remedy)
        }
    };
    report.push(&fault.place, "", wrong);
}

/// Whether the version is there and can be read. A missing version does not hide other faults, an
/// unknown one does: nobody knows what its keys mean.
fn version(table: &Table, report: &mut Report) -> bool {
    let Some(Entry { node, .. }) = table.get("version") else {
        let wrong = Wrong::new("is missing", format!("write version = {VERSION} as the first line"));
        report.push(&Place::File, "version", wrong);
        return true;
    };
    let field = Field::of("version", "1", node);
    match field.integer(&(i64::MIN..=i64::MAX)) {
        Ok(VERSION) => true,
        Ok(other) => {
            let wrong = Wrong::new(
                format!("{other} is a version that this release does not read"),
                format!("write version = {VERSION}, or use the release that the file was written for"),
            );
            report.push(&node.place, "version", wrong);
            false
        }
        Err(wrong) => {
            report.push(&node.place, "version", wrong);
            true
        }
    }
}
