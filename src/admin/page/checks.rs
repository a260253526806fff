//! Whether changes have arrived, and whether names lead where they should.

use super::ROWS;
use super::html::{Html, Table};
use super::objects::badge;
use super::sections::{rest, section, severity};
use crate::admin::status::Status;

/// How long the last change took; nothing before a poll brought one.
pub(super) fn propagation(html: &mut Html, status: &Status) {
    if status.propagation.is_empty() {
        return;
    }
    section(html, "propagation", "Propagation", status.propagation.len());
    let columns = &["To", "Generation", "Seen in Azure", "Arrived after"];
    let mut table = Table::new(html, "How long the last change took to each place", columns);
    for arrival in status.propagation.iter().take(ROWS) {
        table.row(format_args!("propagation:{}", arrival.to), |row| {
            row.text(&arrival.to);
            row.text(arrival.generation);
            row.cell(|html| {
                html.ago(Some(arrival.seen), status.at);
            });
            row.cell(|html| match arrival.seconds {
                Some(seconds) => {
                    html.text(format_args!("{seconds:.3} s"));
                }
                None => badge(html, "warning", "under way"),
            });
        });
    }
    table.end();
    rest(html, status.propagation.len(), "/api/v1/status");
    html.raw("</section>\n");
}

/// What the last run of `verify` has shown; nothing without one.
pub(super) fn verify(html: &mut Html, status: &Status) {
    let Some(verify) = &status.verify else { return };
    section(html, "verify", "Verify", verify.problems.len());
    html.raw("<p>Last run ").ago(Some(verify.at), status.at).raw(".");
    if verify.problems.is_empty() {
        html.raw(" Every name leads where it should.");
    }
    html.raw("</p>\n");
    let columns = &["Server", "Address", "Right", "Wrong", "Unanswered"];
    let mut table = Table::new(html, "Names at each server that was asked", columns);
    for server in verify.servers.iter().take(ROWS) {
        table.row(format_args!("server:{}", server.server), |row| {
            row.text(&server.server);
            row.text(server.address);
            row.text(server.right);
            row.text(server.wrong);
            row.text(server.unanswered);
        });
    }
    table.end();
    rest(html, verify.servers.len(), "/api/v1/status");
    if !verify.problems.is_empty() {
        let columns = &["Problem", "Subject", "At", "Seen", "Expected", "What to do"];
        let mut table = Table::new(html, "What is wrong", columns);
        for problem in verify.problems.iter().take(ROWS) {
            let at = problem.server.as_deref().unwrap_or_default();
            table.row(format_args!("problem:{}:{}:{at}", problem.check, problem.subject), |row| {
                row.cell(|html| {
                    let (class, _) = severity(problem.severity);
                    html.raw("<span class=\"badge ")
                        .raw(class)
                        .raw("\">")
                        .text(&problem.check)
                        .raw("</span>");
                });
                row.text(&problem.subject);
                row.text(at);
                row.text(&problem.seen);
                row.text(&problem.expected);
                row.text(&problem.remedy);
            });
        }
        table.end();
        rest(html, verify.problems.len(), "/api/v1/status");
    }
    html.raw("</section>\n");
}
