//! What plans promise, whatever happens.

mod plan;
