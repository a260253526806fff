//! The sections that list things: applications, zones, records, targets, secondaries.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::ROWS;
use super::html::{Html, Table};
use super::sections::{rest, section, severity};
use crate::admin::status::{
    ApplicationStatus, FindingStatus, SecondaryStatus, Status, TargetStatus, each_record,
};
use crate::sync::View;
use crate::zones::{Form, ResourceId, Source};

/// Endpoints of an application that are shown.
const ENDPOINTS: usize = 20;

/// Findings by their subject.
type About<'a> = BTreeMap<&'a str, Vec<&'a FindingStatus>>;

/// A resource: its own name, and its group below.
fn resource(html: &mut Html, id: &ResourceId) {
    html.text(id.name());
    if let Some(group) = id.resource_group() {
        html.raw(" <small>").text(group).raw("</small>");
    }
}

/// A badge for a state.
pub(super) fn badge(html: &mut Html, class: &'static str, word: &'static str) {
    html.raw("<span class=\"badge ").raw(class).raw("\">").raw(word).raw("</span>");
}

/// The applications, their endpoints, and how their polls go.
pub(super) fn applications(html: &mut Html, status: &Status) {
    section(html, "applications", "Applications", status.applications.len());
    let mut about = About::new();
    for finding in &status.findings {
        about.entry(&finding.subject).or_default().push(finding);
    }
    let columns = &["Application", "State", "Names", "Endpoints", "Last complete poll"];
    let mut table = Table::new(html, "Applications that are polled", columns);
    for application in status.applications.iter().take(ROWS) {
        table.row(format_args!("application:{}", application.id), |row| {
            row.cell(|html| resource(html, &application.id));
            row.cell(|html| state(html, application));
            row.text(application.names);
            row.cell(|html| endpoints(html, application, &about));
            row.cell(|html| {
                html.ago(application.last_success, status.at);
            });
        });
    }
    table.end();
    rest(html, status.applications.len(), "/api/v1/status");
    html.raw("</section>\n");
}

fn state(html: &mut Html, application: &ApplicationStatus) {
    match (application.last_success, application.consecutive_failures) {
        _ if application.stale => badge(html, "error", "stale"),
        (None, 0) => badge(html, "warning", "not read yet"),
        (_, 0) => badge(html, "good", "current"),
        (_, failures) => {
            badge(html, "error", "failing");
            html.raw(" <small>").text(failures);
            html.raw(if failures == 1 { " failed poll</small>" } else { " failed polls</small>" });
        }
    }
}

/// The endpoints that names come from, with the codes of what was found about each; findings tell of
/// those that give no names.
fn endpoints(html: &mut Html, application: &ApplicationStatus, about: &About<'_>) {
    if application.endpoints.is_empty() {
        html.raw("none");
        return;
    }
    html.raw("<ul class=\"plain\">");
    for endpoint in application.endpoints.iter().take(ENDPOINTS) {
        html.raw("<li>");
        resource(html, endpoint);
        match about.get(endpoint.as_str()) {
            Some(findings) => {
                for finding in findings {
                    html.raw(" ");
                    badge(html, severity(finding.severity).0, finding.kind.code());
                }
            }
            None => {
                html.raw(" ");
                badge(html, "good", "published");
            }
        }
        html.raw("</li>");
    }
    if let Some(more) = application.endpoints.len().checked_sub(ENDPOINTS).filter(|more| *more > 0) {
        html.raw("<li>and ").text(more).raw(" more</li>");
    }
    html.raw("</ul>");
}

/// The zones.
pub(super) fn zones(html: &mut Html, status: &Status) {
    section(html, "zones", "Zones", status.zones.len());
    if !status.zones.is_empty() {
        let mut table =
            Table::new(html, "Zones that are served", &["Zone", "Form", "Serial", "Names", "Changed"]);
        for zone in status.zones.iter().take(ROWS) {
            table.row(format_args!("zone:{}", zone.origin), |row| {
                row.cell(|html| {
                    html.raw("<span class=\"name\">").text(&zone.origin).raw("</span>");
                });
                row.text(match zone.form {
                    Form::Privatelink => "privatelink",
                    Form::PerName => "per name",
                    Form::Catalog => "catalog",
                    Form::Rpz => "response policy",
                });
                row.text(zone.serial);
                row.text(zone.names);
                row.cell(|html| {
                    html.ago(Some(zone.changed), status.at);
                });
            });
        }
        table.end();
    }
    rest(html, status.zones.len(), "/api/v1/status");
    html.raw("</section>\n");
}

/// The records, with where each came from.
pub(super) fn records(html: &mut Html, view: &View) {
    let shares = view.generation.iter().flat_map(|generation| generation.shares.values());
    let count = shares.map(|share| share.placements().count()).sum();
    section(html, "records", "Records", count);
    if count > 0 {
        let columns = &["Name", "Addresses", "Application", "Endpoint", "Member", "Source", "Since"];
        let mut table = Table::new(html, "Names and where they come from", columns);
        for record in each_record(view).take(ROWS) {
            table.row(format_args!("record:{}:{}", record.endpoint, record.name), |row| {
                row.cell(|html| {
                    html.raw("<span class=\"name\">").text(&record.name).raw("</span>");
                });
                row.cell(|html| {
                    for (place, address) in record.addresses.iter().enumerate() {
                        html.raw(if place > 0 { ", " } else { "" }).text(address);
                    }
                });
                row.text(record.application.name());
                row.text(record.endpoint.name());
                row.text(record.member.as_deref().unwrap_or("not told"));
                row.text(match record.source {
                    Source::Interface => "network interface",
                    Source::CustomDns => "customDnsConfigs",
                    Source::ZoneGroup => "zone group",
                });
                row.cell(|html| {
                    html.time(record.since);
                });
            });
        }
        table.end();
    }
    rest(html, count, "/api/v1/records");
    html.raw("</section>\n");
}

/// What is kept in step by writing to it; nothing without any.
pub(super) fn targets(html: &mut Html, status: &Status) {
    if status.targets.is_empty() {
        return;
    }
    section(html, "targets", "Targets", status.targets.len());
    let columns = &["Target", "State", "Type", "Place", "Generation", "Records", "Last success"];
    let mut table = Table::new(html, "What is kept in step by writing to it", columns);
    for target in status.targets.iter().take(ROWS) {
        table.row(format_args!("target:{}", target.name), |row| {
            row.text(&target.name);
            row.cell(|html| target_state(html, target, status.at));
            row.text(&target.kind);
            row.text(&target.place);
            row.cell(|html| {
                match target.generation {
                    Some(number) => html.text(number),
                    None => html.raw("none"),
                };
            });
            row.text(target.records);
            row.cell(|html| {
                html.ago(target.last_success, status.at);
            });
        });
    }
    table.end();
    rest(html, status.targets.len(), "/api/v1/status");
    html.raw("</section>\n");
}

fn target_state(html: &mut Html, target: &TargetStatus, now: Timestamp) {
    match (&target.error, &target.planned) {
        (Some(error), _) => {
            badge(html, "error", "failing");
            html.raw(" <small>since ")
                .ago(Some(error.since), now)
                .raw(": ")
                .text(&error.message)
                .raw("</small>");
        }
        (None, Some(planned)) => {
            badge(html, "info", "dry run");
            html.raw(" <small>").text(planned).raw("</small>");
        }
        (None, None) if target.pending => badge(html, "warning", "pending"),
        (None, None) => badge(html, "good", "current"),
    }
}

/// Who takes the zones over; nothing without any.
pub(super) fn secondaries(html: &mut Html, status: &Status) {
    if status.secondaries.is_empty() {
        return;
    }
    section(html, "secondaries", "Secondaries", status.secondaries.len());
    let columns = &["Secondary", "State", "Address", "Zones current", "Notified", "Transfer"];
    let mut table = Table::new(html, "Servers that take the zones over", columns);
    for secondary in status.secondaries.iter().take(ROWS) {
        table.row(format_args!("secondary:{}", secondary.name), |row| {
            row.text(&secondary.name);
            row.cell(|html| secondary_state(html, secondary, status.at));
            row.text(secondary.address);
            row.cell(|html| {
                html.text(secondary.current).raw(" of ").text(secondary.current + secondary.behind);
            });
            row.cell(|html| {
                html.ago(secondary.last_acknowledged, status.at);
            });
            row.cell(|html| {
                html.ago(secondary.last_transfer, status.at);
            });
        });
    }
    table.end();
    rest(html, status.secondaries.len(), "/api/v1/status");
    html.raw("</section>\n");
}

fn secondary_state(html: &mut Html, secondary: &SecondaryStatus, now: Timestamp) {
    if secondary.behind > 0 {
        badge(html, "warning", "behind");
        html.raw(" <small>by ").text(format_args!("{:.0}", secondary.lag_seconds)).raw(" s</small>");
    } else {
        badge(html, "good", "current");
    }
    if let Some(error) = &secondary.error {
        html.raw(" <small>last error ")
            .ago(Some(error.at), now)
            .raw(": ")
            .text(&error.message)
            .raw("</small>");
    }
}
