//! The status page: what a person wants to see first, made here and complete without JavaScript.
//!
//! `page.js` only asks for the page again when an event says that something changed. The forms are
//! answered in `forms`.

mod checks;
mod forms;
mod html;
mod objects;
mod sections;

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::api::{Admin, status_now};
use super::host;
use super::status::Status;
use crate::sync::View;
use crate::zones::Severity;
use forms::Message;
use html::Html;

pub(super) use forms::{holds, poll};

/// Rows of a table at most; the rest is in the JSON.
const ROWS: usize = 500;

const SCRIPT: &str = include_str!("page.js");
const STYLE: &str = include_str!("page.css");

pub(super) async fn get(State(admin): State<Arc<Admin>>, RawQuery(query): RawQuery) -> Response {
    let message = query.as_deref().and_then(Message::of_query);
    answer(&admin, StatusCode::OK, message.as_ref())
}

pub(super) async fn script() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT)
}

pub(super) async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)
}

/// The page as it is now, with a message.
fn answer(admin: &Admin, code: StatusCode, message: Option<&Message>) -> Response {
    let page = page(&status_now(admin), &admin.engine.view(), message, &host::own_name());
    (code, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

fn page(status: &Status, view: &View, message: Option<&Message>, host: &str) -> String {
    let mut html = Html::default();
    html.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.raw("<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    title(&mut html, status);
    html.text(host).raw(" · privatelink-dns</title>\n<link rel=\"stylesheet\" href=\"/page.css\">\n");
    html.raw("<script src=\"/page.js\" defer></script>\n</head>\n<body>\n");
    html.raw(
        "<a class=\"skip\" href=\"#main\">Skip to the content</a>\n<header>\n<h1>privatelink-dns</h1>\n",
    );
    html.raw("<p>on <strong>").text(host).raw("</strong>, version ").text(&status.version);
    html.raw("</p>\n<p id=\"live\">State of <span id=\"at\">")
        .time(status.at)
        .raw("</span> UTC</p>\n</header>\n");
    html.raw("<div id=\"message\">");
    if let Some(message) = message {
        message.show(&mut html);
    }
    html.raw("</div>\n<p id=\"news\" class=\"unseen\" role=\"status\" aria-live=\"polite\"></p>\n");
    html.raw("<main id=\"main\" tabindex=\"-1\">\n");
    sections::overview(&mut html, status);
    sections::findings(&mut html, status);
    sections::holds(&mut html, status);
    objects::applications(&mut html, status);
    objects::zones(&mut html, status);
    objects::records(&mut html, view);
    objects::targets(&mut html, status);
    objects::secondaries(&mut html, status);
    checks::propagation(&mut html, status);
    checks::verify(&mut html, status);
    sections::history(&mut html, view, status.at);
    sections::poll(&mut html);
    html.raw("</main>\n<footer>\n<p>For programs: <a href=\"/api/v1/status\">status</a>, ");
    html.raw("<a href=\"/api/v1/records\">records</a>, <a href=\"/metrics\">metrics</a>, ");
    html.raw("<a href=\"/api/v1/openapi.json\">OpenAPI</a></p>\n");
    html.raw(
        "<noscript><p>Without JavaScript this page shows news when it is loaded again.</p></noscript>\n",
    );
    html.raw("</footer>\n</body>\n</html>\n");
    html.into_string()
}

/// What is wrong, so that the tab shows it.
fn title(html: &mut Html, status: &Status) {
    let errors = status.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    if !status.ready {
        html.raw("NOT READY · ");
    } else if errors > 0 {
        html.text(errors).raw(if errors == 1 { " error · " } else { " errors · " });
    }
}

#[cfg(test)]
mod tests;
