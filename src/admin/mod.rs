//! What people and machines see of the daemon: metrics, health, readiness, status, and the words
//! that an operator may say.

mod api;
mod body;
mod events;
pub mod explain;
mod export;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod headers;
mod host;
mod inquiry;
mod metrics;
mod openapi;
mod origin;
mod page;
mod server;
pub mod status;
mod token;

pub use api::{Admin, Count, Decision, PULSE, is_alive, router};
pub use events::Streams;
pub use inquiry::History;
pub use metrics::{ArmStatistics, Metrics};
pub use server::serve;
pub use token::{TOKEN_FILE, Token};
