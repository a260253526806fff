//! What plans promise, whatever happens.

mod plan;
mod server;
pub(crate) mod simulated;
