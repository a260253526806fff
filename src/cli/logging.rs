//! Logs on standard error, as text or JSON lines, with a filter that a reload can change.

use std::io::{self, IsTerminal};

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::config::Log;

/// Changes the filter of a running process.
#[derive(Clone)]
pub(super) struct Filter(reload::Handle<EnvFilter, Registry>);

/// Starts logging; panics are logged too, before whatever else they do.
pub(super) fn start(log: &Log) -> Result<Filter, TryInitError> {
    let (filter, handle) = reload::Layer::new(parse(log));
    let registry = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    if log.json {
        registry.with(layer.json().flatten_event(true)).try_init()?;
    } else {
        registry.with(layer).try_init()?;
    }
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a task panicked; this is a bug")));
    Ok(Filter(handle))
}

impl Filter {
    /// Takes the filter of a new configuration.
    pub(super) fn set(&self, log: &Log) {
        if let Err(error) = self.0.reload(parse(log)) {
            tracing::warn!(%error, "the log filter cannot be changed");
        }
    }
}

/// What others log of errors that they return as well, and that are told where they matter. The configuration
/// comes later and may have them back.
const TWICE: &str = "rustls_platform_verifier=off";

/// The configuration has checked the filter.
fn parse(log: &Log) -> EnvFilter {
    EnvFilter::builder().parse_lossy(format!("{TWICE},{}", log.filter))
}
