//! `/api/v1/export/FORMAT`: the accepted generation for other software, and cheap to ask for again.

use std::sync::Arc;

use aws_lc_rs::digest;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::api::{Admin, problem};
use crate::sync::View;
use crate::targets::export::{Format, export};

/// It may be kept, and has to be asked for again.
const KEPT: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-cache");

/// The text with a strong entity tag (RFC 9110 section 8.8.3), or 304 for whoever has it.
pub(super) async fn get(
    State(admin): State<Arc<Admin>>,
    word: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Response {
    // A path that is not UTF-8 names no format either.
    let Some(format) = word.ok().and_then(|Path(word)| Format::of(&word)) else {
        let words = Format::ALL.map(Format::word).join(", ");
        return problem(StatusCode::NOT_FOUND, &format!("the formats are {words}"));
    };
    answer(&admin.engine.view(), format, &headers)
}

fn answer(view: &View, format: Format, headers: &HeaderMap) -> Response {
    // What is not complete would replace what is.
    let Some(generation) = view.generation.as_ref().filter(|_| view.released) else {
        let error = "not every application was read completely yet; ask again";
        return problem(StatusCode::SERVICE_UNAVAILABLE, error);
    };
    let text = export(generation, format);
    let tag = tag(&text);
    let has_it = headers.get_all(header::IF_NONE_MATCH).iter().any(|value| matches(value.as_bytes(), &tag));
    if has_it {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag.as_str()), KEPT]).into_response();
    }
    let kind = if format == Format::Json { "application/json" } else { "text/plain; charset=utf-8" };
    ([(header::CONTENT_TYPE, kind), (header::ETAG, tag.as_str()), KEPT], text).into_response()
}

/// Half a SHA-256 of the content: equal exactly when the content is.
fn tag(text: &str) -> String {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let digits = digest.as_ref().iter().take(16).map(|octet| format!("{octet:02x}"));
    format!("\"{}\"", digits.collect::<String>())
}

/// Whether a value of If-None-Match names the tag; weakly compared (RFC 9110 section 13.1.2).
fn matches(value: &[u8], tag: &str) -> bool {
    let Ok(value) = std::str::from_utf8(value) else { return false };
    // Elsewhere a star is part of somebody else's tag.
    value.trim() == "*"
        || value.split(',').map(str::trim).any(|item| item.strip_prefix("W/").unwrap_or(item) == tag)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::targets::tests::generation;

    #[test]
    fn whoever_has_the_text_gets_it_once() {
        let mut view = View::empty(Timestamp::UNIX_EPOCH);
        view.generation = Some(Arc::new(generation()));
        let ask = |view: &View, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, value.parse().expect("a value"));
            answer(view, Format::Hosts, &headers)
        };
        assert_eq!(ask(&view, "\"x\"").status(), StatusCode::SERVICE_UNAVAILABLE, "not released");
        view.released = true;
        let first = ask(&view, "\"x\"");
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[header::ETAG].to_str().expect("text").to_owned();
        assert!(tag.len() == 34 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");
        for value in [&tag, "*", &format!("W/{tag}"), &format!("\"a\", {tag} ,\"b\"")] {
            let again = ask(&view, value);
            assert_eq!(
                (again.status(), &again.headers()[header::ETAG]),
                (StatusCode::NOT_MODIFIED, &tag.parse().expect("a value"))
            );
        }
        for value in ["\"a,*,b\"", "\"\"", &tag.replace('"', "")] {
            assert_eq!(ask(&view, value).status(), StatusCode::OK, "{value}");
        }
        view.generation = None;
        assert_eq!(ask(&view, &tag).status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
