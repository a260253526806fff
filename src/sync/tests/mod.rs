//! The book and the engine without Azure: observations are plain values.

mod build;
mod discovered;
