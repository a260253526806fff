//! `/api/v1/explain/NAME`, `/api/v1/history` and `/api/v1/diff`: what an operator wants to know of one
//! name, and of what has changed.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::api::{Admin, json, problem};
use super::explain::Known;
use crate::zones::timeline::{self, HistoryEntry};
use crate::zones::{Difference, Generation};

/// The newest part of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The current generation; nothing before the first one.
    pub generation: Option<u64>,
    /// The oldest generation whose content is known; 0 when the history is whole.
    pub oldest: Option<u64>,
    /// The generations that changed a zone, newest first.
    pub entries: Vec<HistoryEntry>,
}

impl History {
    /// At most `limit` entries.
    #[must_use]
    pub fn of(generation: Option<&Generation>, history: &VecDeque<Difference>, limit: usize) -> Self {
        let entries = generation.into_iter().flat_map(|generation| timeline::entries(history, generation));
        Self {
            generation: generation.map(|generation| generation.number),
            oldest: generation.map(|generation| timeline::oldest(history, generation)),
            entries: entries.take(limit).collect(),
        }
    }
}

/// The most that can be asked for; more than any history has.
const LIMIT: usize = 1_000_000;

/// What can be asked of `/api/v1/history`.
#[derive(Deserialize)]
pub(super) struct Limit {
    limit: Option<usize>,
}

/// What has to be asked of `/api/v1/diff`.
#[derive(Deserialize)]
pub(super) struct Pair {
    from: u64,
    to: u64,
}

/// Everything about one name.
pub(super) async fn explain(
    State(admin): State<Arc<Admin>>,
    name: Result<Path<String>, PathRejection>,
) -> Response {
    let name = match name {
        Ok(Path(name)) => name,
        Err(rejection) => return problem(StatusCode::BAD_REQUEST, &rejection.body_text()),
    };
    // Ledgers are files, and a long history takes a while.
    let explained = spawn_blocking(move || {
        let view = admin.engine.view();
        let secondaries = admin.secondaries.states(Timestamp::now());
        let targets = admin.targets.states();
        let known = Known {
            generation: view.generation.as_deref(),
            history: &view.history,
            holds: &view.holds,
            findings: &view.findings,
            secondaries: &secondaries,
            targets: &targets,
            live: true,
        };
        let subject = known.subject(&name)?;
        let ledger = admin.targets.ledger_entries(&subject.names());
        Ok::<_, super::explain::ExplainError>(known.explain(&subject, ledger))
    });
    match explained.await {
        Ok(Ok(explanation)) => json(StatusCode::OK, &explanation),
        Ok(Err(error)) => problem(StatusCode::BAD_REQUEST, &error.to_string()),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// The generations, newest first; `limit` of them.
pub(super) async fn history(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<Limit>, QueryRejection>,
) -> Response {
    let limit = match query {
        Ok(Query(Limit { limit: Some(limit) })) if limit > LIMIT => {
            return problem(StatusCode::BAD_REQUEST, &format!("limit has to be at most {LIMIT}"));
        }
        Ok(Query(Limit { limit })) => limit.unwrap_or(LIMIT),
        Err(rejection) => return problem(StatusCode::BAD_REQUEST, &rejection.body_text()),
    };
    let view = admin.engine.view();
    match spawn_blocking(move || History::of(view.generation.as_deref(), &view.history, limit)).await {
        Ok(history) => json(StatusCode::OK, &history),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// What differs between the generations `from` and `to`.
pub(super) async fn diff(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<Pair>, QueryRejection>,
) -> Response {
    let Ok(Query(Pair { from, to })) = query else {
        return problem(StatusCode::BAD_REQUEST, "name two generations: /api/v1/diff?from=NUMBER&to=NUMBER");
    };
    let view = admin.engine.view();
    let Some(generation) = view.generation.clone() else {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "no generation has been accepted yet");
    };
    match spawn_blocking(move || timeline::between(&view.history, &generation, from, to)).await {
        Ok(Ok(between)) => json(StatusCode::OK, &between),
        Ok(Err(unknown)) => problem(StatusCode::NOT_FOUND, &unknown.to_string()),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}
