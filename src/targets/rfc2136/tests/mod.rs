//! What plans promise, whatever happens.

mod disk;
mod plan;
mod server;
pub(crate) mod simulated;
