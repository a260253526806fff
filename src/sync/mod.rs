//! The engine: schedule, poll, derive, guard, save, publish.
//!
//! [`Book`] holds the rules between polls without I/O; [`Engine`] is the one task that writes it;
//! pollers read Azure beside it. Everybody else sees a [`View`].

mod book;
mod endpoints;
mod engine;
mod event;
mod handle;
mod log;
mod poller;
mod statistics;
#[cfg(test)]
pub(crate) mod tests;
mod view;

pub use book::{Book, Report, Selection, Step};
pub use engine::{Engine, EngineError, Parts};
pub use event::Command;
pub use handle::{Handle, Stopped};
pub use statistics::Statistics;
pub use view::{Loaded, View};
