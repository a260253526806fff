//! The sections that come first: state, findings, held removals, and what happened.

use jiff::Timestamp;

use super::ROWS;
use super::html::{Html, Table};
use crate::admin::status::{FindingStatus, HoldStatus, Status, age};
use crate::sync::View;
use crate::zones::{Difference, FindingKind, Needs, Severity, ZoneDifference};

/// Generations of the history that are shown, and changes of each.
const GENERATIONS: usize = 20;
const CHANGES: usize = 20;

/// Begins a section with its heading.
pub(super) fn section(html: &mut Html, id: &'static str, heading: &'static str, count: usize) {
    html.raw("<section id=\"").raw(id).raw("\" aria-labelledby=\"").raw(id).raw("-heading\">\n<h2 id=\"");
    html.raw(id).raw("-heading\">").raw(heading).raw(" <span class=\"count\">").text(count);
    html.raw("</span></h2>\n");
}

/// Says how much of a long table is shown, and where the rest is.
pub(super) fn rest(html: &mut Html, count: usize, path: &'static str) {
    if count > ROWS {
        html.raw("<p class=\"rest\">The first ").text(ROWS).raw(" of ").text(count);
        html.raw(" are shown. <a href=\"").raw(path).raw("\">All of them as JSON</a></p>\n");
    }
}

/// The state in four words.
pub(super) fn overview(html: &mut Html, status: &Status) {
    html.raw("<section id=\"overview\" aria-labelledby=\"overview-heading\">\n");
    html.raw("<h2 id=\"overview-heading\" class=\"unseen\">Overview</h2>\n<dl class=\"tiles\">\n");
    let count = |severity| status.findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let (class, word, more) = match (status.ready, status.complete) {
        (false, _) => ("error", "not ready", "queries are answered SERVFAIL"),
        (true, false) => ("warning", "ready", "names not held yet: SERVFAIL"),
        (true, true) => ("good", "ready", "up "),
    };
    html.raw("<div class=\"").raw(class).raw("\"><dt>Answers</dt><dd>").raw(word).raw("</dd><dd>").raw(more);
    if status.ready && status.complete {
        html.text(age(status.started, status.at));
    }
    html.raw("</dd></div>\n<div class=\"");
    html.raw(if errors > 0 {
        "error"
    } else if warnings > 0 {
        "warning"
    } else {
        "good"
    });
    html.raw("\"><dt>Findings</dt><dd>");
    match (errors, warnings) {
        (0, 0) => html.raw("all well"),
        (0, warnings) => html.text(warnings).raw(if warnings == 1 { " warning" } else { " warnings" }),
        (errors, _) => html.text(errors).raw(if errors == 1 { " error" } else { " errors" }),
    };
    html.raw("</dd><dd>").text(status.findings.len()).raw(" in all</dd></div>\n");
    let names = status.generation.as_ref().map_or(0, |generation| generation.names);
    html.raw("<div><dt>Names</dt><dd>").text(names).raw("</dd><dd>in ").text(status.zones.len());
    html.raw(if status.zones.len() == 1 { " zone</dd></div>\n" } else { " zones</dd></div>\n" });
    html.raw("<div><dt>Generation</dt><dd>");
    match &status.generation {
        Some(generation) => {
            html.text(generation.number).raw("</dd><dd>").ago(Some(generation.created), status.at)
        }
        None => html.raw("none</dd><dd>no complete poll yet"),
    };
    html.raw("</dd></div>\n</dl>\n</section>\n");
}

/// What a person should know, kind by kind.
pub(super) fn findings(html: &mut Html, status: &Status) {
    section(html, "findings", "Findings", status.findings.len());
    if status.findings.is_empty() {
        html.raw("<p>Nothing to tell.</p>\n");
    } else {
        html.raw("<ul class=\"findings\">\n");
        let mut kinds = Vec::<(FindingKind, Vec<&FindingStatus>)>::new();
        for finding in status.findings.iter().take(ROWS) {
            match kinds.iter_mut().find(|(kind, _)| *kind == finding.kind) {
                Some((_, findings)) => findings.push(finding),
                None => kinds.push((finding.kind, vec![finding])),
            }
        }
        kinds.iter().for_each(|(kind, findings)| kind_of_finding(html, *kind, findings));
        html.raw("</ul>\n");
    }
    rest(html, status.findings.len(), "/api/v1/status");
    html.raw("</section>\n");
}

/// The findings of a kind; more than two are folded behind the first.
fn kind_of_finding(html: &mut Html, kind: FindingKind, findings: &[&FindingStatus]) {
    let ((class, word), code) = (severity(kind.severity()), kind.code());
    html.raw("<li class=\"").raw(class).raw("\" id=\"finding:").raw(code);
    html.raw("\">\n<h3><span class=\"badge\">").raw(word).raw("</span> <code>").raw(code).raw("</code>");
    if findings.len() > 1 {
        html.raw(" <span class=\"count\">× ").text(findings.len()).raw("</span>");
    }
    html.raw("</h3>\n");
    let (shown, folded) = findings.split_at(if findings.len() > 2 { 1 } else { findings.len() });
    shown.iter().for_each(|finding| self::finding(html, finding));
    if !folded.is_empty() {
        html.raw("<details id=\"more:").raw(code).raw("\"><summary>").text(folded.len());
        html.raw(" more</summary>\n");
        folded.iter().for_each(|finding| self::finding(html, finding));
        html.raw("</details>\n");
    }
    html.raw("<p class=\"runbook\">Runbook: <code>docs/runbook.md#").raw(code).raw("</code></p>\n</li>\n");
}

fn finding(html: &mut Html, finding: &FindingStatus) {
    html.raw("<p class=\"subject\">").text(&finding.subject).raw("</p>\n<p>").prose(&finding.message);
    html.raw("</p>\n");
}

/// A class and a word.
pub(super) const fn severity(severity: Severity) -> (&'static str, &'static str) {
    match severity {
        Severity::Error => ("error", "Error"),
        Severity::Warning => ("warning", "Warning"),
        Severity::Info => ("info", "Info"),
    }
}

/// Held removals, with the form that ends or keeps them.
pub(super) fn holds(html: &mut Html, status: &Status) {
    section(html, "holds", "Held removals", status.holds.len());
    if status.holds.is_empty() {
        html.raw("<p>None: every name that is served is in Azure.</p>\n</section>\n");
        return;
    }
    // Without completion: a browser that loads the page again would tick boxes by their place.
    html.raw("<form method=\"post\" action=\"/page/holds\" autocomplete=\"off\">\n");
    html.raw(
        "<p>These names are gone from Azure and still served. Choose the ones that you decide on.</p>\n",
    );
    html.raw(
        "<p><label id=\"every\" hidden><input type=\"checkbox\"> Choose all that are shown</label></p>\n",
    );
    let columns = &["Name", "Endpoint", "Missing since", "Needs", "Reason"];
    let mut table = Table::new(html, "Removals that the guard holds back", columns);
    for hold in status.holds.iter().take(ROWS) {
        let id = format!("hold:{}:{}", hold.endpoint, hold.name);
        table.row(&id, |row| self::hold(row, hold, &id, status.at));
    }
    table.end();
    rest(html, status.holds.len(), "/api/v1/status");
    html.raw(
        "<p>All at once: <code>privatelink-dns approve --all</code> or <code>reject --all</code>.</p>\n",
    );
    token(html, "holds-token");
    html.raw("<p class=\"buttons\"><button name=\"word\" value=\"reject\">Keep the chosen names</button>\n");
    html.raw(
        "<button name=\"word\" value=\"approve\" class=\"danger\">Remove the chosen names now</button></p>\n",
    );
    html.raw("</form>\n</section>\n");
}

fn hold(row: &mut Table<'_>, hold: &HoldStatus, id: &str, now: Timestamp) {
    row.cell(|html| {
        html.raw("<label><input type=\"checkbox\" name=\"name\" id=\"choose:").text(id);
        html.raw("\" value=\"").text(&hold.name).raw("\"> <span class=\"name\">").text(&hold.name);
        html.raw("</span></label>");
    });
    row.text(hold.endpoint.name());
    row.cell(|html| {
        html.ago(Some(hold.since), now);
    });
    row.cell(|html| {
        match hold.needs {
            _ if hold.rejected => html.raw("kept by an operator"),
            Needs::Proof => html.raw("both sides of Azure to agree"),
            Needs::Polls { polls, seconds } => html
                .text(hold.polls)
                .raw(" of ")
                .text(polls)
                .raw(" proven polls, over ")
                .text(seconds)
                .raw(" s"),
            Needs::Operator => html.raw("an operator"),
        };
    });
    row.text(&hold.reason);
}

/// The field for the token.
fn token(html: &mut Html, id: &'static str) {
    html.raw("<p class=\"token\"><label for=\"")
        .raw(id)
        .raw("\">Token</label>\n<input type=\"password\" id=\"");
    html.raw(id)
        .raw("\" name=\"token\" required autocomplete=\"off\" spellcheck=\"false\" aria-describedby=\"");
    html.raw(id).raw("-help\">\n<span id=\"").raw(id);
    html.raw("-help\" class=\"help\">from <code>admin.token</code> in the state directory</span></p>\n");
}

/// The form that polls.
pub(super) fn poll(html: &mut Html) {
    html.raw(
        "<section id=\"poll\" aria-labelledby=\"poll-heading\">\n<h2 id=\"poll-heading\">Poll now</h2>\n",
    );
    html.raw("<form method=\"post\" action=\"/page/poll\">\n<p>Reads all applications from Azure at once ");
    html.raw("instead of at the next interval.</p>\n");
    token(html, "poll-token");
    html.raw("<p class=\"buttons\"><button>Poll all applications</button></p>\n</form>\n</section>\n");
}

/// The latest generations.
pub(super) fn history(html: &mut Html, view: &View, now: Timestamp) {
    section(html, "history", "History", view.history.len());
    if view.history.is_empty() {
        html.raw("<p>Nothing has changed yet.</p>\n</section>\n");
        return;
    }
    html.raw("<ol class=\"history\">\n");
    for difference in view.history.iter().rev().take(GENERATIONS) {
        self::difference(html, difference, now);
    }
    html.raw("</ol>\n");
    if view.history.len() > GENERATIONS {
        html.raw("<p class=\"rest\">The latest ").text(GENERATIONS).raw(" generations are shown.</p>\n");
    }
    html.raw("</section>\n");
}

fn difference(html: &mut Html, difference: &Difference, now: Timestamp) {
    let count = |of: fn(&ZoneDifference) -> usize| difference.zones.iter().map(of).sum::<usize>();
    let (added, removed) = (count(|zone| zone.added.len()), count(|zone| zone.removed.len()));
    html.raw("<li id=\"generation:").text(difference.number).raw("\"><details id=\"changes:");
    html.text(difference.number).raw("\"><summary><strong>").text(difference.number).raw("</strong> ");
    html.ago(Some(difference.created), now).raw(" <span class=\"plus\">+").text(added);
    html.raw("</span> <span class=\"minus\">−").text(removed).raw("</span> <span class=\"cause\">");
    html.text(&difference.cause).raw("</span></summary>\n<ul class=\"changes\">\n");
    let changes = difference.zones.iter().flat_map(|zone| {
        let removed = zone.removed.iter().map(|record| ("minus", "−", record));
        removed.chain(zone.added.iter().map(|record| ("plus", "+", record)))
    });
    for (class, sign, (name, address)) in changes.take(CHANGES) {
        html.raw("<li class=\"").raw(class).raw("\">").raw(sign).raw(" ").text(name).raw(" ").text(address);
        html.raw("</li>\n");
    }
    if added + removed > CHANGES {
        html.raw("<li>and ").text(added + removed - CHANGES).raw(" more</li>\n");
    }
    if added + removed == 0 {
        html.raw("<li>no address record: zones, their TTLs, or what clients of a network see</li>\n");
    }
    html.raw("</ul></details></li>\n");
}
