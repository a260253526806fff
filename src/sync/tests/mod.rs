//! The book and the engine without Azure: observations are plain values.

pub(crate) mod build;
mod complete;
mod discovered;
mod engine;
mod history;
mod released;
mod stale;
