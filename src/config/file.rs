//! From the file's text and the environment to a [`Config`], or to everything that is wrong.

use super::error::{ConfigErrors, Place};
use super::reader::{Field, NamedFile, Report, Section, Wrong};
use super::tree::{self, Entry, SyntaxError, Table};
use super::types::Config;
use super::{azure, daemon, dns, overlay, resolver, schema, scope, zones};

/// The version of the format that this release reads.
const VERSION: i64 = 1;

/// A configuration whose text is right; the files that it names have not been looked at.
pub(super) struct Checked {
    pub(super) config: Config,
    pub(super) files: Vec<NamedFile>,
    pub(super) variables: Vec<String>,
    pub(super) report: Report,
}

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
    check(file_name, text, environment.collect()).map(|checked| checked.config)
}

pub(super) fn check(
    file_name: &str,
    text: &str,
    environment: Vec<(String, String)>,
) -> Result<Checked, ConfigErrors> {
    let credentials = environment
        .iter()
        .find(|(name, value)| name == "CREDENTIALS_DIRECTORY" && !value.is_empty())
        .map(|(_, value)| value.clone());
    let mut report = Report::new(file_name, credentials);
    let mut table = match tree::read(text) {
        Ok(table) => table,
        Err(faults) => {
            for fault in faults {
                syntax(fault, &mut report);
            }
            return Err(report.into_errors());
        }
    };
    let variables = overlay::apply(environment, &mut table, &mut report);
    if !version(&table, &mut report) {
        return Err(report.into_errors());
    }
    schema::report_unknown("", &table, &mut report);
    let root = Section::root(&table);
    let azure = azure::read(&root, &mut report);
    let (applications, policies, discoveries) = scope::read(&root, &mut report);
    let guard = zones::guard(&root, &mut report);
    let publication = zones::publication(&root, policies, &mut report);
    let (dns, admin_listen) = dns::read(&root, azure.poll_interval, &mut report);
    let resolver = resolver::read(&root, &dns.listen, &mut report);
    let state_directory = daemon::state_directory(&root, &mut report);
    let log = daemon::log(&root, &mut report);
    let Some(publication) = publication.filter(|_| report.is_clean()) else {
        return Err(report.into_errors());
    };
    let config = Config {
        azure,
        applications,
        discoveries,
        guard,
        publication,
        dns,
        resolver,
        admin_listen,
        state_directory,
        log,
    };
    Ok(Checked { config, files: std::mem::take(&mut report.files), variables, report })
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
