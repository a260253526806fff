//! What the page's forms do: the operator's words, said with the token.
//!
//! A form that did something is answered with a way back to the page, so that loading it again does
//! nothing again. What came of it is a word and a number in the address; nothing else of a request
//! is ever shown.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use form_urlencoded::parse;

use super::html::Html;
use crate::admin::api::Admin;
use crate::admin::body;
use crate::sync::{Command, Selection, Stopped};
use crate::zones::DnsName;

/// What came of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message {
    /// So many removals are done.
    Approved(usize),
    /// So many names are kept.
    Rejected(usize),
    /// So many applications are polled.
    Polled(usize),
    /// The token is missing or wrong.
    Token,
    /// No name was chosen, or something that is none.
    Names,
    /// The form does not say what to do.
    Word,
    /// The engine has ended.
    Stopping,
}

impl Message {
    /// The message that an address asks for; nothing for any other query.
    pub(super) fn of_query(query: &str) -> Option<Self> {
        let (word, count) = query.strip_prefix("done=")?.split_once('-')?;
        let count = count.parse().ok()?;
        match word {
            "approved" => Some(Self::Approved(count)),
            "rejected" => Some(Self::Rejected(count)),
            "polled" => Some(Self::Polled(count)),
            _ => None,
        }
    }

    /// The address at which the page shows it, when something was done.
    fn address(self) -> Option<String> {
        match self {
            Self::Approved(count) => Some(format!("/?done=approved-{count}")),
            Self::Rejected(count) => Some(format!("/?done=rejected-{count}")),
            Self::Polled(count) => Some(format!("/?done=polled-{count}")),
            Self::Token | Self::Names | Self::Word | Self::Stopping => None,
        }
    }

    const fn code(self) -> StatusCode {
        match self {
            Self::Approved(_) | Self::Rejected(_) | Self::Polled(_) => StatusCode::SEE_OTHER,
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::Names | Self::Word => StatusCode::BAD_REQUEST,
            Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(super) fn show(self, html: &mut Html) {
        if self.address().is_some() {
            html.raw("<p class=\"message good\" role=\"status\">");
        } else {
            html.raw("<p class=\"message error\" role=\"alert\">");
        }
        match self {
            Self::Approved(0) | Self::Rejected(0) => html.raw("Nothing was held under the chosen names any more."),
            Self::Approved(1) => html.raw("1 name was removed."),
            Self::Approved(count) => html.text(count).raw(" names were removed."),
            Self::Rejected(1) => html.raw("1 name is kept until Azure shows it again."),
            Self::Rejected(count) => html.text(count).raw(" names are kept until Azure shows them again."),
            Self::Polled(1) => html.raw("1 application is being polled."),
            Self::Polled(count) => html.text(count).raw(" applications are being polled."),
            Self::Token => html.raw(
                "The token is missing or wrong; nothing was done. It is in the file <code>admin.token</code> in \
                 the state directory.",
            ),
            Self::Names => html.raw("No name was chosen; nothing was done."),
            Self::Word => html.raw("The form does not say what to do; nothing was done."),
            Self::Stopping => html.raw("The daemon is stopping; nothing was done."),
        };
        html.raw("</p>\n");
    }
}

/// The fields that forms have.
#[derive(Debug, Default)]
struct Form {
    token: String,
    word: String,
    names: Vec<String>,
}

impl Form {
    fn of(body: &[u8]) -> Self {
        let mut form = Self::default();
        for (key, value) in parse(body) {
            match &*key {
                "token" => form.token = value.into_owned(),
                "word" => form.word = value.into_owned(),
                "name" => form.names.push(value.into_owned()),
                _ => {}
            }
        }
        form
    }
}

/// Ends or keeps held removals.
pub(in crate::admin) async fn holds(
    State(admin): State<Arc<Admin>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    submit(&admin, &headers, body, async |form| {
        let names: Result<BTreeSet<DnsName>, _> = form.names.iter().map(|name| name.parse()).collect();
        let Some(selection) = names.ok().filter(|names| !names.is_empty()).map(Selection::Names) else {
            return Ok(Message::Names);
        };
        Ok(match form.word.as_str() {
            "approve" => {
                Message::Approved(admin.engine.ask(|reply| Command::Approve(selection, reply)).await?)
            }
            "reject" => Message::Rejected(admin.engine.ask(|reply| Command::Reject(selection, reply)).await?),
            _ => Message::Word,
        })
    })
    .await
}

/// Polls all applications.
pub(in crate::admin) async fn poll(
    State(admin): State<Arc<Admin>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    submit(&admin, &headers, body, async |_| Ok(Message::Polled(admin.engine.ask(Command::Poll).await?)))
        .await
}

/// Does what a form with the right token says, and answers it.
async fn submit(
    admin: &Admin,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    act: impl AsyncFnOnce(Form) -> Result<Message, Stopped>,
) -> Response {
    let form = match body::of(headers, "application/x-www-form-urlencoded", body) {
        Ok(body) => Form::of(&body),
        Err(refusal) => return *refusal,
    };
    let message = if admin.token.is(form.token.trim().as_bytes()) {
        act(form).await.unwrap_or(Message::Stopping)
    } else {
        Message::Token
    };
    if let Some(address) = message.address() {
        return (message.code(), [(header::LOCATION, address)]).into_response();
    }
    let mut response = super::answer(admin, message.code(), Some(&message));
    if message == Message::Token {
        let bearer = header::HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
    }
    response
}
