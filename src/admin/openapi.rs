//! `/api/v1/openapi.json`: the listener described for programs (OpenAPI 3.1).
//!
//! The document is a file; what follows from the code is filled in: the version and the codes of
//! findings.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::api;
use crate::zones::FindingKind;

const DOCUMENT: &str = include_str!("openapi.json");

pub(super) async fn get() -> Response {
    match document() {
        Ok(document) => api::json(StatusCode::OK, &document),
        Err(error) => api::problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn document() -> serde_json::Result<Value> {
    let mut document: Value = serde_json::from_str(DOCUMENT)?;
    if let Some(version) = document.pointer_mut("/info/version") {
        *version = json!(env!("CARGO_PKG_VERSION"));
    }
    if let Some(codes) = document.pointer_mut("/components/schemas/FindingKind/enum") {
        *codes = FindingKind::ALL.iter().map(|kind| kind.code()).collect();
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::targets::export::Format;

    #[test]
    fn every_route_is_in_the_document_and_nothing_else() {
        let document = document().expect("JSON");
        let described: BTreeSet<&str> =
            document["paths"].as_object().expect("paths").keys().map(String::as_str).collect();
        // A router cannot be asked for its routes.
        let routes: BTreeSet<&str> = include_str!("api.rs")
            .split(".route(\"")
            .skip(1)
            .map(|rest| rest.split('"').next().expect("a path"))
            .collect();
        // The page is for people.
        let is_page = |path: &&str| *path == "/" || path.starts_with("/page");
        assert_eq!(routes.into_iter().filter(|path| !is_page(path)).collect::<BTreeSet<_>>(), described);
    }

    #[test]
    fn what_follows_from_the_code_is_filled_in() {
        let document = document().expect("JSON");
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas["FindingKind"]["enum"].as_array().expect("codes").len(), FindingKind::ALL.len());
        let formats = &document["paths"]["/api/v1/export/{format}"]["get"]["parameters"][0]["schema"]["enum"];
        assert_eq!(*formats, json!(Format::ALL.map(Format::word)));
    }
}
